//! The HTTP side: routes, and what becomes of errors.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::ETAG;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::{Listener, ListenerExt};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::catalogue::{Catalogue, ProductError};
use crate::product::{Changed, ProductChange};

/// Serves the catalogue until `stopped` completes and the requests in hand are answered.
pub(crate) async fn serve(
    listener: TcpListener,
    catalogue: Arc<Catalogue>,
    stopped: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/products/{id}", get(get_product).put(put_product))
        .route("/status", get(get_status))
        .with_state(catalogue);
    axum::serve(without_delay(listener), routes).with_graceful_shutdown(stopped).await
}

async fn get_product(State(catalogue): State<Arc<Catalogue>>, Path(id): Path<u32>) -> Result<Response, ProductError> {
    let page = catalogue.product(id).await?;
    let etag = format!("\"{}\"", page.version);
    Ok(([(ETAG, etag)], Json(&*page)).into_response())
}

async fn put_product(
    State(catalogue): State<Arc<Catalogue>>,
    Path(id): Path<u32>,
    Json(change): Json<ProductChange>,
) -> Result<Json<Changed>, ProductError> {
    let version = catalogue.change(id, change).await?;
    Ok(Json(Changed { version }))
}

async fn get_status(State(catalogue): State<Arc<Catalogue>>) -> Json<Value> {
    Json(catalogue.status().await)
}

impl IntoResponse for ProductError {
    fn into_response(self) -> Response {
        let status = if self.is_no_such_product() { StatusCode::NOT_FOUND } else { StatusCode::INTERNAL_SERVER_ERROR };
        (status, Json(json!({ "error": self.to_string() }))).into_response()
    }
}

/// Small answers must not wait for the client's acknowledgement of earlier ones.
fn without_delay(listener: TcpListener) -> impl Listener<Addr = std::net::SocketAddr> {
    listener.tap_io(|stream| {
        // A stream that refuses still works, only slower.
        let _ = stream.set_nodelay(true);
    })
}
