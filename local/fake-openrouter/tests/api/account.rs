//! The key, the model list, and the record of a generation.

use std::time::Duration;

use fake_openrouter::FakeOpenRouter;
use fake_openrouter::script::{delta, pause, stop};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::client::{Answer, KEY, ask, get, open, post, question, send};

async fn ask_with(fake: &FakeOpenRouter, key: &str) -> Answer {
    let body = question("fake/echo", "hello").to_string();
    send(fake, post(fake, key, &body)).await.rest(Instant::now()).await
}

/// The path of an answer's record.
fn record_of(answer: &Answer) -> String {
    format!("/generation?id={}", answer.header("x-generation-id"))
}

#[tokio::test]
async fn a_valid_key_shows_its_limits() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = get(&fake, "/key", Some(KEY)).await;
    assert_eq!(answer.status, 200);
    let data = answer.json()["data"].take();
    assert_eq!(data["label"], "sk-or-v1-0e6...1c96");
    assert_eq!(data["limit"], 100.0);
    assert_eq!(data["limit_remaining"], 74.5);
    assert_eq!(data["is_free_tier"], false);
}

#[tokio::test]
async fn an_unknown_or_missing_key_is_refused() {
    let fake = FakeOpenRouter::start().await.unwrap();
    for key in [None, Some("sk-or-v1-123dead"), Some("nonsense"), Some(" ")] {
        assert_eq!(get(&fake, "/key", key).await.status, 401, "{key:?}");
    }
}

#[tokio::test]
async fn an_exhausted_key_passes_the_check_with_nothing_left() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = get(&fake, "/key", Some("sk-or-v1-123poor")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["data"]["limit_remaining"], 0.0);
}

#[tokio::test]
async fn a_rate_limited_key_gets_retry_after() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = get(&fake, "/key", Some("sk-or-v1-123busy")).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("retry-after"), "2");
    assert_eq!(answer.header("x-ratelimit-remaining"), "0");
}

#[tokio::test]
async fn a_key_still_works_while_its_check_is_unavailable() {
    let fake = FakeOpenRouter::start().await.unwrap();
    assert_eq!(get(&fake, "/key", Some("sk-or-v1-123down")).await.status, 503);
    assert!(ask_with(&fake, "sk-or-v1-123down").await.is_done());
}

#[tokio::test]
async fn an_expired_or_management_key_is_marked_as_such() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let expired = get(&fake, "/key", Some("sk-or-v1-123expired")).await.json()["data"].take();
    assert_eq!(expired["expires_at"], "2026-01-01T00:00:00Z");
    let managed = get(&fake, "/key", Some("sk-or-v1-123managed")).await.json()["data"].take();
    assert_eq!(managed["is_management_key"], true);
    let good = get(&fake, "/key", Some(KEY)).await.json()["data"].take();
    assert_eq!((&good["expires_at"], &good["is_management_key"]), (&Value::Null, &json!(false)));
}

#[tokio::test]
async fn a_revoked_key_is_unknown_everywhere_and_no_other_is() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let (one, two) = (ask_with(&fake, "sk-or-v1-one").await, ask_with(&fake, "sk-or-v1-two").await);
    assert!(one.is_done() && two.is_done());
    fake.revoke("sk-or-v1-one");
    let [one, two] = [one, two].map(|answer| record_of(&answer));
    for (one, two) in [("/key", "/key"), (&one, &two)] {
        assert_eq!(get(&fake, one, Some("sk-or-v1-one")).await.status, 401, "{one}");
        assert_eq!(get(&fake, two, Some("sk-or-v1-two")).await.status, 200, "{two}");
    }
    assert_eq!(ask_with(&fake, "sk-or-v1-one").await.status, 401);
    assert!(ask_with(&fake, "sk-or-v1-two").await.is_done());
}

#[tokio::test]
async fn a_slow_key_takes_five_seconds() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = get(&fake, "/key", Some("sk-or-v1-123slow")).await;
    assert_eq!(answer.status, 200);
    assert!(answer.arrivals[0] >= Duration::from_secs(5));
}

#[tokio::test]
async fn the_model_list_has_the_real_shape() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let document = get(&fake, "/models", None).await.json();
    let models = document["data"].as_array().unwrap();
    assert_eq!(document["total_count"], models.len());
    for model in models {
        assert!(model["id"].is_string() && model["name"].is_string());
        assert!(model["pricing"]["prompt"].is_string());
        assert!(model["context_length"].is_u64());
        assert!(model["architecture"]["input_modalities"].is_array());
        assert!(model["supported_parameters"].is_array());
    }
    let by_id = |id: &str| models.iter().find(|model| model["id"] == id).unwrap();
    assert_eq!(by_id("openai/gpt-5-mini")["pricing"]["prompt"], "0.00000025");
    assert_eq!(by_id("fake/echo")["pricing"]["completion"], "0.000002");
    assert_eq!(by_id("fake/echo:free")["pricing"]["completion"], "0");
    assert!(by_id("fake/reasoning")["reasoning"]["supported_efforts"].is_array());
    assert_eq!(by_id("fake/echo")["reasoning"], Value::Null);
}

#[tokio::test]
async fn every_listed_model_answers() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let document = get(&fake, "/models", None).await.json();
    for model in document["data"].as_array().unwrap() {
        let id = model["id"].as_str().unwrap();
        if id == "fake/hang" {
            continue;
        }
        let stream = open(&fake, id, "hello").await;
        let expected = id.strip_prefix("fake/status-").unwrap_or("200");
        assert_eq!(stream.status.as_str(), expected, "{id}");
    }
}

