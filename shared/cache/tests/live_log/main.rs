//! The live log, against a real server in cluster mode.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod writing;

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use local_stack::{PrivateServers, TestCache};
use redis::Commands;
use shared_cache::{Batch, Cache, CacheConfig, LiveLog, LogPage, LogState};
use shared_core::clock::Clock;
use shared_core::ids::{MessageId, UserId};
use testkit::Stopwatch;
use uuid::Uuid;

fn cache(url: &str, prefix: &str) -> Cache {
    let config = CacheConfig {
        url: Some(url.to_owned().into()),
        prefix: prefix.to_owned(),
        serverless: None,
        user: None,
    };
    Cache::new(&config, Clock::new(|| Timestamp::UNIX_EPOCH)).unwrap()
}

const USER: UserId = UserId(Uuid::from_u128(1));

fn answer() -> MessageId {
    MessageId::parse("answer-1").unwrap()
}

/// A log on the shared server, as one process sees it.
fn log(server: &TestCache) -> LiveLog {
    cache(server.cache_url(), server.key_prefix()).live_log(USER, &answer())
}

/// Frames `first` to `last`, with the bytes `frames`.
fn batch(frames: &[u8], first: u64, last: u64) -> Batch<&[u8]> {
    Batch { first, last, frames }
}

/// Appends as a producer does between heartbeats.
async fn append(log: &LiveLog, batch: Batch<&[u8]>) {
    if !log.append(batch).await.unwrap() {
        heartbeat(log, batch).await;
    }
}

async fn heartbeat(log: &LiveLog, batch: Batch<&[u8]>) {
    assert!(!log.heartbeat(Some(batch), None).await.unwrap(), "a stop that was not requested");
}

/// First frame, last frame and text of each batch.
fn batches(page: &LogPage) -> Vec<(u64, u64, &str)> {
    let text = |frames| std::str::from_utf8(frames).unwrap();
    page.batches.iter().map(|batch| (batch.first, batch.last, text(&batch.frames))).collect()
}

/// Direct access to the keys of an answer's log.
struct Keys {
    server: redis::Connection,
    prefix: String,
}

impl Keys {
    fn of(server: &TestCache) -> Self {
        let prefix = format!("{}{{turn:{USER}:answer-1}}:", server.key_prefix());
        let client = redis::Client::open(server.cache_url()).unwrap();
        Self { server: client.get_connection().unwrap(), prefix }
    }

    fn delete(&mut self, what: &str) {
        let deleted: u32 = self.server.del(format!("{}{what}", self.prefix)).unwrap();
        assert_eq!(deleted, 1, "there was no {what}");
    }

    /// Removes a key's TTL.
    fn persist(&mut self, what: &str) {
        let had_ttl: bool = self.server.persist(format!("{}{what}", self.prefix)).unwrap();
        assert!(had_ttl, "{what} had no TTL");
    }

    /// Sets a key's TTL to a minute.
    fn age(&mut self, what: &str) {
        let is_there: bool = self.server.expire(format!("{}{what}", self.prefix), 60).unwrap();
        assert!(is_there, "there is no {what}");
    }

    /// Asserts that exactly these keys of any answer exist, and the range of each TTL in seconds.
    fn assert_live(&mut self, expected: &[(&str, RangeInclusive<i64>)]) {
        let everything = format!("{}*", self.prefix.split('{').next().unwrap());
        let mut keys: Vec<String> = self.server.keys(everything).unwrap();
        keys.sort();
        let names = expected.iter().map(|(what, _)| format!("{}{what}", self.prefix));
        assert_eq!(keys, names.collect::<Vec<_>>());
        for (key, (_, seconds)) in keys.iter().zip(expected) {
            let left: i64 = self.server.pttl(key).unwrap();
            let millis = seconds.start() * 1000 + 1..=seconds.end() * 1000;
            assert!(millis.contains(&left), "{key} lives for {left} ms, not {seconds:?} s");
        }
    }
}

const AN_HOUR: RangeInclusive<i64> = 3590..=3600;
const FIVE_SECONDS: RangeInclusive<i64> = 0..=5;
const TEN_MINUTES: RangeInclusive<i64> = 590..=600;

