//! Rate limits and one-time codes, against a real server in cluster mode.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

use std::time::Duration;

use jiff::Timestamp;
use local_stack::{PrivateServers, TestCache};
use redis::Commands;
use shared_cache::{Cache, CacheConfig, Codes, Pepper, Permit, Subject};
use shared_core::clock::Clock;
use shared_core::env::Env;
use shared_core::identity::{Code, Email, Guess};
use shared_core::limits::{Limit, LimitReached, LimitStatus};
use testkit::Stopwatch;

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

fn wait(limit: Limit, seconds: u64) -> Result<(), LimitReached> {
    Err(LimitReached { limit, retry_after: Duration::from_secs(seconds) })
}

#[tokio::test]
async fn a_rate_limit_is_a_sliding_window() {
    let server = TestCache::create().await;
    let cache = cache(server.cache_url(), server.key_prefix());
    let limits = [Limit { count: 2, window: Duration::from_secs(10) }];
    let take =
        async |second| cache.acquire(&Subject::Global, "x", &limits, at(second)).await.unwrap();
    assert_eq!(take(0).await, Ok(()));
    assert_eq!(take(9).await, Ok(()));
    assert_eq!(take(9).await, wait(limits[0], 1));
    // A refused request does not count.
    assert_eq!(take(10).await, Ok(()));
    assert_eq!(take(18).await, wait(limits[0], 1));
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
        async |second| cache.acquire(&Subject::Global, "x", &limits, at(second)).await.unwrap();
    assert_eq!(take(0).await, Ok(()));
    assert_eq!(take(5).await, wait(limits[0], 5));
    assert_eq!(take(10).await, Ok(()));
    assert_eq!(take(20).await, wait(limits[1], 40));
    assert_eq!(take(60).await, Ok(()));
}

#[tokio::test]
async fn concurrent_requests_acquire_no_more_than_the_limit() {
    let server = TestCache::create().await;
    let cache = cache(server.cache_url(), server.key_prefix());
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let cache = cache.clone();
        crowd.spawn(async move {
            cache
                .acquire(&Subject::Global, "x", &[Limit::per_minute(5)], at(0))
                .await
                .unwrap()
                .is_ok()
        });
    }
    assert_eq!(crowd.join_all().await.into_iter().filter(|allowed| *allowed).count(), 5);
}

/// Two plans' limits, of which a caller learns late which one applies.
const PLANS: [Limit; 2] = [Limit::per_minute(10), Limit::per_minute(60)];

#[tokio::test]
async fn each_plans_limit_holds_for_concurrent_requests() {
    let server = TestCache::create().await;
    let cache = cache(server.cache_url(), server.key_prefix());
    for (place, plan) in PLANS.iter().enumerate() {
        let mut crowd = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let cache = cache.clone();
            let what = format!("plan {place}");
            crowd.spawn(async move {
                let permit =
                    cache.acquire_any(&Subject::Global, &what, &PLANS, at(0)).await.unwrap();
                let reached = permit.statuses()[place].reached;
                if reached {
                    cache.release(permit).await.unwrap();
                }
                !reached
            });
        }
        let allowed = crowd.join_all().await.into_iter().filter(|allowed| *allowed).count();
        assert_eq!(allowed, usize::try_from(plan.count).unwrap());

        // Requests that were refused, by either limit, left no entry.
        let what = format!("plan {place}");
        let next = cache.acquire_any(&Subject::Global, &what, &PLANS, at(1)).await.unwrap();
        let status = next.statuses()[1];
        assert_eq!(status.remaining, PLANS[1].count.saturating_sub(plan.count + 1));
        assert_eq!(status.reached, place == 1);
    }
}

#[tokio::test]
async fn a_permit_has_the_status_of_each_limit() {
    let server = TestCache::create().await;
    let cache = cache(server.cache_url(), server.key_prefix());
    let limits = [
        Limit { count: 2, window: Duration::from_secs(10) },
        Limit { count: 3, window: Duration::from_mins(1) },
    ];
    // Remaining, milliseconds until one more is allowed, reached.
    let take = async |millis| {
        let now = at(0) + Duration::from_millis(millis);
        let permit = cache.acquire_any(&Subject::Global, "x", &limits, now).await.unwrap();
        let figures = |status: &LimitStatus| {
            (status.remaining, status.reset_after.as_millis(), status.reached)
        };
        let statuses = permit.statuses();
        assert!(statuses.iter().map(|status| status.limit).eq(limits));
        [figures(&statuses[0]), figures(&statuses[1])]
    };
    assert_eq!(take(0).await, [(1, 10_000, false), (2, 60_000, false)]);
    assert_eq!(take(4_000).await, [(0, 6_000, false), (1, 56_000, false)]);
    assert_eq!(take(9_999).await, [(0, 1, true), (0, 50_001, false)]);
    // The first limit allows one again, and that is enough.
    assert_eq!(take(14_000).await, [(0, 5_999, false), (0, 46_000, true)]);
    // Four are within the longer window now, and two have to leave it.
    assert_eq!(take(14_001).await, [(0, 5_998, true), (0, 49_999, true)]);
    // A request that neither allowed was not recorded.
    assert_eq!(take(74_000).await, [(1, 10_000, false), (2, 60_000, false)]);
}

