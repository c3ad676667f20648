//! A service from environment variables, in processes of their own.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::process::Command;

use cache_aside::CachingService;
use cache_testing::RedisServer;

/// Not a test of its own: what the tests below run with their variables.
#[tokio::test]
async fn child() {
    if std::env::var_os("CACHE_TEST_CHILD").is_none() {
        return;
    }
    match CachingService::from_env().await {
        Ok(service) => {
            let before = CachingService::global().set("k", 1_u32).await.delivery;
            println!(
                "service: {service:?}; global set: {before:?}; global get: {:?}",
                CachingService::global().get::<u32>("k").await
            );
            println!("install: {}", service.install_global().unwrap_err());
        }
        Err(error) => println!("error: {error}"),
    }
}

fn child_with(variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child", "--exact", "--nocapture"]).env("CACHE_TEST_CHILD", "1");
    for name in [
        "CACHE_REDIS_URL",
        "CACHE_NAMESPACE",
        "CACHE_DEFAULT_TTL_SECONDS",
        "REDIS_HOST",
        "REDIS_PORT",
        "REDIS_PASSWORD",
    ] {
        command.env_remove(name);
    }
    let output = command.envs(variables.iter().copied()).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn without_variables_there_is_the_near_tier_only() {
    let said = child_with(&[]);
    assert!(said.contains(r#"service: CachingService { namespace: "cache", tiers: ["local"] }; global set: Local; global get: Some(1)"#), "{said}");
    assert!(said.contains("install: install_global: a global service is in place already"), "{said}");
}

#[test]
fn redis_and_the_namespace_come_from_variables() {
    let redis = RedisServer::builder().password("p@ss").start();
    let port = redis.port().to_string();
    let parts =
        [("REDIS_HOST", "127.0.0.1"), ("REDIS_PORT", &port), ("REDIS_PASSWORD", "p@ss"), ("CACHE_NAMESPACE", "shop")];
    let said = child_with(&parts);
    assert!(said.contains(r#"namespace: "shop", tiers: ["local", "redis"]"#), "{said}");
    assert!(said.contains("global set: Done"), "{said}");
    assert_eq!(redis.cli(&["EXISTS", "shop:k"]), "1");
}

#[test]
fn a_bad_variable_is_named_and_no_secret_is_shown() {
    for (variables, expected) in [
        (&[("CACHE_REDIS_URL", "http://user:secret@host")][..], "error: CACHE_REDIS_URL: "),
        (
            &[("CACHE_DEFAULT_TTL_SECONDS", "5m")],
            "error: CACHE_DEFAULT_TTL_SECONDS is \"5m\"; expected a whole number of seconds",
        ),
        (&[("CACHE_NAMESPACE", "a:b")], "error: CACHE_NAMESPACE: invalid namespace \"a:b\""),
        (&[("REDIS_HOST", "h"), ("REDIS_PORT", "99999")], "error: REDIS_PORT is \"99999\"; expected a port"),
    ] {
        let said = child_with(variables);
        assert!(said.contains(expected), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
}
