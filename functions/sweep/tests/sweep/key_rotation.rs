//! Key rotation: keys under a former master key.

use sweep::sweep;

use crate::setup::{
    A, AMPLE, B, bring_keys, count, deps, killed, masters, opened, stack, swept, vault,
};

const UNDER_A: &str =
    "select count(*) from provider_keys k join data_keys d on d.id = k.data_key where master = 'a'";

#[tokio::test]
async fn key_rotation_re_encrypts_all_keys_and_the_former_master_key_is_not_needed_any_more() {
    let stack = stack().await;
    bring_keys(&stack, &vault(&[A]), 450).await;
    bring_keys(&stack, &vault(&[B]), 1).await;

    let report = swept(&stack, vault(&[B, A])).await;
    assert_eq!(
        (report.count("keysRotated").unwrap(), report.count("keysUnreadable").unwrap()),
        (450, 0)
    );
    assert_eq!(report.count("dataKeysDeleted").unwrap(), 1);
    assert_eq!(opened(&stack, &vault(&[B])).await, 451);
    assert_eq!(opened(&stack, &vault(&[A])).await, 0);
    assert_eq!(masters(&stack).await, ["b"]);

    assert!(!swept(&stack, vault(&[B, A])).await.did_something());
    assert!(!swept(&stack, vault(&[B])).await.did_something());
}

#[tokio::test]
async fn without_keys_to_rotate_no_data_key_is_created() {
    let stack = stack().await;
    assert!(!swept(&stack, vault(&[A])).await.did_something());
    assert!(masters(&stack).await.is_empty());
}

#[tokio::test]
async fn two_racing_runs_rotate_each_key_once() {
    let stack = stack().await;
    bring_keys(&stack, &vault(&[A]), 250).await;
    let (one, other) = (deps(&stack, vault(&[B, A])), deps(&stack, vault(&[B, A])));
    let (one, other) = tokio::join!(sweep(&one, AMPLE), sweep(&other, AMPLE));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(
        one.count("keysRotated").unwrap() + other.count("keysRotated").unwrap(),
        250,
        "{one:?} {other:?}"
    );
    assert_eq!(one.count("dataKeysDeleted").unwrap() + other.count("dataKeysDeleted").unwrap(), 1);
    assert_eq!(opened(&stack, &vault(&[B])).await, 250);
    assert_eq!(masters(&stack).await, ["b"]);
}

#[tokio::test]
async fn a_run_that_is_killed_leaves_nothing_half_done_and_the_next_one_goes_on() {
    let stack = stack().await;
    bring_keys(&stack, &vault(&[A]), 450).await;
    let mut left = 450;
    // Before the first key, after some, in the second page, and again.
    for looks in [2, 5, 50, 210, 60] {
        killed(&stack, vault(&[B, A]), looks).await;
        assert_eq!(opened(&stack, &vault(&[B, A])).await, 450, "after {looks}");
        let now_left = count(&stack, UNDER_A).await;
        assert!(now_left <= left, "after {looks}");
        left = now_left;
    }
    assert!((50..200).contains(&left), "it was killed too early or too late: {left}");

    let report = swept(&stack, vault(&[B, A])).await;
    assert_eq!(
        (
            i64::try_from(report.count("keysRotated").unwrap()).unwrap(),
            report.count("dataKeysDeleted").unwrap()
        ),
        (left, 1)
    );
    assert_eq!(opened(&stack, &vault(&[B])).await, 450);
}

#[tokio::test]
async fn a_key_that_cannot_be_decrypted_is_reported_and_kept_and_does_not_block_others() {
    let stack = stack().await;
    let users = bring_keys(&stack, &vault(&[A]), 5).await;
    let swap = "
        update provider_keys k
           set nonce = other.nonce, ciphertext = other.ciphertext
          from provider_keys other
         where k.user_id in ($1, $2) and other.user_id in ($1, $2) and k.user_id <> other.user_id";
    let owner = stack.owner().await;
    assert_eq!(owner.execute(swap, &[&users[1].0, &users[2].0]).await.unwrap(), 2);

    for (rotated, unreadable) in [(3, 2), (0, 2)] {
        let report = swept(&stack, vault(&[B, A])).await;
        assert_eq!(
            (report.count("keysRotated").unwrap(), report.count("keysUnreadable").unwrap()),
            (rotated, unreadable)
        );
        assert_eq!(report.count("dataKeysDeleted").unwrap(), 0, "two keys are still under it");
        assert!(report.did_something());
    }
    assert_eq!(opened(&stack, &vault(&[B])).await, 3);
    assert_eq!(count(&stack, "select count(*) from provider_keys").await, 5);

    // Back in their rows, they can be decrypted.
    owner.execute(swap, &[&users[1].0, &users[2].0]).await.unwrap();
    assert_eq!(swept(&stack, vault(&[B, A])).await.count("keysRotated").unwrap(), 2);
    assert_eq!(opened(&stack, &vault(&[B])).await, 5);
}

#[tokio::test]
async fn keys_of_a_removed_master_key_wait_until_it_is_back() {
    let stack = stack().await;
    bring_keys(&stack, &vault(&[A]), 3).await;
    let report = swept(&stack, vault(&[B])).await;
    assert_eq!(
        (report.count("keysRotated").unwrap(), report.count("keysUnreadable").unwrap()),
        (0, 3)
    );
    assert_eq!(swept(&stack, vault(&[B, A])).await.count("keysRotated").unwrap(), 3);
}
