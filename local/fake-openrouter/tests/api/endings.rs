//! Streams that fail, stop or never end, and clients that disconnect.

use std::time::Duration;

use fake_openrouter::FakeOpenRouter;
use serde_json::json;
use tokio::time::timeout;

use crate::client::{KEY, ask, complete, open, post, question, send};

const SOON: Duration = Duration::from_secs(5);
const A_WHILE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn fail_midstream_reports_its_error_in_the_stream() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = ask(&fake, "fake/fail-midstream", "hello").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.deltas().concat(), "This answer will not be");
    let last = answer.events().pop().unwrap();
    assert_eq!(last["error"]["code"], 429);
    assert_eq!(last["error"]["message"], "Rate limit exceeded");
    assert_eq!(last["error"]["metadata"]["error_type"], "rate_limit_exceeded");
    assert_eq!(last["choices"][0]["finish_reason"], "error");
    assert!(answer.complete && !answer.is_done());
}

#[tokio::test]
async fn fail_midstream_string_has_a_word_for_a_code() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = ask(&fake, "fake/fail-midstream-string", "hello").await;
    assert!(!answer.deltas().is_empty());
    assert_eq!(answer.events().pop().unwrap()["error"]["code"], "server_error");
}

#[tokio::test]
async fn fail_first_fails_in_its_first_frame() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = ask(&fake, "fake/fail-first", "hello").await;
    assert_eq!(answer.status, 200);
    let [only] = answer.events().try_into().unwrap();
    assert_eq!(only["error"]["code"], 502);
    assert!(answer.lines()[0].starts_with("data: "));
}

#[tokio::test]
async fn a_failure_is_a_status_when_nothing_is_streamed() {
    let fake = FakeOpenRouter::start().await.unwrap();
    for (model, status) in [("fake/fail-midstream", 429), ("fake/fail-midstream-string", 500)] {
        let mut body = question(model, "hello");
        body["stream"] = json!(false);
        let answer = complete(&fake, &body).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.json()["error"]["code"], status);
    }
}

#[tokio::test]
async fn a_cut_ends_without_the_last_chunk() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = ask(&fake, "fake/cut", "hello").await;
    assert_eq!(answer.status, 200);
    assert!(!answer.complete);
    let text = answer.text();
    let (whole, part) = text.rsplit_once("\n\n").unwrap();
    assert!(whole.ends_with('}'));
    assert!(part.starts_with("data: {") && !part.ends_with('}'), "{part}");
    assert_eq!(fake.dropped_streams(), 0);
}

#[tokio::test]
async fn a_cut_leaves_half_a_whole_answer() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let mut body = question("fake/cut", "hello");
    body["stream"] = json!(false);
    let answer = complete(&fake, &body).await;
    assert!(!answer.complete);
    assert!(answer.text().starts_with('{') && !answer.text().ends_with('}'));
}

#[tokio::test]
async fn silent_sends_one_comment_and_keeps_the_connection() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let mut stream = open(&fake, "fake/silent", "hello").await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.next().await.unwrap().unwrap(), ": OPENROUTER PROCESSING\n\n");
    assert!(stream.is_silent_for(A_WHILE).await);
    assert_eq!(fake.active_streams(), 1);
}

#[tokio::test]
async fn hang_sends_not_even_headers() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = timeout(A_WHILE, open(&fake, "fake/hang", "hello")).await;
    assert!(answer.is_err());
    assert_eq!(fake.requests().len(), 1);
    timeout(SOON, fake.wait_for_dropped_streams(1)).await.unwrap();
}

#[tokio::test]
async fn comments_come_for_ever_and_are_all_that_comes() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let mut stream = open(&fake, "fake/comments", "hello").await;
    let started = tokio::time::Instant::now();
    for _ in 0..6 {
        assert_eq!(stream.next().await.unwrap().unwrap(), ": OPENROUTER PROCESSING\n\n");
    }
    assert!(started.elapsed() >= Duration::from_millis(490));
}

#[tokio::test]
async fn a_stream_that_is_read_to_its_end_is_not_dropped() {
    let fake = FakeOpenRouter::start().await.unwrap();
    ask(&fake, "fake/echo", "hello").await;
    assert_eq!((fake.active_streams(), fake.dropped_streams()), (0, 0));
}

#[tokio::test]
async fn a_stream_dropped_by_the_client_is_counted() {
    let fake = FakeOpenRouter::start().await.unwrap();
    for model in ["fake/slow", "fake/silent", "fake/comments", "fake/bench-1000-50"] {
        let before = fake.dropped_streams();
        let mut stream = open(&fake, model, "hello").await;
        stream.next().await.unwrap().unwrap();
        assert_eq!(fake.active_streams(), 1, "{model}");
        drop(stream);
        timeout(SOON, fake.wait_for_dropped_streams(before + 1)).await.unwrap();
        assert_eq!(fake.active_streams(), 0, "{model}");
    }
}

#[tokio::test]
async fn shutdown_ends_connections_and_frees_the_port() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let address = fake.address();
    let mut stream = open(&fake, "fake/silent", "hello").await;
    stream.next().await.unwrap().unwrap();
    fake.shutdown().await;
    assert!(timeout(SOON, stream.next()).await.unwrap().unwrap().is_err());
    FakeOpenRouter::start_on(address).await.unwrap();
}

#[tokio::test]
async fn dropping_the_server_stops_it() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let address = fake.address();
    let mut stream = open(&fake, "fake/silent", "hello").await;
    stream.next().await.unwrap().unwrap();
    drop(fake);
    assert!(timeout(SOON, stream.next()).await.unwrap().unwrap().is_err());
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_cut_concerns_its_own_connection_only() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let mut other = open(&fake, "fake/slow", "hello").await;
    assert!(!ask(&fake, "fake/cut", "hello").await.complete);
    for _ in 0..5 {
        other.next().await.unwrap().unwrap();
    }
    let body = question("fake/echo", "still here").to_string();
    let answer = send(&fake, post(&fake, KEY, &body)).await;
    assert_eq!(answer.status, 200);
}
