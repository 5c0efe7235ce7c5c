//! Behaviour that a test scripts.

use std::time::Duration;

use fake_openrouter::script::{
    citation, comment, cut, delta, done, error, heartbeat, pause, raw, reasoning, role, silent,
    status, stop, usage, usage_with_choices,
};
use fake_openrouter::{FakeOpenRouter, Script, Stream};
use serde_json::json;

use crate::client::{KEY, ask, complete, open, post, question, send};

#[tokio::test]
async fn a_script_is_what_the_client_reads() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let script = [role(), delta("Hel"), delta("lo"), stop(), usage(10, 2, 0.0001), done()];
    fake.script("mine/one", script);
    let answer = ask(&fake, "mine/one", "anything").await;
    assert_eq!(answer.deltas(), ["Hel", "lo"]);
    assert_eq!(answer.finish_reason().as_deref(), Some("stop"));
    assert_eq!(answer.usage()["prompt_tokens"], 10);
    assert_eq!(answer.usage()["completion_tokens"], 2);
    assert_eq!(answer.usage()["cost"], 0.0001);
    assert!(answer.is_done());
}

#[tokio::test]
async fn the_rarer_steps_are_written_as_they_are() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let script = vec![
        comment("hm"),
        reasoning("thinking"),
        citation("https://example.com", "Example"),
        usage_with_choices(1, 1, 0.5),
        raw("data: {not json}\n\n"),
        error("server_error", "it broke", "server"),
    ];
    fake.script("mine/one", script);
    let lines = ask(&fake, "mine/one", "anything").await.lines();
    assert_eq!(lines[0], ": hm");
    assert!(lines[1].contains(r#""reasoning":"thinking""#));
    assert!(lines[2].contains(r#""url":"https://example.com""#));
    assert!(lines[3].contains(r#""delta":{}"#) && lines[3].contains(r#""cost":0.5"#));
    assert_eq!(lines[4], "data: {not json}");
    assert!(lines[5].contains(r#""code":"server_error""#));
}

#[tokio::test]
async fn a_later_script_replaces_an_earlier_one_and_a_built_in_model() {
    let fake = FakeOpenRouter::start().await.unwrap();
    fake.script("fake/echo", [delta("first")]);
    fake.script("fake/echo", [delta("second")]);
    assert_eq!(ask(&fake, "fake/echo", "hello").await.deltas(), ["second"]);
}

#[tokio::test]
async fn a_script_ends_properly_without_a_done() {
    let fake = FakeOpenRouter::start().await.unwrap();
    fake.script("mine/one", [delta("bye")]);
    let answer = ask(&fake, "mine/one", "hello").await;
    assert!(answer.complete && !answer.is_done());
    fake.script("mine/none", Vec::new());
    let empty = ask(&fake, "mine/none", "hello").await;
    assert!(empty.complete && empty.chunks.is_empty());
    assert_eq!((fake.active_streams(), fake.dropped_streams()), (0, 0));
}

#[tokio::test]
async fn frames_before_a_pause_arrive_before_it() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let steps = [delta("a"), delta("b"), pause(Duration::from_millis(300)), delta("c")];
    fake.script("mine/one", Stream::from(steps).burst());
    let answer = ask(&fake, "mine/one", "hello").await;
    assert_eq!(answer.chunks.len(), 2);
    assert!(answer.arrivals[0] < Duration::from_millis(200));
    assert!(answer.arrivals[1] >= Duration::from_millis(300));
}

#[tokio::test]
async fn pieces_have_the_size_that_was_asked_for() {
    let fake = FakeOpenRouter::start().await.unwrap();
    fake.script("mine/one", Stream::from([delta("世界"), done()]).crlf().pieces(11));
    let answer = ask(&fake, "mine/one", "hello").await;
    let (last, whole) = answer.chunks.split_last().unwrap();
    assert!(whole.iter().all(|chunk| chunk.len() == 11) && last.len() <= 11);
    assert_eq!(answer.deltas(), ["世界"]);
    assert!(answer.text().ends_with("data: [DONE]\r\n\r\n"));
    fake.script("mine/one", Stream::from([done()]).pieces(0));
    assert_eq!(ask(&fake, "mine/one", "hello").await.chunks.len(), "data: [DONE]\n\n".len());
}

#[tokio::test]
async fn a_cut_may_come_first_or_after_a_burst() {
    let fake = FakeOpenRouter::start().await.unwrap();
    fake.script("mine/first", [cut(), delta("never")]);
    let first = ask(&fake, "mine/first", "hello").await;
    assert!(!first.complete && !first.text().contains("never\""));
    fake.script("mine/burst", Stream::from([delta("a"), delta("b"), cut()]).burst());
    let burst = ask(&fake, "mine/burst", "hello").await;
    assert!(!burst.complete && burst.text().contains(r#""content":"b""#));
}

#[tokio::test]
async fn a_slow_reader_sees_a_cut_at_the_same_place() {
    let fake = FakeOpenRouter::start().await.unwrap();
    // More than the socket's buffers hold, so that the cut waits behind unsent bytes.
    let text = "x".repeat(16 * 1024 * 1024);
    fake.script("mine/one", [delta(text.clone()), delta("b"), cut()]);
    let stream = open(&fake, "mine/one", "hello").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let answer = stream.rest(tokio::time::Instant::now()).await;
    assert!(!answer.complete);
    let received = answer.text();
    assert!(received.contains(&text) && received.contains(r#""content":"b""#));
    assert!(!received.ends_with("\n\n"));
}

#[tokio::test]
async fn silence_and_heartbeats_may_follow_words() {
    let fake = FakeOpenRouter::start().await.unwrap();
    fake.script("mine/silent", [delta("a"), silent()]);
    let mut stream = open(&fake, "mine/silent", "hello").await;
    assert!(stream.next().await.unwrap().unwrap().starts_with(b"data: "));
    assert!(stream.is_silent_for(Duration::from_millis(200)).await);
    fake.script("mine/beating", [delta("a"), heartbeat(Duration::from_millis(10))]);
    let mut stream = open(&fake, "mine/beating", "hello").await;
    assert!(stream.next().await.unwrap().unwrap().starts_with(b"data: "));
    for _ in 0..3 {
        assert!(stream.next().await.unwrap().unwrap().starts_with(b": "));
    }
}

#[tokio::test]
async fn a_status_script_keeps_the_usual_body_and_takes_headers() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let busy = status(429).header("retry-after", "7").header("bad name", "ignored");
    fake.script("mine/busy", busy);
    let answer = ask(&fake, "mine/busy", "hello").await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), "7");
    assert_eq!(answer.header("x-ratelimit-limit"), "20");
    assert_eq!(answer.json()["error"]["metadata"]["error_type"], "rate_limit_exceeded");
}

#[tokio::test]
async fn a_status_script_may_bring_its_own_body() {
    let fake = FakeOpenRouter::start().await.unwrap();
    fake.script("mine/json", status(403).json(&json!({ "error": { "code": "custom" } })));
    let answer = ask(&fake, "mine/json", "hello").await;
    assert_eq!(answer.json()["error"]["code"], "custom");
    fake.script("mine/html", status(524).text("<html>A timeout occurred</html>"));
    let answer = ask(&fake, "mine/html", "hello").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (524, "text/html"));
    assert_eq!(answer.text(), "<html>A timeout occurred</html>");
    for no_status in [0, 101, 65_535] {
        fake.script("mine/odd", status(no_status));
        assert_eq!(ask(&fake, "mine/odd", "hello").await.status, 500);
    }
}

#[tokio::test]
async fn a_paced_script_is_one_answer_when_nothing_is_streamed() {
    let fake = FakeOpenRouter::start().await.unwrap();
    fake.script("mine/one", Script::Paced { chunks: 3, gap: Duration::from_millis(10) });
    let mut body = question("mine/one", "hello");
    body["stream"] = json!(false);
    let completion = complete(&fake, &body).await.json();
    assert_eq!(completion["choices"][0]["message"]["content"], "tok tok tok ");
    assert_eq!(completion["usage"]["completion_tokens"], 3);
}

#[tokio::test]
async fn requests_are_recorded_in_order_with_their_headers() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let body = json!({ "model": "fake/echo", "stream": true, "messages": [
        { "role": "system", "content": "be brief" },
        { "role": "user", "content": [
            { "type": "text", "text": "look" },
            { "type": "image_url", "image_url": { "url": "https://example.com/a.png" } },
        ]},
    ]});
    let mut request = post(&fake, KEY, &body.to_string());
    request.headers_mut().insert("http-referer", "https://example.com".parse().unwrap());
    request.headers_mut().insert("x-openrouter-title", "An app".parse().unwrap());
    send(&fake, request).await;
    let mut older = post(&fake, KEY, &question("fake/empty", "hello").to_string());
    older.headers_mut().insert("x-title", "An older app".parse().unwrap());
    send(&fake, older).await;

    let [first, second] = fake.requests().try_into().unwrap();
    assert_eq!(first.model(), "fake/echo");
    assert_eq!(first.messages(), ["system: be brief", "user: look[image_url]"]);
    assert_eq!(first.body, body);
    assert_eq!(first.authorization, Some(format!("Bearer {KEY}")));
    assert_eq!(first.referer.as_deref(), Some("https://example.com"));
    assert_eq!(first.title.as_deref(), Some("An app"));
    assert_eq!(first.headers["content-type"], "application/json");
    assert_eq!(second.messages(), ["user: hello"]);
    assert_eq!(second.title.as_deref(), Some("An older app"));
}