#[tokio::test]
async fn a_release_removes_one_entry_and_only_the_permits_own() {
    let server = TestCache::create().await;
    let cache = cache(server.cache_url(), server.key_prefix());
    let limits = [Limit::per_minute(2), Limit::per_minute(3)];
    let take =
        async |second| cache.acquire_any(&Subject::Global, "x", &limits, at(second)).await.unwrap();
    let remaining = |permit: &Permit| permit.statuses()[1].remaining;
    assert_eq!(remaining(&take(0).await), 2);
    assert_eq!(remaining(&take(5).await), 1);
    let third = take(5).await;
    assert!(third.statuses()[0].reached && !third.statuses()[1].reached);
    let fourth = take(5).await;
    assert!(fourth.statuses()[1].reached);
    // It was refused, so there is nothing to release, though others have an entry of the same time.
    cache.release(fourth).await.unwrap();
    assert!(take(5).await.statuses()[1].reached);

    cache.release(third).await.unwrap();
    let again = take(6).await;
    assert_eq!(remaining(&again), 0);
    // The first one counts as long as it would have.
    assert_eq!(again.statuses()[0].reset_after, Duration::from_secs(54));
    cache.release(again).await.unwrap();

    let mut direct = redis::Client::open(server.cache_url()).unwrap().get_connection().unwrap();
    let key = format!("{}{{global}}:x", server.key_prefix());
    let times: Vec<i64> = direct.lrange(&key, 0, -1).unwrap();
    assert_eq!(times, [at(0).as_millisecond(), at(5).as_millisecond()]);
    assert!((1..=60).contains(&direct.ttl::<_, i64>(&key).unwrap()));
}

#[tokio::test]
async fn entries_outside_every_window_are_dropped() {
    let server = TestCache::create().await;
    let cache = cache(server.cache_url(), server.key_prefix());
    for second in 0..100 {
        let limits = [Limit::per_minute(100), Limit { count: 5, window: Duration::from_secs(3) }];
        let result = cache.acquire(&Subject::Global, "x", &limits, at(second)).await.unwrap();
        result.unwrap();
    }
    let mut direct = redis::Client::open(server.cache_url()).unwrap().get_connection().unwrap();
    let key = format!("{}{{global}}:x", server.key_prefix());
    assert_eq!(direct.llen::<_, i64>(&key).unwrap(), 60);
}

#[tokio::test]
async fn subjects_do_not_share_a_limit() {
    let server = TestCache::create().await;
    let cache = cache(server.cache_url(), server.key_prefix());
    let source = |ip: &str| Subject::Source(ip.parse().unwrap());
    let take = async |subject: Subject| {
        cache.acquire(&subject, "x", &[Limit::per_minute(1)], at(0)).await.unwrap().is_ok()
    };
    assert!(take(source("2001:db8::1")).await);
    assert!(!take(source("2001:db8::ffff:1")).await, "one /64 is one customer");
    assert!(take(source("2001:db8:0:1::1")).await);
    assert!(take(source("192.0.2.1")).await && take(source("192.0.2.2")).await);
}

#[tokio::test]
async fn of_concurrent_guesses_three_are_counted_and_one_is_right() {
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
async fn every_key_expires_and_reveals_no_address_and_no_code() {
    let server = TestCache::create().await;
    let env = Env::new(|_| Some("pepper-pepper-pepper-pepper-pepper".into()));
    let cache = cache(server.cache_url(), server.key_prefix());
    let codes = Codes::new(cache.clone(), Pepper::from_env(&env).unwrap());
    let email = Email::parse("ada@example.com").unwrap();
    codes.issue(&email, &Code::parse("123456").unwrap(), at(0)).await.unwrap();
    let address = codes.subject(&email);
    cache.acquire(&address, "codes", &[Limit::per_day(20)], at(0)).await.unwrap().unwrap();

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
async fn the_cache_reconnects_after_a_server_restart() {
    let servers = PrivateServers::start().await.unwrap();
    let cache = cache(&servers.cache_url(), "");
    let take =
        async || cache.acquire(&Subject::Global, "x", &[Limit::per_minute(1000)], at(0)).await;
    take().await.unwrap().unwrap();
    servers.cache().stop().await;
    let watch = Stopwatch::start();
    assert!(take().await.is_err());
    let taken = watch.elapsed_on_time();
    assert!(taken < Duration::from_secs(1), "{taken:?}");
    servers.cache().start().await.unwrap();
    for _ in 0..40 {
        if take().await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    take().await.unwrap().unwrap();
}
