//! Rate limit of key changes.

use std::time::Duration;

use serde_json::json;
use testkit::{Answer, TestStack};

use crate::api::setup::{KEY, User, key_ending, refused};

/// The rate limit's headers: limit, remaining, seconds until the reset.
fn rate_limit(answer: &Answer) -> [u64; 3] {
    ["ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"]
        .map(|name| answer.header(name).unwrap().parse().unwrap())
}

/// Uses up the rate limit, with one change per minute.
async fn use_up(stack: &TestStack, user: &User, limit: u64) {
    for left in (0..limit).rev() {
        let answer = user.put_key(KEY).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let [of, remaining, reset] = rate_limit(&answer);
        // Sliding window: the first change frees its permit after 24 hours.
        let minutes_since_the_first = limit - 1 - left;
        assert_eq!([of, remaining], [limit, left]);
        assert_eq!(reset, 86_400 - 60 * minutes_since_the_first);
        stack.clock.advance(Duration::from_mins(1));
    }
}

#[tokio::test]
async fn a_free_user_may_change_the_key_ten_times_a_day() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    use_up(&stack, &ada, 10).await;
    let refusal = ada.put_key(&key_ending("eleventh")).await;
    assert_eq!(refusal.refusal(), refused(429, "too_many_key_changes"));
    let wait = 86_400 - 600;
    assert_eq!(rate_limit(&refusal), [10, 0, wait]);
    assert_eq!(refusal.header("retry-after"), Some(wait.to_string().as_str()));
    assert_eq!(ada.stored(&stack).await.as_deref(), Some(KEY));

    stack.clock.advance(Duration::from_secs(wait - 1));
    assert_eq!(ada.put_key(KEY).await.status, 429);
    stack.clock.advance(Duration::from_secs(1));
    let answer = ada.put_key(&key_ending("later")).await;
    assert_eq!((answer.status.as_u16(), rate_limit(&answer)), (200, [10, 0, 60]));
    assert_eq!(ada.stored(&stack).await, Some(key_ending("later")));
}

#[tokio::test]
async fn a_premium_plan_allows_thirty_changes_and_a_discontinued_one_ten() {
    let stack = TestStack::start().await;
    let (ada, eve) = (User::new(&stack, "ada").await, User::new(&stack, "eve").await);
    for user in [&ada, &eve] {
        stack.premium(&user.session).await;
    }
    let rename = "update entitlements set plan = 'gold' where user_id = $1";
    stack.owner().await.execute(rename, &[&eve.session.user.0]).await.unwrap();
    use_up(&stack, &ada, 30).await;
    assert_eq!(ada.put_key(KEY).await.refusal(), refused(429, "too_many_key_changes"));
    assert_eq!(rate_limit(&eve.put_key(KEY).await)[..2], [10, 9]);
}

#[tokio::test]
async fn rejected_keys_count_against_the_rate_limit() {
    let stack = TestStack::start().await;
    let (ada, eve) = (User::new(&stack, "ada").await, User::new(&stack, "eve").await);
    for number in 0..10 {
        let guess = key_ending(&format!("{number}-dead"));
        assert_eq!(eve.put_key(&guess).await.refusal(), refused(422, "key_unknown"));
    }
    assert_eq!(eve.put_key(KEY).await.refusal(), refused(429, "too_many_key_changes"));
    assert_eq!(ada.put_key(KEY).await.status, 200);
}

#[tokio::test]
async fn concurrent_changes_do_not_exceed_the_rate_limit() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let answers = futures_util::future::join_all((0..15).map(|_| ada.put_key(KEY))).await;
    let stored = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(stored, 10);
}

#[tokio::test]
async fn changes_of_settings_and_deletions_are_not_rate_limited() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    use_up(&stack, &ada, 10).await;
    for cap in 1..=12 {
        assert_eq!(ada.patch(json!({ "monthlyCapUsd": cap })).await.status, 200);
    }
    for _ in 0..12 {
        assert_eq!(ada.delete().await.status, 204);
    }
}
