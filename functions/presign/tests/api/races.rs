//! Declarations at once, at the edge of each limit.

use futures_util::future::join_all;
use testkit::{Answer, TestStack};

use crate::api::setup::{MIB, User, count, refused, tally};

/// A hundred at once, of ten function instances.
async fn hundred(stack: &TestStack, user: &User, size: u64) -> Vec<Answer> {
    let instances: Vec<_> = (0..10).map(|_| user.again(stack)).collect();
    join_all((0..100).map(|number| instances[number % 10].ask("text/plain", size))).await
}

#[tokio::test]
async fn a_hundred_at_once_fill_the_storage_and_never_exceed_it() {
    let stack = TestStack::start().await;
    let pam = User::premium(&stack, "pam").await;
    let answers = hundred(&stack, &pam, 25 * MIB).await;
    let expected = [((201, String::new()), 81), (refused(403, "storage_full"), 19)];
    assert_eq!(tally(&answers), expected.into());
    assert_eq!(stack.stored_bytes(&pam.session).await, i64::try_from(81 * 25 * MIB).unwrap());
    // The rest, to the byte.
    let answers = hundred(&stack, &pam, 23 * MIB).await;
    let stored = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(stored, 1, "{:?}", tally(&answers));
    assert_eq!(stack.stored_bytes(&pam.session).await, i64::try_from(2048 * MIB).unwrap());
}

#[tokio::test]
async fn of_a_hundred_at_once_the_hour_allows_its_limit() {
    for cache in [true, false] {
        let mut stack = TestStack::start().await;
        if !cache {
            stack.set("CACHE_URL", "redis://127.0.0.1:1");
        }
        let ada = User::new(&stack, "ada").await;
        let answers = hundred(&stack, &ada, 1).await;
        let expected = [((201, String::new()), 20), (refused(429, "too_many_uploads"), 80)];
        assert_eq!(tally(&answers), expected.into(), "cache: {cache}");
        assert_eq!(stack.stored_bytes(&ada.session).await, 20);
        assert_eq!(count(&stack, "select count(*) from uploads").await, 20);
    }
}

#[tokio::test]
async fn declarations_and_deletions_at_once_keep_the_storage_exact() {
    let stack = TestStack::start().await;
    let pam = User::premium(&stack, "pam").await;
    let instances: Vec<_> = (0..8).map(|_| pam.again(&stack)).collect();
    let all = join_all(instances.iter().enumerate().map(async |(number, pam)| {
        for _ in 0..10 {
            let answer = pam.ask("text/plain", 25 * MIB).await;
            assert_eq!(answer.status, 201, "{}", answer.body);
            if number % 2 == 0 {
                let id = answer.json()["id"].take();
                assert_eq!(pam.delete(id.as_str().unwrap()).await.status, 204);
            }
        }
    }));
    all.await;
    assert_eq!(stack.stored_bytes(&pam.session).await, i64::try_from(40 * 25 * MIB).unwrap());
}
