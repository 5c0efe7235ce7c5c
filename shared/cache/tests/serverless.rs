//! ElastiCache Serverless, emulated by a Valkey server and a fake of AWS's control plane.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

use std::time::Duration;

use fake_aws::{FakeAws, Trouble};
use jiff::Timestamp;
use local_stack::PrivateServers;
use secrecy::ExposeSecret;
use shared_aws::Aws;
use shared_cache::{
    Batch, Cache, CacheConfig, Codes, DescribeError, LogState, Pepper, Serverless, Subject,
};
use shared_core::env::Env;
use shared_core::identity::{Code, Email, Guess};
use shared_core::ids::{MessageId, UserId};
use shared_core::limits::Limit;
use testkit::MovableClock;
use uuid::Uuid;

/// The variables of a function that uses the cache `chat`, and `more`.
fn env(aws: &FakeAws, more: &[(&'static str, String)]) -> Env<'static> {
    let mut variables = aws.variables().to_vec();
    variables.push(("CACHE_NAME", "chat".to_owned()));
    variables.extend_from_slice(more);
    Env::new(move |name| {
        variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
    })
}

/// The ACL that the template gives a function's user.
fn access() -> impl Iterator<Item = &'static str> {
    let (_, access) =
        include_str!("../../../infra/data.yaml").split_once("AccessString: >-").unwrap();
    access.split_once("\n\n").unwrap().0.split_whitespace()
}

/// Makes the server accept `token` of the user `app`, as ElastiCache would at the clock's time.
fn accepts(servers: &PrivateServers, token: &str) {
    let mut admin = redis::Client::open(servers.cache_url()).unwrap().get_connection().unwrap();
    let mut acl = redis::cmd("ACL");
    acl.arg(&["SETUSER", "app", "reset", &format!(">{token}")]);
    acl.arg(access().collect::<Vec<_>>());
    acl.exec(&mut admin).unwrap();
}

#[tokio::test]
async fn each_connection_has_a_fresh_iam_token() {
    let (servers, aws) = (PrivateServers::start().await.unwrap(), FakeAws::start().await.unwrap());
    let env = env(&aws, &[("CACHE_URL", servers.cache_url()), ("CACHE_USER", "app".to_owned())]);
    let (account, clock) = (Aws::from_env(&env).unwrap(), MovableClock::new());
    let token = || account.cache_token("chat", "app", clock.clock().now()).unwrap();
    let config = CacheConfig::from_env(&env).unwrap();

    let cache = Cache::new(&config, clock.clock()).unwrap();
    assert!(cache.ping().await.is_err(), "there is no such user yet");
    accepts(&servers, token().expose_secret());
    cache.ping().await.unwrap();

    clock.advance(Duration::from_mins(20));
    let later = Cache::new(&config, clock.clock()).unwrap();
    assert!(later.ping().await.is_err(), "the server still accepts the old token only");
    accepts(&servers, token().expose_secret());
    later.ping().await.unwrap();
}

#[tokio::test]
async fn the_templates_acl_allows_all_commands_of_the_functions() {
    let servers = PrivateServers::start().await.unwrap();
    accepts(&servers, "token");
    let config = CacheConfig {
        url: Some(servers.cache_url().replace("redis://", "redis://app:token@").into()),
        prefix: String::new(),
        serverless: None,
        user: None,
    };
    let (clock, now) = (MovableClock::new().clock(), Timestamp::UNIX_EPOCH);
    let cache = Cache::new(&config, clock).unwrap();

    let limits = [Limit::per_minute(1), Limit::per_minute(2)];
    cache.acquire(&Subject::Global, "x", &limits, now).await.unwrap().unwrap();
    let permit = cache.acquire_any(&Subject::Global, "x", &limits, now).await.unwrap();
    cache.release(permit).await.unwrap();

    let env = Env::new(|_| Some("pepper-pepper-pepper-pepper-pepper".into()));
    let codes = Codes::new(cache.clone(), Pepper::from_env(&env).unwrap());
    let (email, code) = (Email::parse("ada@example.com"), Code::parse("123456"));
    let (email, code) = (email.unwrap(), code.unwrap());
    codes.issue(&email, &code, now).await.unwrap();
    assert_eq!(codes.guess(&email, &code, now).await.unwrap(), Guess::Right);

    let log = cache.live_log(UserId(Uuid::from_u128(1)), &MessageId::parse("answer-1").unwrap());
    let batch = |frame| Some(Batch { first: frame, last: frame, frames: &b"frame"[..] });
    log.request_stop().await.unwrap();
    assert!(log.heartbeat(batch(1), Some("gen-1")).await.unwrap());
    log.end(batch(2)).await.unwrap();
    let page = log.read(0).await.unwrap();
    assert_eq!((page.batches.len(), page.state), (2, LogState::Ended));
    assert_eq!(page.generation.as_deref(), Some("gen-1"));
}

#[tokio::test]
async fn the_endpoint_is_looked_up_by_the_caches_name() {
    let aws = FakeAws::start().await.unwrap();
    aws.put_cache("chat", "available", ("chat-abc123.serverless.aps1.cache.amazonaws.com", 6379));
    let located = CacheConfig::from_env(&env(&aws, &[])).unwrap().located().await.unwrap();
    assert_eq!(
        located.url.unwrap().expose_secret(),
        "rediss://chat-abc123.serverless.aps1.cache.amazonaws.com:6379"
    );
    assert_eq!(aws.calls().len(), 1);

    // No lookup where the URL is set.
    let known = env(&aws, &[("CACHE_URL", "redis://127.0.0.1:1".to_owned())]);
    CacheConfig::from_env(&known).unwrap().located().await.unwrap();
    assert_eq!(aws.calls().len(), 1);
}

#[tokio::test]
async fn a_failed_lookup_returns_its_cause() {
    let aws = FakeAws::start().await.unwrap();
    let serverless = Serverless::from_env(&env(&aws, &[])).unwrap().unwrap();
    assert!(matches!(serverless.describe().await, Err(DescribeError::NotFound)));
    let error = CacheConfig::from_env(&env(&aws, &[])).unwrap().located().await.unwrap_err();
    assert!(error.to_string().starts_with("CACHE_NAME does not lead to a cache"), "{error}");

    aws.put_cache("chat", "creating", ("chat.example", 6379));
    aws.script(1, &Trouble::Denied);
    assert!(matches!(serverless.describe().await, Err(DescribeError::Aws(_))));
    let state = serverless.describe().await.unwrap();
    assert_eq!(state.status, "creating");
}

#[test]
fn cache_user_without_cache_name_is_refused() {
    let env = Env::new(|name| match name {
        "CACHE_URL" => Some("redis://127.0.0.1:1".to_owned()),
        "CACHE_USER" => Some("app".to_owned()),
        _ => None,
    });
    let error = CacheConfig::from_env(&env).unwrap_err().to_string();
    assert_eq!(error, "CACHE_USER needs CACHE_NAME beside it");
}