#[tokio::test]
async fn the_model_list_is_paginated_on_request() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let all = get(&fake, "/models", None).await.json();
    let page = get(&fake, "/models?offset=1&limit=2", None).await.json();
    assert_eq!(page["data"].as_array().unwrap()[..], all["data"].as_array().unwrap()[1..3]);
    assert_eq!(page["total_count"], all["total_count"]);
    let beyond = get(&fake, "/models?offset=99999", None).await.json();
    assert_eq!(beyond["data"], json!([]));
    assert_eq!(get(&fake, "/models?limit=x", None).await.status, 400);
}

#[tokio::test]
async fn a_test_may_replace_the_model_list() {
    let fake = FakeOpenRouter::start().await.unwrap();
    fake.set_models(json!({ "data": [{ "id": "only/one" }] }));
    assert_eq!(get(&fake, "/models", None).await.json()["data"], json!([{ "id": "only/one" }]));
    fake.set_models(json!("nonsense"));
    assert_eq!(get(&fake, "/models", None).await.json(), json!("nonsense"));
}

#[tokio::test]
async fn a_generation_can_be_looked_up_once_it_is_over() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = ask(&fake, "fake/echo", "one two").await;
    let path = record_of(&answer);
    let record = get(&fake, &path, Some(KEY)).await.json()["data"].take();
    assert_eq!(record["id"], answer.header("x-generation-id"));
    assert_eq!(record["model"], "fake/echo");
    assert_eq!(record["streamed"], true);
    assert_eq!(record["cancelled"], false);
    assert_eq!(record["native_tokens_prompt"], 2);
    assert_eq!(record["native_tokens_completion"], 2);
    assert_eq!(record["total_cost"], 0.000_006);
    assert_eq!(record["finish_reason"], "stop");
    assert_eq!(get(&fake, &path, None).await.status, 401);
}

#[tokio::test]
async fn a_generation_is_shown_only_to_the_key_that_paid_for_it() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let path = record_of(&ask_with(&fake, "sk-or-v1-one").await);
    assert_eq!(get(&fake, &path, Some("sk-or-v1-one")).await.status, 200);
    assert_eq!(get(&fake, &path, Some("sk-or-v1-two")).await.status, 404);
}

/// Cancels an answer of 200 words after a few, and returns its record.
async fn cancelled_record(fake: &FakeOpenRouter, model: &str) -> Value {
    let mut stream = open(fake, model, "count please").await;
    let id = stream.headers["x-generation-id"].to_str().unwrap().to_owned();
    let path = format!("/generation?id={id}");
    for _ in 0..7 {
        stream.next().await.unwrap().unwrap();
    }
    assert_eq!(get(fake, &path, Some(KEY)).await.status, 404, "it is not over");
    let dropped = fake.dropped_streams();
    drop(stream);
    timeout(Duration::from_secs(5), fake.wait_for_dropped_streams(dropped + 1)).await.unwrap();
    assert_eq!(get(fake, &path, Some(KEY)).await.status, 404, "it is not counted");
    sleep(Duration::from_millis(550)).await;
    let record = get(fake, &path, Some(KEY)).await.json()["data"].take();
    assert_eq!(record["cancelled"], true);
    let said = record["native_tokens_completion"].as_u64().unwrap();
    let billionths = u32::try_from(2 * 1_000 + said * 2_000).unwrap();
    assert_eq!(record["total_cost"], f64::from(billionths) / 1e9);
    record
}

#[tokio::test]
async fn a_cancelled_generation_costs_what_was_generated_until_then() {
    let fake = FakeOpenRouter::start().await.unwrap();
    for model in ["fake/slow", "fake/bench-200-20"] {
        let record = cancelled_record(&fake, model).await;
        let said = record["native_tokens_completion"].as_u64().unwrap();
        assert!((3..30).contains(&said), "{model}: {said}");
        assert_eq!(record["finish_reason"], Value::Null);
    }
}

#[tokio::test]
async fn a_cancelled_generation_costs_the_whole_answer_if_the_provider_goes_on() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let record = cancelled_record(&fake, "fake/unstoppable").await;
    assert_eq!(record["native_tokens_completion"], 200);
    assert_eq!(record["finish_reason"], "stop");

    let steps = [delta("a "), pause(Duration::from_secs(9)), delta("b c"), stop()];
    fake.script("google/gemini-2.5-flash", steps);
    let mut stream = open(&fake, "google/gemini-2.5-flash", "hello").await;
    stream.next().await.unwrap().unwrap();
    let path = format!("/generation?id={}", stream.headers["x-generation-id"].to_str().unwrap());
    drop(stream);
    timeout(Duration::from_secs(5), fake.wait_for_dropped_streams(2)).await.unwrap();
    sleep(Duration::from_millis(550)).await;
    let record = get(&fake, &path, Some(KEY)).await.json()["data"].take();
    assert_eq!(record["native_tokens_completion"], 3);
}

#[tokio::test]
async fn a_failed_generation_costs_nothing() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = ask(&fake, "fake/fail-midstream", "hello").await;
    let path = record_of(&answer);
    let record = get(&fake, &path, Some(KEY)).await.json()["data"].take();
    assert_eq!(record["finish_reason"], "error");
    assert_eq!(record["total_cost"], 0.0);
}

#[tokio::test]
async fn an_unknown_generation_is_not_found() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = get(&fake, "/generation?id=gen-nothing", Some(KEY)).await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()["error"]["code"], 404);
    assert_eq!(get(&fake, "/generation", Some(KEY)).await.status, 400);
}
