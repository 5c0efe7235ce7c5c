//! Outages of each backend.

use fake_aws::{FakeAws, Trouble};
use serde_json::json;
use testkit::{TestStack, repository};

use crate::api::setup::{KEY, User, key_ending, refused};

#[tokio::test]
async fn without_postgres_every_route_answers_503_with_retry_after() {
    let mut stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    ada.put_key(KEY).await;
    stack.set("DATABASE_URL", "postgres://u@127.0.0.1:1/x");
    let away = User::again(&stack, ada.session);
    for answer in [
        away.get().await,
        away.put_key(KEY).await,
        away.patch(json!({ "policy": "always" })).await,
        away.delete().await,
    ] {
        assert_eq!(answer.refusal(), refused(503, "unavailable"));
        assert_eq!(answer.header("retry-after"), Some("5"));
    }
    // The failed attempt has not counted against the rate limit.
    assert_eq!(ada.put_key(KEY).await.header("ratelimit-remaining"), Some("8"));
}

#[tokio::test]
async fn without_the_cache_no_key_is_checked_and_all_else_works() {
    let mut stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    ada.put_key(KEY).await;
    stack.set("CACHE_URL", "redis://127.0.0.1:1");
    let ada = User::again(&stack, ada.session);
    // The first is one that OpenRouter would reject: it was not asked.
    for end in ["dead", "other"] {
        let answer = ada.put_key(&key_ending(end)).await;
        assert_eq!(answer.refusal(), refused(503, "unavailable"), "{end}");
        assert_eq!(answer.header("retry-after"), Some("5"));
    }
    assert_eq!(ada.stored(&stack).await.as_deref(), Some(KEY));
    assert_eq!(ada.get().await.status, 200);
    assert_eq!(ada.patch(json!({ "policy": "always" })).await.json()["policy"], "always");
    assert_eq!(ada.delete().await.status, 204);
}

#[tokio::test]
async fn without_openrouter_no_key_is_stored_and_all_else_works() {
    let mut stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    ada.put_key(KEY).await;
    stack.set("OPENROUTER_BASE_URL", "http://127.0.0.1:1/api/v1");
    let ada = User::again(&stack, ada.session);
    let answer = ada.put_key(&key_ending("other")).await;
    assert_eq!(answer.refusal(), refused(503, "key_check_unavailable"));
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert_eq!(ada.stored(&stack).await.as_deref(), Some(KEY));
    assert_eq!(ada.get().await.status, 200);
    assert_eq!(ada.patch(json!({ "policy": "always" })).await.status, 200);
    assert_eq!(ada.delete().await.status, 204);
}

#[tokio::test]
async fn a_key_whose_master_key_is_gone_is_shown_and_can_be_replaced() {
    let mut stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let before = ada.put_key(KEY).await.json();
    let file = repository().join("functions/keys/tests/api/other-vault-keys");
    stack.set("VAULT_KEYS", format!("file:{}", file.display()));
    let ada = User::again(&stack, ada.session);
    let (data_key, sealed) = ada.sealed(&stack).await.unwrap();
    stack.vault().open(&data_key, ada.session.user, &sealed).await.unwrap_err();

    assert_eq!(ada.get().await.json(), before);
    assert_eq!(ada.patch(json!({ "policy": "always" })).await.status, 200);
    assert_eq!(ada.put_key(KEY).await.json()["policy"], "always");
    assert_eq!(ada.sealed(&stack).await.unwrap().0.master, "other");
    assert_eq!(ada.stored(&stack).await.as_deref(), Some(KEY));
    stack.until_count(2, "select count(*) from data_keys").await;
}

#[tokio::test]
async fn without_kms_no_key_is_stored_and_all_else_works() {
    let aws = FakeAws::start().await.unwrap();
    let mut stack = TestStack::start().await;
    for (name, value) in aws.variables() {
        stack.set(name, value);
    }
    stack.set("VAULT_KEYS", aws.put_key("chat"));
    let ada = User::new(&stack, "ada").await;
    // First on creating a data key, then on decrypting the existing one.
    for stored in [None, Some(KEY)] {
        let ada = User::again(&stack, ada.session);
        aws.script(1, &Trouble::Denied);
        let answer = ada.put_key(&key_ending("other")).await;
        assert_eq!(answer.refusal(), refused(503, "unavailable"));
        assert_eq!(ada.stored(&stack).await.as_deref(), stored);
        assert_eq!(ada.get().await.status.as_u16(), if stored.is_some() { 200 } else { 404 });
        assert_eq!(ada.put_key(KEY).await.status, 200);
    }
    let calls = aws.calls().len();
    ada.delete().await;
    ada.get().await;
    assert_eq!(aws.calls().len(), calls);
}