#[tokio::test]
async fn a_reader_follows_what_another_process_writes() {
    let server = TestCache::create().await;
    let (producer, reader) = (log(&server), log(&server));
    assert_eq!(reader.read(0).await.unwrap().state, LogState::Absent);

    assert!(!producer.heartbeat(None, None).await.unwrap());
    let page = reader.read(0).await.unwrap();
    assert_eq!((batches(&page), page.state, page.has_more), (vec![], LogState::Running, false));

    append(&producer, batch(b"a", 1, 1)).await;
    append(&producer, batch(b"bc", 2, 3)).await;
    let page = reader.read(0).await.unwrap();
    assert_eq!(batches(&page), [(1, 1, "a"), (2, 3, "bc")]);
    assert_eq!((page.state, page.has_more), (LogState::Running, false));

    append(&producer, batch(b"d", 4, 4)).await;
    assert_eq!(batches(&reader.read(3).await.unwrap()), [(4, 4, "d")]);
    assert_eq!(batches(&reader.read(4).await.unwrap()), []);

    producer.end(Some(batch(b"ef", 5, 6))).await.unwrap();
    let page = reader.read(4).await.unwrap();
    assert_eq!((batches(&page), page.state), (vec![(5, 6, "ef")], LogState::Ended));
    for after in [6, 7, u64::MAX - 1, u64::MAX] {
        let page = reader.read(after).await.unwrap();
        assert_eq!((batches(&page), page.state), (vec![], LogState::Ended), "after {after}");
    }
}

#[tokio::test]
async fn a_batch_is_found_by_any_of_its_frames() {
    let server = TestCache::create().await;
    let log = log(&server);
    append(&log, batch(b"one", 1, 9)).await;
    append(&log, batch(b"two", 10, 19)).await;
    append(&log, batch(b"three", 20, 100)).await;
    for (after, found) in [(0, 3), (8, 3), (9, 2), (10, 2), (18, 2), (19, 1), (99, 1), (100, 0)] {
        let page = log.read(after).await.unwrap();
        assert_eq!(page.batches.len(), found, "after {after}");
        assert!(page.batches.first().is_none_or(|batch| batch.first <= after + 1));
    }
}

#[tokio::test]
async fn a_log_may_end_before_its_first_append() {
    let server = TestCache::create().await;
    let log = log(&server);
    log.end(None).await.unwrap();
    let page = log.read(0).await.unwrap();
    assert_eq!((batches(&page), page.state), (vec![], LogState::Ended));
    Keys::of(&server).assert_live(&[("log", AN_HOUR)]);
}

#[tokio::test]
async fn a_stop_is_seen_by_the_next_heartbeat() {
    let server = TestCache::create().await;
    let (producer, other) = (log(&server), log(&server));
    append(&producer, batch(b"a", 1, 1)).await;
    for _ in 0..2 {
        other.request_stop().await.unwrap();
    }
    assert!(producer.heartbeat(None, None).await.unwrap());
    assert!(producer.heartbeat(Some(batch(b"b", 2, 2)), None).await.unwrap());
    producer.end(None).await.unwrap();
    assert!(!producer.heartbeat(None, None).await.unwrap(), "it has stopped");
}

#[tokio::test]
async fn a_stop_may_come_before_the_turn() {
    let server = TestCache::create().await;
    let log = log(&server);
    log.request_stop().await.unwrap();
    assert_eq!(log.read(0).await.unwrap().state, LogState::Absent);
    assert!(log.heartbeat(None, None).await.unwrap());
}

#[tokio::test]
async fn logs_of_different_answers_are_independent() {
    let server = TestCache::create().await;
    let cache = cache(server.cache_url(), server.key_prefix());
    let [one, two] =
        ["answer-1", "answer-2"].map(|id| cache.live_log(USER, &MessageId::parse(id).unwrap()));
    one.heartbeat(Some(batch(b"a", 1, 1)), Some("gen-1")).await.unwrap();
    one.request_stop().await.unwrap();
    assert_eq!(two.read(0).await.unwrap().state, LogState::Absent);
    assert!(!two.heartbeat(None, None).await.unwrap());
    two.end(None).await.unwrap();
    let page = one.read(0).await.unwrap();
    assert_eq!((page.state, page.generation.as_deref()), (LogState::Running, Some("gen-1")));
    assert_eq!(two.read(0).await.unwrap().generation, None);
}

#[tokio::test]
async fn a_log_whose_producer_is_gone_is_orphaned() {
    let server = TestCache::create().await;
    let (log, mut keys) = (log(&server), Keys::of(&server));
    // The producer is gone before its first batch.
    log.heartbeat(None, None).await.unwrap();
    keys.delete("alive");
    assert_eq!(log.read(0).await.unwrap().state, LogState::Orphaned);

    log.heartbeat(Some(batch(b"a", 1, 1)), Some("gen-1")).await.unwrap();
    keys.delete("alive");
    for after in [0, 1] {
        let page = log.read(after).await.unwrap();
        assert_eq!(page.state, LogState::Orphaned, "after {after}");
        assert_eq!(page.generation.as_deref(), Some("gen-1"));
    }
    // The producer was only slow.
    heartbeat(&log, batch(b"b", 2, 2)).await;
    assert_eq!(log.read(0).await.unwrap().state, LogState::Running);

    keys.delete("alive");
    log.end(None).await.unwrap();
    assert_eq!(log.read(0).await.unwrap().state, LogState::Ended);
}

