//! The plans' limits: the size of a file, of all files, and uploads an hour.

use std::time::Duration;

use serde_json::json;
use testkit::{Answer, TestStack};

use crate::api::setup::{MIB, User, count, details, expect, refused};

const PREMIUM: &str = r#"{"at":"/upgrade","name":"Premium","plan":"premium"}"#;

fn upgrade(answer: &Answer) -> String {
    let mut details = details(answer);
    let mut upgrade = details["upgrade"].take();
    // The page of the app is not of interest here.
    assert!(upgrade["at"].as_str().is_none_or(|at| at.starts_with('/')), "{upgrade}");
    if upgrade.is_object() {
        upgrade["at"] = json!("/upgrade");
    }
    upgrade.to_string()
}

#[tokio::test]
async fn a_file_may_be_as_large_as_the_plan_allows() {
    let stack = TestStack::start().await;
    let (ada, pam) = (User::new(&stack, "ada").await, User::premium(&stack, "pam").await);
    for (user, content_type, limit, offer) in [
        (&ada, "image/png", 5, PREMIUM),
        (&ada, "text/plain", 5, PREMIUM),
        (&ada, "application/pdf", 5, PREMIUM),
        (&pam, "image/png", 25, "null"),
        (&pam, "text/plain", 25, "null"),
        // Models refuse larger requests.
        (&pam, "application/pdf", 10, "null"),
    ] {
        expect(201, user.ask(content_type, limit * MIB).await);
        let answer = user.ask(content_type, limit * MIB + 1).await;
        assert_eq!(answer.refusal(), refused(413, "file_too_large"), "{content_type} {limit}");
        assert_eq!(details(&answer)["limitMib"], limit);
        assert_eq!(upgrade(&answer), offer, "{content_type} {limit}");
    }
    // No plan allows it.
    assert_eq!(upgrade(&ada.ask("application/pdf", 11 * MIB).await), "null");
    assert_eq!(upgrade(&ada.ask("application/pdf", 9 * MIB).await), PREMIUM);
}

/// Inserts uploads of others' making: they count for the storage, not for the hour in the cache.
async fn stored(stack: &TestStack, user: &User, bytes: i64) {
    let sql = "with bytes as (insert into storage_usage values ($1, $2)
                                on conflict (user_id) do update set bytes = storage_usage.bytes + $2)
               insert into uploads (user_id, id, filename, declared_type, size_bytes, sha256, state, media_type,
                                    model_type, model_bytes, tokens, created_at)
               values ($1, gen_random_uuid(), 'x', 'text/plain', $2, sha256('x'), 'ready', 'text/plain',
                       'text/plain', 1, 1, $3::timestamptz - interval '2 hours')";
    let params = (&user.session.user.0, &bytes, &stack.clock.now());
    stack.owner().await.execute(sql, &[params.0, params.1, params.2]).await.unwrap();
}

#[tokio::test]
async fn all_files_together_may_take_what_the_plan_allows_to_the_byte() {
    let stack = TestStack::start().await;
    let (ada, pam) = (User::new(&stack, "ada").await, User::premium(&stack, "pam").await);
    for (user, limit, offer) in [(&ada, 100_u64, PREMIUM), (&pam, 2048, "null")] {
        let limit = limit * MIB;
        stored(&stack, user, i64::try_from(limit - 10).unwrap()).await;
        let answer = user.ask("text/plain", 11).await;
        assert_eq!(answer.refusal(), refused(403, "storage_full"));
        let details = details(&answer);
        assert_eq!(
            (&details["usedBytes"], &details["limitBytes"]),
            (&json!(limit - 10), &json!(limit))
        );
        assert_eq!(upgrade(&answer), offer);
        expect(201, user.ask("text/plain", 4).await);
        let id = expect(201, user.ask("text/plain", 6).await).json()["id"].take();
        assert_eq!(user.ask("text/plain", 1).await.refusal(), refused(403, "storage_full"));
        expect(204, user.delete(id.as_str().unwrap()).await);
        assert_eq!(user.ask("text/plain", 7).await.refusal(), refused(403, "storage_full"));
        expect(201, user.ask("text/plain", 6).await);
        assert_eq!(stack.stored_bytes(&user.session).await, i64::try_from(limit).unwrap());
    }
}

