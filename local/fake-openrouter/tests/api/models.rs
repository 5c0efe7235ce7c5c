//! The models that answer to the end.

use std::time::Duration;

use bytes::Bytes;
use fake_openrouter::FakeOpenRouter;
use serde_json::json;

use crate::client::{ask, complete, question};

#[tokio::test]
async fn echo_repeats_the_question_word_by_word() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = ask(&fake, "fake/echo", " one  two\nthree ").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/event-stream");
    assert_eq!(answer.deltas(), [" one  ", "two\n", "three "]);
    assert!(answer.is_done());
}

#[tokio::test]
async fn echo_has_the_frames_of_a_real_stream_in_their_order() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = ask(&fake, "fake/echo", "hello").await;
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
}

#[tokio::test]
async fn only_a_free_model_costs_nothing() {
    let fake = FakeOpenRouter::start().await.unwrap();
    for (model, cost) in [
        ("fake/echo:free", 0.0),
        ("fake/echo:online", 0.000_003),
        ("meta-llama/llama-3.3-70b-instruct:free", 0.0),
        ("anthropic/claude-sonnet-4.5", 0.000_018),
    ] {
        let answer = ask(&fake, model, "word").await;
        assert_eq!(answer.deltas(), ["word"], "{model}");
        assert_eq!(answer.usage()["cost"], cost, "{model}");
    }
}

#[tokio::test]
async fn a_whole_answer_contains_what_the_stream_contains() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let mut body = question("fake/cited", "hello there");
    body["stream"] = json!(false);
    let answer = complete(&fake, &body).await;
    assert_eq!(answer.header("content-type"), "application/json");
    let completion = answer.json();
    assert_eq!(completion["id"], answer.header("x-generation-id"));
    assert_eq!(completion["object"], "chat.completion");
    let choice = &completion["choices"][0];
    assert_eq!(choice["message"]["role"], "assistant");
    assert_eq!(choice["message"]["content"], "hello there");
    assert_eq!(choice["message"]["annotations"][0]["type"], "url_citation");
    assert_eq!(choice["finish_reason"], "stop");
    assert_eq!(completion["usage"]["completion_tokens"], 2);
    assert_eq!(completion["usage"]["cost"], 0.000_006);
}

#[tokio::test]
async fn slow_counts_to_200_with_25_ms_in_between() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = ask(&fake, "fake/slow", "go").await;
    let numbers: Vec<String> = (1..=200).map(|number| format!("{number} ")).collect();
    assert_eq!(answer.deltas(), numbers);
    assert!(answer.is_done());
    let (third, last) = (answer.arrivals[2], answer.arrivals[201]);
    assert!(last.checked_sub(third).unwrap() >= Duration::from_millis(199 * 25));
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
async fn reasoning_stays_hidden_when_the_request_excludes_it() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let mut body = question("fake/reasoning", "the answer");
    body["reasoning"] = json!({ "exclude": true });
    let answer = complete(&fake, &body).await;
    assert!(answer.delta_field("reasoning").is_empty());
    assert_eq!(answer.deltas(), ["the ", "answer"]);
}

#[tokio::test]
async fn a_whole_answer_carries_its_reasoning() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let mut body = question("fake/reasoning", "yes");
    body["stream"] = json!(false);
    let message = complete(&fake, &body).await.json()["choices"][0]["message"].take();
    assert_eq!(message["reasoning"], "The user said something, so I say it again.");
    assert_eq!(message["reasoning_details"][0]["text"], message["reasoning"]);
    assert_eq!(message["content"], "yes");
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
async fn empty_finishes_without_a_token() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = ask(&fake, "fake/empty", "hello").await;
    assert!(answer.deltas().is_empty());
    assert_eq!(answer.finish_reason().as_deref(), Some("stop"));
    assert_eq!(answer.usage()["completion_tokens"], 0);
    assert!(answer.is_done());
}

#[tokio::test]
async fn bench_sends_its_chunks_at_absolute_times() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = ask(&fake, "fake/bench-100-5", "go").await;
    assert_eq!(answer.deltas().len(), 100);
    assert_eq!(answer.usage()["completion_tokens"], 100);
    assert!(answer.is_done());
    let paced = &answer.arrivals[2..102];
    let elapsed = paced[99].checked_sub(paced[0]).unwrap();
    // 99 gaps. Relative sleeps, each rounded up to the timer's millisecond, would take 99 ms more.
    assert!(elapsed >= Duration::from_millis(490), "{elapsed:?}");
    assert!(elapsed < Duration::from_millis(560), "{elapsed:?}");
}

#[tokio::test]
async fn bench_without_a_gap_still_sends_every_chunk_by_itself() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = ask(&fake, "fake/bench-1000-0", "go").await;
    assert_eq!(answer.deltas().len(), 1_000);
    // The client may see a chunk in two parts, but never two frames in one.
    let frames = |chunk: &Bytes| String::from_utf8_lossy(chunk).matches("data: ").count();
    assert!(answer.chunks.iter().all(|chunk| frames(chunk) <= 1));
}

#[tokio::test]
async fn without_a_model_the_default_answers() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let body = json!({ "stream": true, "messages": [{ "role": "user", "content": "hello" }] });
    assert_eq!(complete(&fake, &body).await.deltas(), ["hello"]);
}

#[tokio::test]
async fn a_fallback_answers_for_a_model_that_refuses() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let mut body = question("fake/status-503", "hello");
    body["models"] = json!(["fake/status-503", "fake/status-429", "fake/echo"]);
    let answer = complete(&fake, &body).await;
    assert_eq!(answer.deltas(), ["hello"]);
    assert_eq!(answer.events()[0]["model"], "fake/echo");
}

#[tokio::test]
async fn no_fallback_helps_an_account_without_credit() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let mut body = question("fake/status-402", "hello");
    body["models"] = json!(["fake/echo"]);
    assert_eq!(complete(&fake, &body).await.status, 402);
}
