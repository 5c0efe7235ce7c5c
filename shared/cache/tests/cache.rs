//! Limits and codes, against a real server that runs as a cluster.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

use std::time::Duration;

use jiff::Timestamp;
use local_stack::{PrivateServers, TestCache};
use redis::Commands;
use shared_cache::{Cache, CacheConfig, Codes, Pepper, Subject};
use shared_core::ambient::Clock;
use shared_core::email::Email;
use shared_core::env::Env;
use shared_core::limits::{Limit, LimitReached};
use shared_core::login::{Code, Guess};

fn cache(url: &str, prefix: &str) -> Cache {
    let config = CacheConfig {
        url: Some(url.to_owned().into()),
        prefix: prefix.to_owned(),
        serverless: None,
        user: None,
    };
    Cache::new(&config, Clock::new(|| at(0))).unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn wait(seconds: u64) -> Result<(), LimitReached> {
    Err(LimitReached { retry_after: Duration::from_secs(seconds) })
}

#[tokio::test]
async fn a_limit_slides() {
    let server = TestCache::create().await;
    let cache = cache(server.cache_url(), server.key_prefix());
    let limits = [Limit { count: 2, window: Duration::from_secs(10) }];
    let take =
        async |second| cache.take(&Subject::Everybody, "x", &limits, at(second)).await.unwrap();
    assert_eq!(take(0).await, Ok(()));
    assert_eq!(take(9).await, Ok(()));
    assert_eq!(take(9).await, wait(1));
    // One that was refused does not count.
    assert_eq!(take(10).await, Ok(()));
    assert_eq!(take(18).await, wait(1));
    assert_eq!(take(19).await, Ok(()));
}

#[tokio::test]
async fn all_of_several_limits_hold() {
    let server = TestCache::create().await;
    let cache = cache(server.cache_url(), server.key_prefix());
    let limits = [
        Limit { count: 1, window: Duration::from_secs(10) },
        Limit { count: 2, window: Duration::from_mins(1) },
    ];
    let take =
        async |second| cache.take(&Subject::Everybody, "x", &limits, at(second)).await.unwrap();
    assert_eq!(take(0).await, Ok(()));
    assert_eq!(take(5).await, wait(5));
    assert_eq!(take(10).await, Ok(()));
    assert_eq!(take(20).await, wait(40));
    assert_eq!(take(60).await, Ok(()));
}

#[tokio::test]
async fn a_crowd_at_once_takes_no_more_than_there_is() {
    let server = TestCache::create().await;
    let cache = cache(server.cache_url(), server.key_prefix());
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let cache = cache.clone();
        crowd.spawn(async move {
            cache
                .take(&Subject::Everybody, "x", &[Limit::per_minute(5)], at(0))
                .await
                .unwrap()
                .is_ok()
        });
    }
    assert_eq!(crowd.join_all().await.into_iter().filter(|allowed| *allowed).count(), 5);
}

#[tokio::test]
async fn subjects_do_not_share_a_limit() {
    let server = TestCache::create().await;
    let cache = cache(server.cache_url(), server.key_prefix());
    let source = |ip: &str| Subject::Source(ip.parse().unwrap());
    let take = async |subject: Subject| {
        cache.take(&subject, "x", &[Limit::per_minute(1)], at(0)).await.unwrap().is_ok()
    };
    assert!(take(source("2001:db8::1")).await);
    assert!(!take(source("2001:db8::ffff:1")).await, "one /64 is one customer");
    assert!(take(source("2001:db8:0:1::1")).await);
    assert!(take(source("192.0.2.1")).await && take(source("192.0.2.2")).await);
}

#[tokio::test]
async fn of_many_guesses_at_once_three_are_counted_and_one_is_right() {
    let server = TestCache::create().await;
    let env = Env::new(|_| Some("pepper-pepper-pepper-pepper-pepper".into()));
    let cache = cache(server.cache_url(), server.key_prefix());
    let codes = Codes::new(cache, Pepper::from_env(&env).unwrap());
    let email = Email::parse("ada@example.com").unwrap();
    for (guess, right, wrong) in [("123456", 1, 0), ("000000", 0, 3)] {
        codes.issue(&email, &Code::parse("123456").unwrap(), at(0)).await.unwrap();
        let mut crowd = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let (codes, email) = (codes.clone(), email.clone());
            crowd.spawn(async move {
                codes.guess(&email, &Code::parse(guess).unwrap(), at(1)).await.unwrap()
            });
        }
        let answers = crowd.join_all().await;
        let count = |is: fn(&Guess) -> bool| answers.iter().filter(|answer| is(answer)).count();
        assert_eq!(count(|answer| *answer == Guess::Right), right);
        assert_eq!(count(|answer| matches!(answer, Guess::Wrong { .. })), wrong);
    }
}

#[tokio::test]
async fn what_is_kept_ends_and_tells_nothing() {
    let server = TestCache::create().await;
    let env = Env::new(|_| Some("pepper-pepper-pepper-pepper-pepper".into()));
    let cache = cache(server.cache_url(), server.key_prefix());
    let codes = Codes::new(cache.clone(), Pepper::from_env(&env).unwrap());
    let email = Email::parse("ada@example.com").unwrap();
    codes.issue(&email, &Code::parse("123456").unwrap(), at(0)).await.unwrap();
    let address = codes.subject(&email);
    cache.take(&address, "codes", &[Limit::per_day(20)], at(0)).await.unwrap().unwrap();

    let mut direct = redis::Client::open(server.cache_url()).unwrap().get_connection().unwrap();
    let keys: Vec<String> = direct.keys(format!("{}*", server.key_prefix())).unwrap();
    assert_eq!(keys.len(), 2, "{keys:?}");
    for key in keys {
        assert!(direct.ttl::<_, i64>(&key).unwrap() > 0, "{key}");
        let dump: Vec<u8> = redis::cmd("DUMP").arg(&key).query(&mut direct).unwrap();
        let dump = key + &String::from_utf8_lossy(&dump);
        assert!(!dump.contains("example") && !dump.contains("123456"), "{dump}");
    }
}

#[tokio::test]
async fn a_server_that_was_away_is_found_again() {
    let servers = PrivateServers::start().await.unwrap();
    let cache = cache(&servers.cache_url(), "");
    let take =
        async || cache.take(&Subject::Everybody, "x", &[Limit::per_minute(1000)], at(0)).await;
    take().await.unwrap().unwrap();
    servers.cache().stop().await;
    let began = tokio::time::Instant::now();
    assert!(take().await.is_err());
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    servers.cache().start().await.unwrap();
    for _ in 0..40 {
        if take().await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    take().await.unwrap().unwrap();
}