#[tokio::test]
async fn a_turn_is_alive_for_five_seconds() {
    // The server counts milliseconds, by its own clock.
    const CLOCKS_DIFFER_BY: Duration = Duration::from_millis(10);
    assert_eq!(LiveLog::ALIVE_FOR, Duration::from_secs(5));
    let server = TestCache::create().await;
    let log = log(&server);
    let before = Instant::now();
    append(&log, batch(b"a", 1, 1)).await;
    let after = Instant::now();
    loop {
        let read = Instant::now();
        let state = log.read(1).await.unwrap().state;
        // However late a read is: one that begins after the five seconds finds it orphaned, and one that
        // finds it orphaned ends after them.
        if state == LogState::Orphaned {
            let alive = before.elapsed();
            assert!(alive + CLOCKS_DIFFER_BY >= LiveLog::ALIVE_FOR, "{alive:?}");
            return;
        }
        assert_eq!(state, LogState::Running);
        let alive = read - after;
        assert!(alive < LiveLog::ALIVE_FOR + CLOCKS_DIFFER_BY, "{alive:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_long_log_comes_in_pages() {
    let server = TestCache::create().await;
    let log = log(&server);
    let sizes = |frame: u64| if frame <= 600 { 4096 } else { 300 };
    for frame in 1..=2600 {
        let frames = vec![b'0' + u8::try_from(frame % 10).unwrap(); sizes(frame)];
        append(&log, batch(&frames, frame, frame)).await;
    }
    log.end(None).await.unwrap();

    let (mut after, mut pages) = (0, 0);
    loop {
        let page = log.read(after).await.unwrap();
        assert_eq!(page.state, LogState::Ended);
        let bytes: usize = page.batches.iter().map(|batch| batch.frames.len()).sum();
        assert!(bytes < (256 + 16 * 4) * 1024, "a page of {bytes} bytes");
        assert!(bytes >= 256 * 1024 || !page.has_more, "a page of {bytes} bytes");
        for batch in page.batches {
            after += 1;
            assert_eq!((batch.first, batch.last), (after, after));
            let digit = b'0' + u8::try_from(after % 10).unwrap();
            assert_eq!(batch.frames, vec![digit; sizes(after)]);
        }
        pages += 1;
        if !page.has_more {
            break;
        }
    }
    assert_eq!((after, pages), (2600, 12));
}

#[tokio::test]
async fn frames_may_hold_any_bytes() {
    let server = TestCache::create().await;
    let log = log(&server);
    let text = "id: 1\ndata: {\"delta\":\"नमस्ते 👩🏽‍🚀\"}\n\n".as_bytes();
    // Half a character, bytes that would be an error in Lua or RESP, and an empty batch.
    let every_byte: Vec<u8> = (0..=255).collect();
    let all = [text, &text[..25], &every_byte, b"\r\n$-1\r\n", b""];
    for (frame, frames) in (1..).zip(all) {
        append(&log, batch(frames, frame, frame)).await;
    }
    let page = log.read(0).await.unwrap();
    assert_eq!(page.batches.iter().map(|batch| &*batch.frames).collect::<Vec<_>>(), all);
}

#[tokio::test]
async fn frame_numbers_are_exact_beyond_luas_doubles() {
    let server = TestCache::create().await;
    let log = log(&server);
    let first = (1 << 53) + 1;
    append(&log, batch(b"a", first, first)).await;
    append(&log, batch(b"b", first + 1, first + 1)).await;
    assert_eq!(batches(&log.read(first).await.unwrap()), [(first + 1, first + 1, "b")]);
    assert_eq!(batches(&log.read(0).await.unwrap())[0], (first, first, "a"));
}

#[tokio::test]
async fn calls_fail_fast_while_the_server_is_away_and_then_reconnect() {
    let servers = PrivateServers::start().await.unwrap();
    let log = cache(&servers.cache_url(), "").live_log(USER, &answer());
    append(&log, batch(b"a", 1, 1)).await;
    servers.cache().stop().await;
    let watch = Stopwatch::start();
    log.heartbeat(Some(batch(b"b", 2, 2)), None).await.unwrap_err();
    log.append(batch(b"b", 2, 2)).await.unwrap_err();
    log.read(0).await.unwrap_err();
    log.request_stop().await.unwrap_err();
    log.end(None).await.unwrap_err();
    let taken = watch.elapsed_on_time();
    assert!(taken < Duration::from_secs(2), "{taken:?}");

    servers.cache().start().await.unwrap();
    let mut tries = 0;
    while log.heartbeat(Some(batch(b"b", 2, 2)), None).await.is_err() {
        tries += 1;
        assert!(tries < 40, "the client does not reconnect");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(batches(&log.read(0).await.unwrap()), [(1, 1, "a"), (2, 2, "b")]);
}
