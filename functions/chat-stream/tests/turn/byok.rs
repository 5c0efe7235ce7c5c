//! BYOK: turns that the user's own key pays.

use serde_json::json;
use shared_core::keys::{KeyPolicy, MonthlyCap};

use crate::app::app;
use crate::chat::Chat;

const KEY: &str = "sk-or-v1-ada-0123456789abcdef";

async fn with_key(key: &str, policy: KeyPolicy) -> Chat {
    let chat = Chat::start().await;
    chat.stack.byok(&chat.session, key, policy, None).await;
    chat
}

/// The keys in the requests to the provider.
fn paid_by(chat: &Chat) -> Vec<String> {
    chat.stack.provider.requests().iter().map(|request| request.key().to_owned()).collect()
}

#[tokio::test]
async fn a_key_with_policy_always_pays_spends_no_credits_and_is_metered() {
    let chat = with_key(KEY, KeyPolicy::Always).await;
    for model in ["fake/echo", "openai/gpt-5-mini"] {
        let finish = chat.ask(model, "hi").await.chunks().pop().unwrap();
        let metadata = &finish["messageMetadata"];
        assert_eq!((&metadata["paidBy"], &metadata["credits"]), (&json!("byok"), &json!(0)));
        assert!(metadata["costUsd"].as_f64().unwrap() > 0.0);
    }
    assert_eq!(paid_by(&chat), [KEY, KEY]);
    chat.stack.until_count(0, "select count(*) from allowances").await;
    let metered = "select count(*) from turns where paid_by = 'byok' and state = 'settled' and cost_nano_usd > 0";
    chat.stack.until_count(2, metered).await;
}

#[tokio::test]
async fn a_key_with_policy_fallback_pays_what_the_plan_does_not() {
    let chat = with_key(KEY, KeyPolicy::Fallback).await;
    for _ in 0..6 {
        assert_eq!(chat.ask("fake/echo", "hi").await.status, 200);
    }
    assert_eq!(chat.ask("openai/gpt-5-mini", "hi").await.status, 200);
    let platform = "sk-or-v1-test";
    assert_eq!(paid_by(&chat), [platform, platform, platform, platform, platform, KEY, KEY]);
}

#[tokio::test]
async fn revoked_exhausted_and_rate_limited_keys_each_have_their_error() {
    for (end, expected) in [
        ("dead", (403, "key_refused")),
        ("poor", (402, "key_exhausted")),
        ("busy", (429, "key_busy")),
    ] {
        let chat = with_key(&format!("sk-or-v1-0123{end}"), KeyPolicy::Always).await;
        let refused = chat.ask("fake/echo", "hi").await;
        assert_eq!(refused.refusal(), (expected.0, expected.1.to_owned()));
        assert_eq!(refused.header("retry-after").is_some(), end == "busy");
        assert_eq!(chat.stored().await, ("failed".into(), String::new(), Some(expected.1.into())));
        // Marked as refused or not, the turn never falls back to credits.
        chat.stack.until_count(0, "select count(*) from allowances").await;
    }
}

#[tokio::test]
async fn a_revoked_key_is_marked_as_refused_and_not_used_again() {
    let chat = with_key(KEY, KeyPolicy::Always).await;
    assert_eq!(chat.ask("fake/echo", "hi").await.status, 200);
    chat.stack.provider.revoke(KEY);
    for _ in 0..3 {
        assert_eq!(chat.ask("fake/echo", "hi").await.refusal(), (403, "key_refused".into()));
    }
    assert_eq!(chat.stack.provider.requests().len(), 2);
    chat.stack
        .until_count(1, "select count(*) from provider_keys where refused_at is not null")
        .await;
    // Another key replaces it.
    chat.stack.byok(&chat.session, "sk-or-v1-another-key", KeyPolicy::Always, None).await;
    assert_eq!(chat.ask("fake/echo", "hi").await.status, 200);
}

#[tokio::test]
async fn a_refusal_that_is_not_about_the_key_does_not_mark_it() {
    let chat = with_key(KEY, KeyPolicy::Always).await;
    // The key itself is valid.
    assert_eq!(chat.ask("fake/status-401", "hi").await.refusal(), (502, "model_failed".into()));
    chat.stack
        .until_count(0, "select count(*) from provider_keys where refused_at is not null")
        .await;
    assert_eq!(chat.ask("fake/echo", "hi").await.status, 200);
}

