//! Streams that are followed at another process, or resumed.

use std::time::Duration;

use axum::body::Body;
use fake_openrouter::Script;
use fake_openrouter::script::{Gate, delta, done, gate, pause, silent, stop};
use futures_util::future::join_all;
use serde_json::json;
use testkit::{Client, Stopwatch};

use crate::app::app;
use crate::chat::{Chat, body};
use crate::reading::{Reading, frames, text_of};

const STREAM: &str = "/api/chat/the-chat/stream";
/// 40 words, 20 ms apart.
const SLOW: Script = Script::Paced { chunks: 40, gap: Duration::from_millis(20) };

#[tokio::test]
async fn a_running_answer_is_replayed_from_its_start_and_followed_to_its_end() {
    let chat = Chat::start().await;
    chat.stack.provider.script("fake/mine", SLOW);
    let mut first = Reading::question(&chat.client, &body("the-chat", "fake/mine", "hi")).await;
    first.until("\"id\":\"0\",\"delta\"").await;
    let elsewhere = chat.elsewhere();
    let resumed = Reading::get(&elsewhere, STREAM).await;
    assert_eq!(resumed.status, 200);
    let (first, resumed) = tokio::join!(first.rest(), resumed.rest());
    assert_eq!(frames(&resumed), frames(&first), "byte for byte, the message's id too");
    assert!(first.contains(r#""type":"finish""#));

    // Ended: its text is in the chat.
    assert_eq!(elsewhere.get(STREAM).await.status, 204);
}

#[tokio::test]
async fn a_client_resumes_from_its_last_frame() {
    let chat = Chat::start().await;
    let whole = frames(&chat.ask("fake/echo", "one two three four").await.body);
    let elsewhere = chat.elsewhere();
    // Also of an ended answer, at every frame.
    let count = whole.matches("id: ").count() - whole.matches("\"id: ").count();
    for after in 0..=count {
        let frame = format!("id: {}\n", after + 1);
        let rest = whole.find(&frame).map_or("data: [DONE]\n\n", |at| &whole[at..]);
        let by_query = elsewhere.get(&format!("{STREAM}?after={after}")).await;
        assert_eq!(by_query.body, rest, "after {after}");
        let by_header = elsewhere.clone().with("last-event-id", &after.to_string());
        assert_eq!(by_header.get(STREAM).await.body, rest, "after {after}");
    }
    assert_eq!(elsewhere.get(&format!("{STREAM}?after=999")).await.body, "data: [DONE]\n\n");

    // An older answer than the newest, by its id.
    let start = whole.lines().nth(1).unwrap().strip_prefix("data: ").unwrap();
    let start: serde_json::Value = serde_json::from_str(start).unwrap();
    let id = start["messageId"].as_str().unwrap();
    chat.ask("fake/echo", "something else").await;
    let named = elsewhere.get(&format!("{STREAM}?after=0&message={id}")).await;
    assert_eq!(named.body, whole);
    assert_eq!(text_of(&elsewhere.get(&format!("{STREAM}?after=0")).await.body), "something else");
}

#[tokio::test]
async fn an_expired_log_cannot_be_resumed() {
    let chat = Chat::start().await;
    chat.ask("fake/echo", "hello").await;
    chat.forget_logs().await;
    assert_eq!(chat.client.get(&format!("{STREAM}?after=0")).await.status, 204);
}

#[tokio::test]
async fn another_users_or_an_unknown_chat_cannot_be_followed_or_stopped() {
    let chat = Chat::start().await;
    chat.stack.provider.script("fake/mine", SLOW);
    let mut running = Reading::question(&chat.client, &body("the-chat", "fake/mine", "hi")).await;
    running.until("\"start\"").await;
    let eve = chat.stack.session("eve@example.com").await;
    let eve = Client::new(app(&chat.stack, &chat.tasks)).signed_in(&chat.stack.cookie(&eve));
    let anonymous = Client::new(app(&chat.stack, &chat.tasks));
    let refused = |status: u16, code: &str| (status, code.to_owned());
    for (method, path) in [("GET", "stream"), ("POST", "stop")] {
        let ask = async |client: &Client, rest: &str| {
            let path = format!("/api/chat/{rest}");
            client.send(client.request(method, &path, Body::empty())).await.refusal()
        };
        let running = format!("the-chat/{path}?message=some-message");
        assert_eq!(ask(&eve, &running).await, refused(404, "chat_not_found"));
        assert_eq!(
            ask(&anonymous, &format!("the-chat/{path}")).await,
            refused(401, "unauthenticated")
        );
        let mine = &chat.client;
        let elsewhere = format!("no-such-chat/{path}?message=some-message");
        assert_eq!(ask(mine, &elsewhere).await, refused(404, "chat_not_found"));
        assert_eq!(ask(mine, &format!("short/{path}")).await, refused(422, "invalid_id"));
        let unknown = format!("the-chat/{path}?message=no-such-message");
        assert_eq!(ask(mine, &unknown).await, refused(404, "message_not_found"));
        let malformed = format!("the-chat/{path}?message=%00");
        assert_eq!(ask(mine, &malformed).await, refused(422, "invalid_id"));
        let odd = format!("the-chat/{path}?after=-1");
        assert_eq!(ask(mine, &odd).await, refused(422, "invalid_request"));
    }
    // A page of a new chat tries to resume as well, and another user's chat looks like a new one.
    for (client, of) in [(&eve, "the-chat"), (&chat.client, "no-such-chat")] {
        for after in ["", "?after=0"] {
            let stream = client.get(&format!("/api/chat/{of}/stream{after}")).await;
            assert_eq!((stream.status.as_u16(), stream.body.as_str()), (204, ""));
        }
        let stop = client.request("POST", &format!("/api/chat/{of}/stop"), Body::empty());
        assert_eq!(client.send(stop).await.refusal(), refused(404, "chat_not_found"));
    }
    chat.stack.database().request(&chat.session, chat.stack.clock.now()).log_out().await.unwrap();
    assert_eq!(chat.client.get(STREAM).await.refusal(), refused(401, "session_ended"));
    assert!(
        running.rest().await.contains(r#""type":"finish""#),
        "none of these requests stopped it"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_followers_a_slow_one_delays_no_other() {
    const READERS: usize = 50;
    let chat = Chat::start().await;
    chat.stack.provider.script("fake/mine", SLOW);
    let mut first = Reading::question(&chat.client, &body("the-chat", "fake/mine", "hi")).await;
    first.until("\"start\"").await;
    let elsewhere = chat.elsewhere();
    // Reads one chunk, and then no more until all others are done.
    let mut slow = Reading::get(&elsewhere, STREAM).await;
    assert!(slow.more().await);
    let watch = Stopwatch::start();
    let readers = join_all((0..READERS).map(async |_| {
        let reading = Reading::get(&elsewhere, STREAM).await.rest().await;
        (reading, watch.elapsed_on_time())
    }));
    let first = async { (first.rest().await, watch.elapsed_on_time()) };
    let ((first, ended), readers) = tokio::join!(first, readers);
    for (reader, at) in readers {
        assert_eq!(frames(&reader), frames(&first));
        let late = at.saturating_sub(ended);
        assert!(late < Duration::from_millis(500), "{late:?} behind");
    }
    assert_eq!(frames(&slow.rest().await), frames(&first));
}

#[tokio::test]
async fn a_quiet_stream_sends_heartbeats() {
    let mut stack = testkit::TestStack::start().await;
    stack.set("KEEP_ALIVE_SECONDS", "1");
    let chat = Chat::on(stack).await;
    chat.stack.provider.script("fake/mine", [delta("one "), silent()]);
    let mut first = Reading::question(&chat.client, &body("the-chat", "fake/mine", "hi")).await;
    first.until("one ").await;
    let mut resumed = Reading::get(&chat.elsewhere(), STREAM).await;
    resumed.until("one ").await;
    resumed.until(": still here\n\n").await;
}

#[tokio::test]
async fn without_the_cache_a_turn_goes_on_and_cannot_be_followed_or_stopped() {
    let mut stack = testkit::TestStack::start().await;
    stack.set("CACHE_URL", "redis://127.0.0.1:1");
    let chat = Chat::on(stack).await;
    let end = Gate::default();
    let steps = [delta("one "), gate(&end), delta("two"), stop(), done()];
    chat.stack.provider.script("fake/mine", steps);
    let mut first = Reading::question(&chat.client, &body("the-chat", "fake/mine", "hi")).await;
    first.until("one ").await;
    for (method, path, code) in
        [("GET", "stream", "resume_unavailable"), ("POST", "stop", "stop_unavailable")]
    {
        let path = format!("/api/chat/the-chat/{path}");
        let refused = chat.client.send(chat.client.request(method, &path, Body::empty())).await;
        assert_eq!(refused.refusal(), (503, code.to_owned()));
        assert!(refused.header("retry-after").is_some());
    }
    // A duplicate request cannot be followed without the live log.
    let mut again = body("the-chat", "fake/mine", "hi");
    again["message"]["id"] = json!("another-question");
    assert_eq!(chat.client.post("/api/chat", &again).await.refusal().1, "turn_running");
    end.open();
    assert_eq!(text_of(&first.rest().await), "one two");
    assert_eq!(chat.stored().await.0, "complete");
}

#[tokio::test]
async fn an_answer_too_long_for_its_log_is_stored_whole_and_followers_get_an_error_at_the_gap() {
    const PIECE: usize = 256 * 1024;
    let chat = Chat::start().await;
    let piece = "x".repeat(PIECE);
    let pieces = (0..40).flat_map(|_| [delta(&piece), pause(Duration::from_millis(5))]);
    let script: Vec<_> = pieces.chain([stop(), done()]).collect();
    chat.stack.provider.script("fake/mine", script);
    let mut first = Reading::question(&chat.client, &body("the-chat", "fake/mine", "hi")).await;
    first.until("\"text-delta\"").await;
    let followed = Reading::get(&chat.elsewhere(), STREAM).await;
    let (first, followed) = tokio::join!(first.rest(), followed.rest());
    assert_eq!(text_of(&first).len(), 40 * PIECE);
    assert!(first.contains(r#""type":"finish""#));
    let (followed_text, written) = (text_of(&followed), 8 * 1024 * 1024 - 4 * PIECE);
    assert!(
        followed_text.len() > written && followed_text.len() < 8 * 1024 * 1024,
        "{}",
        followed_text.len()
    );
    assert!(followed.contains("resume_unavailable") && followed.ends_with("data: [DONE]\n\n"));
    assert_eq!(chat.stored().await.1.len(), 40 * PIECE);
}
