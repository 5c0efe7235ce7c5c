//! No key is stored, logged or returned in plaintext.

use serde_json::{Value, json};
use testkit::{LogCapture, TestStack};

use crate::api::setup::{KEY, PATH, SECRET, User, key_ending, refused};

#[tokio::test]
async fn the_database_holds_no_key_in_any_form() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    assert_eq!(ada.put_key(KEY).await.status, 200);
    let database = stack.whole_database().await;
    let forms = "select encode(k, 'hex'), encode(k, 'base64'), encode(reverse(k), 'hex'),
                        (select encode(ciphertext, 'escape') || encode(nonce, 'escape') from provider_keys)
                   from (values ($1::text::bytea)) as key (k)";
    for text in [KEY, SECRET] {
        let row = stack.owner().await.query_one(forms, &[&text]).await.unwrap();
        for form in [text, row.get(0), row.get(1), row.get(2)] {
            assert!(!database.contains(form), "{form} in {database}");
            assert!(!row.get::<_, &str>(3).contains(form), "{form}");
        }
    }
    // Its masked form and label are there, so the right place was searched.
    assert!(database.contains("sk-or-...mine") && database.contains("sk-or-v1-c0f...mine"));
}

#[tokio::test]
async fn no_key_is_in_a_log_or_in_a_response() {
    // All that this thread logs, its libraries and the fake provider included.
    let log = LogCapture::start();
    let mut stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let mut answers = Vec::new();
    for end in ["mine", "dead", "managed", "expired", "busy", "down"] {
        answers.push(ada.put_key(&key_ending(end)).await.body);
    }
    answers.push(ada.patch(json!({ "policy": "always" })).await.body);
    answers.push(ada.get().await.body);
    // One more outage each time: the backends are called in the reverse order.
    for (away, url) in [
        ("OPENROUTER_BASE_URL", "http://127.0.0.1:1"),
        ("CACHE_URL", "redis://127.0.0.1:1"),
        ("DATABASE_URL", "postgres://u@127.0.0.1:1/x"),
    ] {
        stack.set(away, url);
        let answer = User::again(&stack, ada.session).put_key(KEY).await;
        assert_eq!(answer.status, 503, "{away}");
        answers.push(answer.body);
    }
    // The label is OpenRouter's own abbreviation, `sk-or-v1-c0f...mine`.
    for answer in answers {
        assert!(!answer.contains(SECRET), "{answer}");
    }
    let log = log.text();
    let ours = ["a key could not be checked", "a key cannot be reached", "answered"];
    assert!(ours.iter().all(|line| log.contains(line)) && log.contains("TRACE"), "{log}");
    assert!(!log.contains(SECRET), "{log}");
}

#[tokio::test]
async fn a_misplaced_key_is_not_echoed() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    for body in [
        json!(KEY),
        json!({ KEY: KEY }),
        json!({ "key": { KEY: 1 } }),
        json!({ "key": KEY, "policy": KEY }),
        json!({ "key": KEY, "monthlyCapUsd": KEY }),
        json!({ "key": format!("{KEY} {KEY}") }),
        Value::String(format!("\"{KEY}")),
    ] {
        let answer = ada.put(body.clone()).await;
        assert_eq!(answer.status, 422, "{body}");
        assert!(!answer.body.contains(SECRET), "{}", answer.body);
    }
    for body in [format!("{{\"key\":{KEY}"), format!("{{\"key\":\"{KEY}")] {
        let answer = ada.client.json("PUT", PATH, body).await;
        assert_eq!(answer.refusal(), refused(400, "malformed_json"));
        assert!(!answer.body.contains(SECRET), "{}", answer.body);
    }
    let words = ada.put(json!({ "key": KEY, "policy": KEY })).await.body;
    assert!(words.contains("monthlyCapUsd") && words.contains("fallback"), "{words}");
}
