//! Answers as streams of server-sent events.

use fake_openrouter::FakeOpenRouter;
use serde_json::json;

use crate::client::{ask, complete};

#[tokio::test]
async fn a_stream_has_a_comment_a_role_words_a_finish_reason_its_usage_and_done() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = ask(&fake, "fake/echo", "hello").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/event-stream");
    assert_eq!(answer.lines()[0], ": OPENROUTER PROCESSING");
    let [role, content, finish, usage] = answer.events().try_into().unwrap();
    assert_eq!(role["choices"][0]["delta"], json!({ "role": "assistant", "content": "" }));
    assert_eq!(content["choices"][0]["delta"], json!({ "content": "hello" }));
    assert_eq!(content["choices"][0]["finish_reason"], json!(null));
    assert_eq!(finish["choices"][0]["finish_reason"], "stop");
    assert_eq!(finish["choices"][0]["native_finish_reason"], "stop");
    assert_eq!(usage["choices"], json!([]));
    for chunk in [&role, &content, &finish, &usage] {
        assert_eq!(chunk["id"], answer.header("x-generation-id"));
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert_eq!(chunk["model"], "fake/echo");
        assert_eq!(chunk["provider"], "Fake");
        assert!(chunk["created"].as_i64().unwrap() > 1_700_000_000);
    }
    assert!(answer.is_done());
}

#[tokio::test]
async fn usage_counts_words_and_charges_the_listed_price() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let body = json!({ "model": "fake/echo", "stream": true, "messages": [
        { "role": "system", "content": "be brief" },
        { "role": "user", "content": [{ "type": "text", "text": "one two three" }] },
    ]});
    let usage = complete(&fake, &body).await.usage();
    assert_eq!(usage["prompt_tokens"], 5);
    assert_eq!(usage["completion_tokens"], 3);
    assert_eq!(usage["total_tokens"], 8);
    assert_eq!(usage["cost"], 0.000_011);
    assert_eq!(usage["is_byok"], false);
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 0);
    assert!(usage["cost_details"]["upstream_inference_prompt_cost"].is_number());
    for (model, cost) in [
        ("fake/echo:free", 0.0),
        ("meta-llama/llama-3.3-70b-instruct:free", 0.0),
        ("anthropic/claude-sonnet-4.5", 0.000_018),
    ] {
        assert_eq!(ask(&fake, model, "word").await.usage()["cost"], cost, "{model}");
    }
}

#[tokio::test]
async fn reasoning_comes_before_the_answer() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = ask(&fake, "fake/reasoning", "the answer").await;
    let thought = answer.delta_field("reasoning");
    assert_eq!(thought.concat(), "The user said something, so I say it again.");
    assert_eq!(answer.deltas(), ["the ", "answer"]);
    let events = answer.events();
    assert_eq!(events[1]["choices"][0]["delta"]["reasoning_details"][0]["type"], "reasoning.text");
    assert_eq!(events[1]["choices"][0]["delta"]["reasoning_details"][0]["text"], "The ");
    let usage = answer.usage();
    assert_eq!(usage["completion_tokens_details"]["reasoning_tokens"], 9);
    assert_eq!(usage["completion_tokens"], 11);
}

#[tokio::test]
async fn cited_names_two_sources() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = ask(&fake, "fake/cited", "Größe").await;
    let events = answer.events();
    let sources: Vec<_> = events
        .iter()
        .filter_map(|event| event["choices"][0]["delta"]["annotations"][0].as_object())
        .collect();
    assert_eq!(sources.len(), 2);
    assert_eq!(sources[0]["type"], "url_citation");
    assert_eq!(sources[0]["url_citation"]["url"], "https://example.com/first");
    assert_eq!(sources[0]["url_citation"]["title"], "The first source");
    assert_eq!(sources[0]["url_citation"]["end_index"], 5);
}

#[tokio::test]
async fn usage_with_choices_keeps_a_choice_beside_the_usage() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = ask(&fake, "fake/usage-with-choices", "hello").await;
    let last = answer.events().pop().unwrap();
    assert!(last["usage"].is_object());
    assert_eq!(last["choices"][0]["delta"], json!({}));
}

#[tokio::test]
async fn the_finish_reason_is_the_models() {
    let fake = FakeOpenRouter::start().await.unwrap();
    for (model, reason) in [("fake/length", "length"), ("fake/filtered", "content_filter")] {
        let answer = ask(&fake, model, "hello").await;
        assert_eq!(answer.finish_reason().as_deref(), Some(reason));
        assert!(!answer.deltas().is_empty());
        assert!(answer.is_done());
    }
}

#[tokio::test]
async fn a_failure_midstream_is_the_last_chunk_of_a_200() {
    let fake = FakeOpenRouter::start().await.unwrap();
    for (model, code, message, error_type) in [
        ("fake/fail-midstream", json!(429), "Rate limit exceeded", "rate_limit_exceeded"),
        (
            "fake/fail-midstream-string",
            json!("server_error"),
            "Provider disconnected unexpectedly",
            "server",
        ),
    ] {
        let answer = ask(&fake, model, "hello").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.deltas().concat(), "This answer will not be");
        let last = answer.events().pop().unwrap();
        assert_eq!(last["error"]["code"], code);
        assert_eq!(last["error"]["message"], message);
        assert_eq!(last["error"]["metadata"]["error_type"], error_type);
        assert_eq!(last["choices"][0]["finish_reason"], "error");
        assert!(answer.complete && !answer.is_done());
    }
    let answer = ask(&fake, "fake/fail-first", "hello").await;
    assert_eq!(answer.status, 200);
    let [only] = answer.events().try_into().unwrap();
    assert_eq!(only["error"]["code"], 502);
    assert!(answer.lines()[0].starts_with("data: "));
}

#[tokio::test]
async fn lines_may_end_in_crlf() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = ask(&fake, "fake/crlf", "one two").await;
    let text = answer.text();
    assert_eq!(text.matches("\r\n\r\n").count(), 7);
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    assert_eq!(answer.deltas(), ["one ", "two"]);
}