#[tokio::test]
async fn a_refused_fallback_key_is_an_error_once_the_credits_are_exhausted() {
    let chat = with_key(KEY, KeyPolicy::Fallback).await;
    let owner = chat.stack.owner().await;
    owner.execute("update provider_keys set refused_at = now()", &[]).await.unwrap();
    for _ in 0..5 {
        assert_eq!(chat.ask("fake/echo", "hi").await.status, 200);
    }
    assert_eq!(chat.ask("fake/echo", "hi").await.refusal(), (403, "key_refused".into()));
}

#[tokio::test]
async fn a_key_spends_no_more_than_its_monthly_cap() {
    let chat = Chat::start().await;
    chat.stack.clock.set("2026-03-31T23:59:00Z".parse().unwrap());
    let session = chat.stack.session("ada@example.com").await;
    let cap = MonthlyCap::from_usd(0.01).unwrap();
    chat.stack.byok(&session, KEY, KeyPolicy::Always, Some(cap)).await;
    let chat = Chat {
        client: chat.client.clone().signed_in(&chat.stack.cookie(&session)),
        session,
        ..chat
    };
    // The fake provider charges two millionths of a dollar a word.
    assert_eq!(chat.ask("fake/echo", &"word ".repeat(5_000)).await.status, 200);
    let capped = chat.ask("fake/echo", "hi").await;
    assert_eq!(capped.refusal(), (402, "key_cap_reached".into()));
    assert_eq!(
        capped.json()["error"]["details"],
        json!({ "monthlyCapUsd": 0.01, "resetsAt": "2026-04-01T00:00:00Z" })
    );
    chat.stack.clock.advance(std::time::Duration::from_mins(1));
    assert_eq!(chat.ask("fake/echo", "hi").await.status, 200);
}

#[tokio::test]
async fn swapped_ciphertexts_of_two_users_decrypt_for_neither() {
    let chat = with_key(KEY, KeyPolicy::Always).await;
    let eve = chat.stack.session("eve@example.com").await;
    chat.stack.byok(&eve, "sk-or-v1-eve-0123456789abcdef", KeyPolicy::Always, None).await;
    let swap = "update provider_keys k
                   set (nonce, ciphertext) = (select nonce, ciphertext from provider_keys o where o.user_id <> k.user_id)";
    chat.stack.owner().await.execute(swap, &[]).await.unwrap();
    let eves = chat.client.clone().signed_in(&chat.stack.cookie(&eve));
    for client in [&chat.client, &eves] {
        let question = crate::chat::body("swapped-chat", "fake/echo", "hi");
        let refused = client.post("/api/chat", &question).await;
        assert_ne!(refused.status, 200);
    }
    assert_eq!(chat.ask("fake/echo", "hi").await.refusal(), (403, "key_unreadable".into()));
    assert!(chat.stack.provider.requests().is_empty());
    chat.stack.until_count(0, "select count(*) from messages").await;
}

#[tokio::test]
async fn without_the_master_key_no_model_is_asked_and_nothing_is_lost() {
    let mut chat = with_key(KEY, KeyPolicy::Always).await;
    let other = std::env::temp_dir().join(format!("vault-keys-{}", std::process::id()));
    std::fs::write(&other, format!("other:{}", "ab".repeat(32))).unwrap();
    chat.stack.set("VAULT_KEYS", format!("file:{}", other.display()));
    let client = testkit::Client::new(app(&chat.stack, &chat.tasks))
        .signed_in(&chat.stack.cookie(&chat.session));
    let question = crate::chat::body("the-chat", "fake/echo", "hi");
    let refused = client.post("/api/chat", &question).await;
    assert_eq!(refused.refusal(), (503, "unavailable".into()));
    std::fs::remove_file(&other).unwrap();
    assert_eq!(chat.ask("fake/echo", "hi").await.status, 200);
    chat.stack.until_count(2, "select count(*) from messages").await;
}
