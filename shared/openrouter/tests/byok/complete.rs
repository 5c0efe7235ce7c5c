//! Turns paid by a user's own key (BYOK).

use std::pin::pin;
use std::time::Duration;

use fake_openrouter::FakeOpenRouter;
use fake_openrouter::script::{self, delta, error, status};
use serde_json::json;
use shared_core::chat::{ModelEvent, PromptMessage};
use shared_core::ids::UserId;
use shared_core::keys::ProviderKey;
use shared_core::models::{ModelError, ModelId};
use shared_openrouter::{CompletionRequest, OpenRouter, Received};
use testkit::LogCapture;
use tokio::time::sleep;
use uuid::Uuid;

use crate::setup::{GOOD, SECRET, key, start, with_platform_key};

const PLATFORM: &str = "sk-or-v1-the-platforms";
const IN_2_S: Duration = Duration::from_secs(2);

/// Asks, reads the stream to its end, and returns the text or the failure.
async fn asked(
    client: &OpenRouter,
    model: &str,
    key: Option<&ProviderKey>,
) -> Result<String, ModelError> {
    let model = ModelId::parse(model).unwrap();
    let messages = [PromptMessage { role: "user", content: "hello".into() }];
    let user = UserId(Uuid::from_u128(7));
    let trace = Uuid::from_u128(9).into();
    let mut stream = client
        .complete(&CompletionRequest {
            model: &model,
            messages: &messages,
            user,
            trace,
            pdf_engine: None,
            key,
        })
        .await?;
    let (mut text, mut failure) = (String::new(), None);
    let mut emit = |event: ModelEvent<'_>| match event {
        ModelEvent::Text(delta) => text.push_str(delta),
        ModelEvent::Failed(failed) => failure = Some(failed),
        ModelEvent::Reasoning(_)
        | ModelEvent::Citation { .. }
        | ModelEvent::Identified { .. }
        | ModelEvent::Finished(_)
        | ModelEvent::Used(_)
        | ModelEvent::Done => {}
    };
    while stream.next(pin!(sleep(IN_2_S)), &mut emit).await == Received::Events {}
    failure.map_or(Ok(text), Err)
}

#[tokio::test]
async fn the_key_of_the_turn_pays_and_is_sent_nowhere_else() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let client = with_platform_key(&fake.base_url(), PLATFORM);
    let own = key(GOOD);
    for key in [None, Some(&own), None] {
        assert_eq!(asked(&client, "fake/echo", key).await.unwrap(), "hello");
    }
    let requests = fake.requests();
    let paid: Vec<_> = requests.iter().map(fake_openrouter::RecordedRequest::key).collect();
    assert_eq!(paid, [PLATFORM, GOOD, PLATFORM]);
    for request in &requests {
        assert_eq!(request.headers.get_all("authorization").iter().count(), 1);
        assert!(!request.body.to_string().contains("sk-or-"), "{}", request.body);
    }
}

#[tokio::test]
async fn without_a_platform_key_a_users_own_key_still_pays() {
    let (_fake, client) = start().await;
    assert_eq!(asked(&client, "fake/echo", Some(&key(GOOD))).await.unwrap(), "hello");
    assert_eq!(asked(&client, "fake/echo", None).await, Err(ModelError::Broken));
}

#[tokio::test]
async fn the_error_of_a_refused_key_depends_on_its_owner() {
    let fake = FakeOpenRouter::start().await.unwrap();
    for (end, own, platform) in [
        ("dead", ModelError::KeyRefused, ModelError::Broken),
        ("poor", ModelError::KeyExhausted, ModelError::OutOfCredit),
        (
            "busy",
            ModelError::KeyBusy { retry_after: IN_2_S },
            ModelError::RateLimited { retry_after: IN_2_S },
        ),
        ("managed", ModelError::Refused { reasons: Vec::new() }, ModelError::Broken),
    ] {
        let text = format!("sk-or-v1-c0ffee-{end}");
        let client = with_platform_key(&fake.base_url(), PLATFORM);
        assert_eq!(asked(&client, "fake/echo", Some(&key(&text))).await, Err(own), "{end}");
        let client = with_platform_key(&fake.base_url(), &text);
        assert_eq!(asked(&client, "fake/echo", None).await, Err(platform), "{end}");
        // The user's own key is used, whatever is wrong with the platform's.
        assert_eq!(asked(&client, "fake/echo", Some(&key(GOOD))).await.unwrap(), "hello", "{end}");
    }
}

