//! A product catalogue over HTTP: SQLite behind it, and a `CachingService` in front of SQLite.
//!
//! ```text
//! cargo run --release --example product_api                     serves http://127.0.0.1:8080 until Ctrl-C
//! cargo run --release --example product_api -- --load           replays requests, without and then with the cache
//! curl http://127.0.0.1:8080/products/7
//! curl http://127.0.0.1:8080/status
//! curl -X PUT -H 'content-type: application/json' \
//!      -d '{"name":"Kettle","euro_cents":1999,"available":3}' http://127.0.0.1:8080/products/7
//! ```
//!
//! Everything about caching is in `catalogue.rs`. `database.rs` and `api.rs` would be there without a cache too, and
//! `load/` measures what the cache is worth and checks every response.
#![allow(clippy::print_stdout, reason = "a program talks to its user")]

mod api;
mod catalogue;
mod database;
mod load;
mod product;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use cache_aside::CachingService;
use clap::Parser;
use tokio::net::TcpListener;

use crate::catalogue::Catalogue;
use crate::database::Database;

/// Serves a catalogue of 100,000 products, or measures what the cache does for it.
#[derive(Debug, Parser)]
struct Arguments {
    /// Address to serve on.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// SQLite file to use, created and filled if it does not exist [default: a temporary file].
    #[arg(long)]
    database: Option<PathBuf>,
    /// Answer every request from the database.
    #[arg(long)]
    no_cache: bool,
    /// Measure instead of serving: replay requests without and then with the cache.
    #[arg(long)]
    load: bool,
    #[command(flatten)]
    load_options: load::Options,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let directory = tempfile::tempdir()?;
    let path = arguments.database.clone().unwrap_or_else(|| directory.path().join("catalogue.sqlite"));
    println!("Opening {} (an empty one is filled with 100,000 products first) ...", path.display());
    let database = Database::open(&path).await.with_context(|| format!("cannot open {}", path.display()))?;
    if arguments.load {
        return load::run(&arguments.load_options, &database, directory.path()).await;
    }
    serve(&arguments, database).await?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(arguments: &Arguments, database: Database) -> anyhow::Result<()> {
    let cache = if arguments.no_cache { None } else { Some(cache_from_environment().await?) };
    let catalogue = Arc::new(Catalogue::new(database, cache));
    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}; choose another address with --listen", arguments.listen))?;
    println!("Serving http://{}/products/1 and http://{}/status until Ctrl-C.", arguments.listen, arguments.listen);
    api::serve(listener, Arc::clone(&catalogue), interrupted()).await?;
    catalogue.shutdown().await;
    Ok(())
}

async fn cache_from_environment() -> anyhow::Result<CachingService> {
    let redis_url = redis_url();
    if redis_url.is_none() {
        println!("L1 only; set CACHE_REDIS_URL to share an L2 with other instances.");
    }
    Ok(catalogue::cache("product-api", redis_url.as_deref()).await?)
}

/// The server that is named; an empty variable counts as not set.
fn redis_url() -> Option<String> {
    std::env::var("CACHE_REDIS_URL").ok().filter(|url| !url.is_empty())
}

async fn interrupted() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        eprintln!("cannot listen for Ctrl-C ({error}); end the process by another signal");
        std::future::pending::<()>().await;
    }
}
