//! What a producer writes, and what becomes of it.

use local_stack::TestCache;
use shared_cache::LogState;

use crate::{AN_HOUR, FIVE_SECONDS, Keys, TEN_MINUTES, append, batch, batches, heartbeat, log};

#[tokio::test]
async fn a_repeated_batch_is_stored_once() {
    let server = TestCache::create().await;
    let log = log(&server);
    heartbeat(&log, batch(b"a", 1, 2)).await;
    // The acknowledgement was lost; the retry is of either kind.
    for _ in 0..2 {
        assert!(log.append(batch(b"a", 1, 2)).await.unwrap());
        heartbeat(&log, batch(b"a", 1, 2)).await;
    }
    for _ in 0..2 {
        assert!(log.append(batch(b"b", 3, 4)).await.unwrap());
    }
    // Even if the retry comes late, whatever its content is now.
    assert!(log.append(batch(b"x", 1, 2)).await.unwrap());
    heartbeat(&log, batch(b"x", 1, 2)).await;
    assert_eq!(batches(&log.read(0).await.unwrap()), [(1, 2, "a"), (3, 4, "b")]);
    // The retry holds more.
    assert!(log.append(batch(b"bc", 3, 5)).await.unwrap());
    heartbeat(&log, batch(b"bcd", 3, 6)).await;
    assert_eq!(batches(&log.read(4).await.unwrap()), [(3, 5, "bc"), (3, 6, "bcd")]);

    for _ in 0..2 {
        log.end(Some(batch(b"e", 7, 7))).await.unwrap();
    }
    assert_eq!(batches(&log.read(6).await.unwrap()), [(7, 7, "e")]);
}

#[tokio::test]
async fn nothing_comes_after_the_end() {
    let server = TestCache::create().await;
    let (log, mut keys) = (log(&server), Keys::of(&server));
    append(&log, batch(b"a", 1, 1)).await;
    log.end(None).await.unwrap();
    assert!(log.append(batch(b"late", 2, 2)).await.unwrap(), "it is no error");
    heartbeat(&log, batch(b"late", 2, 2)).await;
    keys.assert_live(&[("log", AN_HOUR)]);
    log.end(Some(batch(b"later", 3, 3))).await.unwrap();
    let page = log.read(0).await.unwrap();
    assert_eq!((batches(&page), page.state), (vec![(1, 1, "a")], LogState::Ended));
    keys.assert_live(&[("log", AN_HOUR)]);
}

#[tokio::test]
async fn every_key_expires() {
    let server = TestCache::create().await;
    let (log, mut keys) = (log(&server), Keys::of(&server));
    log.request_stop().await.unwrap();
    keys.assert_live(&[("stop", TEN_MINUTES)]);
    log.heartbeat(None, None).await.unwrap();
    keys.assert_live(&[("alive", FIVE_SECONDS), ("log", AN_HOUR), ("stop", TEN_MINUTES)]);
    log.heartbeat(Some(batch(b"a", 1, 1)), Some("gen-1")).await.unwrap();
    let all =
        [("alive", FIVE_SECONDS), ("generation", AN_HOUR), ("log", AN_HOUR), ("stop", TEN_MINUTES)];
    keys.assert_live(&all);

    // Any heartbeat renews the log's TTL, whatever became of it; an append between them does not.
    keys.age("log");
    keys.age("generation");
    log.append(batch(b"b", 2, 2)).await.unwrap();
    let aged =
        [("alive", FIVE_SECONDS), ("generation", 50..=60), ("log", 50..=60), ("stop", TEN_MINUTES)];
    keys.assert_live(&aged);
    keys.persist("log");
    log.heartbeat(None, Some("gen-1")).await.unwrap();
    keys.assert_live(&all);

    keys.age("log");
    keys.age("generation");
    log.end(Some(batch(b"c", 3, 3))).await.unwrap();
    keys.assert_live(&[("generation", AN_HOUR), ("log", AN_HOUR)]);
    assert_eq!(log.read(3).await.unwrap().generation.as_deref(), Some("gen-1"));
}

#[tokio::test]
async fn only_a_heartbeat_begins_a_log() {
    let server = TestCache::create().await;
    let (log, mut keys) = (log(&server), Keys::of(&server));
    assert!(!log.append(batch(b"a", 1, 1)).await.unwrap());
    // An append that created it would leave it without a TTL.
    keys.assert_live(&[]);
    heartbeat(&log, batch(b"a", 1, 1)).await;
    assert!(log.append(batch(b"b", 2, 2)).await.unwrap());
    assert_eq!(batches(&log.read(0).await.unwrap()), [(1, 1, "a"), (2, 2, "b")]);
}

#[tokio::test]
async fn frames_that_the_cache_has_lost_are_a_gap() {
    let server = TestCache::create().await;
    let (log, mut keys) = (log(&server), Keys::of(&server));
    append(&log, batch(b"a", 1, 4)).await;
    keys.delete("log");
    let page = log.read(2).await.unwrap();
    assert_eq!((batches(&page), page.state), (vec![], LogState::Running));
    append(&log, batch(b"b", 5, 8)).await;
    assert_eq!(batches(&log.read(2).await.unwrap()), [(5, 8, "b")]);
    assert_eq!(log.read_all().await.unwrap().last, 0, "it is read up to the gap");

    // A heartbeat of a silent turn comes first.
    keys.delete("log");
    log.heartbeat(None, None).await.unwrap();
    assert!(log.append(batch(b"c", 9, 9)).await.unwrap());
    assert_eq!(batches(&log.read(8).await.unwrap()), [(9, 9, "c")]);
    assert_eq!(log.read_all().await.unwrap().last, 0);
}