#[tokio::test]
async fn who_downgrades_keeps_the_files_and_uploads_no_more() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    stored(&stack, &ada, i64::try_from(300 * MIB).unwrap()).await;
    let answer = ada.ask("text/plain", 1).await;
    assert_eq!(answer.refusal(), refused(403, "storage_full"));
    assert_eq!(details(&answer)["usedBytes"], 300 * MIB);
    assert_eq!(upgrade(&answer), PREMIUM);
}

/// Uses up the hour of a user whose plan has this limit; checks the refusal.
async fn use_up(stack: &TestStack, user: &User, limit: usize) {
    for number in 0..limit {
        let answer = user.ask("text/plain", 1).await;
        assert_eq!(answer.status, 201, "{number}: {}", answer.body);
        if number == 0 {
            stack.clock.advance(Duration::from_mins(10));
        }
    }
    let answer = user.ask("text/plain", 1).await;
    assert_eq!(answer.refusal(), refused(429, "too_many_uploads"));
    for (header, value) in [
        ("retry-after", "3000"),
        ("ratelimit-limit", &*limit.to_string()),
        ("ratelimit-remaining", "0"),
        ("ratelimit-reset", "3000"),
    ] {
        assert_eq!(answer.header(header), Some(value), "{header}");
    }
    stack.clock.advance(Duration::from_mins(50) - Duration::from_millis(1));
    assert_eq!(user.ask("text/plain", 1).await.refusal(), refused(429, "too_many_uploads"));
    stack.clock.advance(Duration::from_millis(1));
    expect(201, user.ask("text/plain", 1).await);
    assert_eq!(user.ask("text/plain", 1).await.refusal(), refused(429, "too_many_uploads"));
}

#[tokio::test]
async fn the_cache_counts_the_uploads_of_an_hour() {
    let stack = TestStack::start().await;
    use_up(&stack, &User::new(&stack, "ada").await, 20).await;
    use_up(&stack, &User::premium(&stack, "pam").await, 200).await;
}

#[tokio::test]
async fn without_the_cache_postgres_counts_the_same() {
    let mut stack = TestStack::start().await;
    stack.set("CACHE_URL", "redis://127.0.0.1:1");
    use_up(&stack, &User::new(&stack, "ada").await, 20).await;
    use_up(&stack, &User::premium(&stack, "pam").await, 200).await;
}

#[tokio::test]
async fn a_deleted_upload_counts_for_the_hour() {
    for cache in [true, false] {
        let mut stack = TestStack::start().await;
        if !cache {
            stack.set("CACHE_URL", "redis://127.0.0.1:1");
        }
        let ada = User::new(&stack, "ada").await;
        for _ in 0..20 {
            let id = expect(201, ada.ask("text/plain", 1).await).json()["id"].take();
            expect(204, ada.delete(id.as_str().unwrap()).await);
        }
        assert_eq!(ada.ask("text/plain", 1).await.refusal(), refused(429, "too_many_uploads"));
        assert_eq!(stack.stored_bytes(&ada.session).await, 0);
    }
}

#[tokio::test]
async fn a_refused_upload_does_not_count_for_the_hour() {
    for cache in [true, false] {
        let mut stack = TestStack::start().await;
        if !cache {
            stack.set("CACHE_URL", "redis://127.0.0.1:1");
        }
        let ada = User::new(&stack, "ada").await;
        stored(&stack, &ada, i64::try_from(100 * MIB - 20).unwrap()).await;
        for _ in 0..25 {
            assert_eq!(
                ada.ask("text/plain", 6 * MIB).await.refusal(),
                refused(413, "file_too_large")
            );
            assert_eq!(ada.ask("text/plain", 21).await.refusal(), refused(403, "storage_full"));
            assert_eq!(ada.ask("video/mp4", 1).await.refusal(), refused(422, "type_not_allowed"));
        }
        for _ in 0..20 {
            expect(201, ada.ask("text/plain", 1).await);
        }
        assert_eq!(ada.ask("text/plain", 1).await.refusal(), refused(429, "too_many_uploads"));
        assert_eq!(count(&stack, "select count(*) from uploads").await, 21);
    }
}

#[tokio::test]
async fn a_user_has_limits_of_their_own() {
    let stack = TestStack::start().await;
    let (ada, eve) = (User::new(&stack, "ada").await, User::new(&stack, "eve").await);
    for _ in 0..20 {
        expect(201, ada.ask("text/plain", 5 * MIB).await);
    }
    assert_eq!(ada.ask("text/plain", 1).await.refusal(), refused(429, "too_many_uploads"));
    expect(201, eve.ask("text/plain", 5 * MIB).await);
}