#[tokio::test]
async fn a_key_that_was_revoked_is_refused_from_then_on() {
    let (fake, client) = start().await;
    asked(&client, "fake/echo", Some(&key(GOOD))).await.unwrap();
    fake.revoke(GOOD);
    let refused = asked(&client, "fake/echo", Some(&key(GOOD))).await;
    assert_eq!(refused, Err(ModelError::KeyRefused));
}

#[tokio::test]
async fn a_401_that_is_not_openrouters_own_does_not_refuse_the_key() {
    let (fake, client) = start().await;
    for body in [
        json!({ "message": "Unauthorized" }),
        json!({ "error": { "code": 401, "message": "x", "metadata": { "provider_name": null } } }),
    ] {
        fake.script("fake/unauthorized", status(401).json(&body));
        let asked = asked(&client, "fake/unauthorized", Some(&key(GOOD))).await;
        assert_eq!(asked, Err(ModelError::Broken), "{body}");
    }
}

#[tokio::test]
async fn a_key_limit_is_distinguished_from_moderation() {
    let (fake, client) = start().await;
    let message =
        "Key limit exceeded (total limit). Manage it using https://openrouter.ai/settings/keys";
    let limit = json!({ "error": { "code": 403, "message": message } });
    fake.script("fake/limit", status(403).json(&limit));
    let own = key(GOOD);
    assert_eq!(asked(&client, "fake/limit", Some(&own)).await, Err(ModelError::KeyExhausted));
    let refused = ModelError::Refused { reasons: vec!["violence".to_owned()] };
    assert_eq!(asked(&client, "fake/status-403", Some(&own)).await, Err(refused));
}

#[tokio::test]
async fn a_failure_in_the_stream_never_refuses_the_key() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let client = with_platform_key(&fake.base_url(), PLATFORM);
    let own = key(GOOD);
    let busy = ModelError::RateLimited { retry_after: Duration::from_secs(10) };
    for (code, error_type, mine, platforms) in [
        // The key was accepted, so the 401 is about another one.
        (401, "authentication", ModelError::Broken, ModelError::Broken),
        (402, "payment_required", ModelError::KeyExhausted, ModelError::OutOfCredit),
        // Nothing says that it is the account's rate limit: the key was accepted, the model is busy.
        (429, "rate_limit_exceeded", busy.clone(), busy),
    ] {
        fake.script("fake/mine", [delta("half an ans"), error(code, "x", error_type)]);
        assert_eq!(asked(&client, "fake/mine", Some(&own)).await, Err(mine), "{code}");
        assert_eq!(asked(&client, "fake/mine", None).await, Err(platforms), "{code}");
    }
    let limited = r#"data: {"error":{"code":429,"message":"x","metadata":{"headers":{"X-RateLimit-Limit":"50"}}}}"#;
    fake.script("fake/mine", [delta("half"), script::raw(format!("{limited}\n\n"))]);
    let mine = asked(&client, "fake/mine", Some(&own)).await;
    assert!(matches!(mine, Err(ModelError::KeyBusy { .. })), "{mine:?}");
}

#[tokio::test]
async fn no_key_is_in_a_log() {
    let log = LogCapture::start();
    let (fake, client) = start().await;
    for end in ["mine", "dead", "poor", "busy"] {
        let own = key(&format!("sk-or-v1-c0ffee-{end}"));
        let _ = asked(&client, "fake/echo", Some(&own)).await;
    }
    fake.shutdown().await;
    assert_eq!(asked(&client, "fake/echo", Some(&key(GOOD))).await, Err(ModelError::Broken));
    let log = log.text();
    assert!(log.contains("byok=true"), "{log}");
    assert!(!log.contains(SECRET), "{log}");
}
