//! The key, the model list, and the record of a generation.

use std::time::Duration;

use fake_openrouter::FakeOpenRouter;
use fake_openrouter::script::{delta, pause, stop};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use crate::client::{Answer, KEY, Open, ask, get, open};

/// The path of an answer's record.
fn record_of(answer: &Answer) -> String {
    format!("/generation?id={}", answer.header("x-generation-id"))
}

#[tokio::test]
async fn a_key_shows_its_limit_its_expiry_and_whether_it_is_a_management_key() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = get(&fake, "/key", Some(KEY)).await;
    assert_eq!(answer.status, 200);
    let good = answer.json()["data"].take();
    assert_eq!(good["label"], "sk-or-v1-0e6...1c96");
    assert_eq!(good["limit"], 100.0);
    assert_eq!(good["limit_remaining"], 74.5);
    assert_eq!(good["is_free_tier"], false);
    assert_eq!((&good["expires_at"], &good["is_management_key"]), (&Value::Null, &json!(false)));
    for (key, field, value) in [
        ("sk-or-v1-123poor", "limit_remaining", json!(0.0)),
        ("sk-or-v1-123expired", "expires_at", json!("2026-01-01T00:00:00Z")),
        ("sk-or-v1-123managed", "is_management_key", json!(true)),
    ] {
        let answer = get(&fake, "/key", Some(key)).await;
        assert_eq!(answer.status, 200, "{key}");
        assert_eq!(answer.json()["data"][field], value, "{key}");
    }
}

#[tokio::test]
async fn an_unknown_or_missing_key_is_refused() {
    let fake = FakeOpenRouter::start().await.unwrap();
    for key in [None, Some("sk-or-v1-123dead"), Some("nonsense"), Some(" ")] {
        assert_eq!(get(&fake, "/key", key).await.status, 401, "{key:?}");
    }
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

/// Cancels an answer, and returns its record, which is there a moment later.
async fn record_of_cancelled(fake: &FakeOpenRouter, stream: Open) -> Value {
    let path = format!("/generation?id={}", stream.headers["x-generation-id"].to_str().unwrap());
    drop(stream);
    let shown = async {
        loop {
            let answer = get(fake, &path, Some(KEY)).await;
            if answer.status == 200 {
                return answer.json()["data"].take();
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let record = timeout(Duration::from_secs(5), shown).await.unwrap();
    assert_eq!(record["cancelled"], true);
    record
}

/// Cancels an answer of 200 words after a few, and returns its record.
async fn record_of_cancelled_count(fake: &FakeOpenRouter, model: &str) -> Value {
    let mut stream = open(fake, model, "count please").await;
    for _ in 0..7 {
        stream.next().await.unwrap().unwrap();
    }
    let record = record_of_cancelled(fake, stream).await;
    let said = record["native_tokens_completion"].as_u64().unwrap();
    let billionths = u32::try_from(2 * 1_000 + said * 2_000).unwrap();
    assert_eq!(record["total_cost"], f64::from(billionths) / 1e9);
    record
}

#[tokio::test]
async fn a_cancelled_generation_costs_what_was_generated_until_then() {
    let fake = FakeOpenRouter::start().await.unwrap();
    for model in ["fake/slow", "fake/bench-200-20"] {
        let record = record_of_cancelled_count(&fake, model).await;
        let said = record["native_tokens_completion"].as_u64().unwrap();
        assert!((3..200).contains(&said), "{model}: {said}");
        assert_eq!(record["finish_reason"], Value::Null);
    }
}

#[tokio::test]
async fn a_cancelled_generation_costs_the_whole_answer_if_the_provider_goes_on() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let record = record_of_cancelled_count(&fake, "fake/unstoppable").await;
    assert_eq!(record["native_tokens_completion"], 200);
    assert_eq!(record["finish_reason"], "stop");

    let steps = [delta("a "), pause(Duration::from_secs(9)), delta("b c"), stop()];
    fake.script("google/gemini-2.5-flash", steps);
    let mut stream = open(&fake, "google/gemini-2.5-flash", "hello").await;
    stream.next().await.unwrap().unwrap();
    let record = record_of_cancelled(&fake, stream).await;
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
