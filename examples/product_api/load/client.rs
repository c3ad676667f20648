//! A keep-alive HTTP connection to one API node.

use std::hash::{DefaultHasher, Hasher};
use std::net::SocketAddr;

use anyhow::{Context, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, ETAG, HOST};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::load::history::Page;
use crate::product::{Changed, ProductChange, ProductPage};

pub(crate) struct Connection {
    requests: SendRequest<Full<Bytes>>,
    address: SocketAddr,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        let (requests, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { requests, address })
    }

    pub(crate) async fn get(&mut self, product: u32) -> anyhow::Result<Page> {
        let response = self.send(Method::GET, product, Bytes::new()).await?;
        let version = version(&response)?;
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Page { product, version, digest: digest(&body) })
    }

    /// The product's new version, once it is committed and the older ones are invalidated.
    pub(crate) async fn put(&mut self, product: u32, change: &ProductChange) -> anyhow::Result<u32> {
        let response = self.send(Method::PUT, product, serde_json::to_vec(change)?.into()).await?;
        let body = response.into_body().collect().await?.to_bytes();
        Ok(serde_json::from_slice::<Changed>(&body)?.version)
    }

    async fn send(
        &mut self,
        method: Method,
        product: u32,
        body: Bytes,
    ) -> anyhow::Result<Response<hyper::body::Incoming>> {
        let request = Request::builder()
            .method(method)
            .uri(format!("/products/{product}"))
            .header(HOST, self.address.to_string())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        self.requests.ready().await?;
        let response = self.requests.send_request(request).await?;
        ensure!(
            response.status().is_success(),
            "{} answered {} for product {product}",
            self.address,
            response.status()
        );
        Ok(response)
    }
}

/// What the API must answer for this page.
pub(crate) fn expected(page: &ProductPage) -> anyhow::Result<Page> {
    Ok(Page { product: page.id, version: page.version, digest: digest(&serde_json::to_vec(page)?) })
}

fn digest(body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(body);
    hasher.finish()
}

fn version(response: &Response<hyper::body::Incoming>) -> anyhow::Result<u32> {
    let tag = response.headers().get(ETAG).context("a response without ETag")?.to_str()?;
    tag.trim_matches('"').parse().with_context(|| format!("the ETag {tag} is no version"))
}
