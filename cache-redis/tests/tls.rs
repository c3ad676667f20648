//! Connections over TLS, to a real server with a certificate of its own authority. The certificates of this folder are for
//! these tests only.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use cache_core::{CacheTier, SharedTier};
use cache_redis::RedisTier;
use cache_testing::{Process, RedisServer};
use support::{TTL, announced, entry, key, keys, payload, record, subscribe};

const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls");

/// A server that takes TLS connections on the port of another one, which is down and only keeps the port reserved.
fn start() -> (RedisServer, RedisServer) {
    start_with("no")
}

/// The same, and whether clients have to show a certificate.
fn start_with(clients: &str) -> (RedisServer, RedisServer) {
    let port = RedisServer::start();
    port.kill();
    let server = RedisServer::builder()
        .directive("tls-port", &port.port().to_string())
        .directive("tls-cert-file", &format!("{FILES}/server.pem"))
        .directive("tls-key-file", &format!("{FILES}/server.key"))
        .directive("tls-ca-cert-file", &format!("{FILES}/authority.pem"))
        .directive("tls-auth-clients", clients)
        .start();
    (server, port)
}

#[tokio::test]
async fn a_server_of_an_unknown_authority_is_not_trusted() {
    let (_server, port) = start();
    let tier = RedisTier::new(format!("rediss://127.0.0.1:{}", port.port())).unwrap();
    let error = tier.ping().await.unwrap_err();
    assert!(error.is_outage() && error.to_string().contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_client_shows_its_certificate() {
    let (_server, port) = start_with("yes");
    let read = |name: &str| std::fs::read(format!("{FILES}/{name}")).unwrap();
    let url = format!("rediss://127.0.0.1:{}", port.port());
    let builder = RedisTier::builder(&url).root_certificates(read("authority.pem"));
    assert!(builder.clone().build().unwrap().ping().await.unwrap_err().is_outage(), "without one");

    // One certificate serves both sides of these tests.
    let tier = builder.client_certificate(read("server.pem"), read("server.key")).build().unwrap();
    use_tier(&tier).await;
    assert!(
        !format!("{:?}", RedisTier::builder(&url).client_certificate(read("server.pem"), read("server.key")))
            .contains("PRIVATE")
    );
}

#[test]
fn certificates_that_cannot_be_used_are_an_error() {
    let error =
        |url: &str, pem: &str| RedisTier::builder(url).client_certificate(pem, pem).build().unwrap_err().to_string();
    for (url, pem) in [("rediss://host", "secret"), ("redis://host", "")] {
        let error = error(url, pem);
        assert!(error.contains("give certificates in PEM and rediss:// URLs") && !error.contains("secret"), "{error}");
    }
}

/// The trusted authorities are read from the environment, which a test cannot change for itself: it runs itself once more in
/// a process of its own.
#[tokio::test]
async fn everything_works_over_tls() {
    if let Ok(port) = std::env::var("CACHE_REDIS_TEST_TLS_PORT") {
        return use_the_tier(&format!("rediss://127.0.0.1:{port}")).await;
    }
    let (_server, port) = start();
    let again = Process::builder(std::env::current_exe().unwrap())
        .argument("--exact")
        .argument("everything_works_over_tls")
        .variable("SSL_CERT_FILE", format!("{FILES}/authority.pem"))
        .variable("CACHE_REDIS_TEST_TLS_PORT", port.port().to_string())
        .spawn();
    assert!(again.finish().await.success());
}

async fn use_the_tier(url: &str) {
    use_tier(&RedisTier::new(url).unwrap()).await;
}

async fn use_tier(tier: &RedisTier) {
    tier.set(&key("k"), entry("v"), TTL).await.unwrap();
    assert_eq!(payload(tier.get(&key("k")).await.unwrap().as_ref()), Some("v"));
    let mut bus = subscribe(tier).await;
    assert_eq!(announced(&mut *bus).await.len(), 1, "the record that begins the journal");
    tier.invalidate(&keys(["k"]), &record(&keys(["k"])), None).await.unwrap();
    assert_eq!(announced(&mut *bus).await.len(), 1);
    assert_eq!(tier.clear().await.unwrap(), 0);
}
