//! Putting, listing and removing turns.

use std::time::Duration;

use jiff::SignedDuration;
use local_dynamodb::LocalDynamoDb;
use shared_core::outcome::Outcome;
use shared_inbox::{Depth, InboxError, WaitingTurn};

use crate::setup::{Stack, noise, now, text, turn, turn_with_answer};

#[tokio::test]
async fn a_turn_comes_back_as_it_was_put() {
    let stack = Stack::start().await;
    stack.inbox.put_turn(&turn(1)).await.unwrap();
    let page = stack.page().await;
    assert_eq!(page.turns.len(), 1);
    assert_eq!(page.turns[0].turn, turn(1));
    assert_eq!(page.turns[0].attempts(), 0);
    assert!(page.unreadable.is_empty() && page.next.is_none());
}

#[tokio::test]
async fn putting_a_turn_is_idempotent() {
    let stack = Stack::start().await;
    let (first, other) = (stack.inbox.clone(), stack.inbox.clone());
    let turn = turn(1);
    let (one, another) = tokio::join!(first.put_turn(&turn), other.put_turn(&turn));
    one.unwrap();
    another.unwrap();
    stack.inbox.put_turn(&turn).await.unwrap();
    assert_eq!(stack.page().await.turns.len(), 1);
    // A head and one piece.
    assert_eq!(stack.items().await.len(), 2);
}

#[tokio::test]
async fn putting_a_turn_again_keeps_its_failed_attempts() {
    let stack = Stack::start().await;
    stack.inbox.put_turn(&turn(1)).await.unwrap();
    let waiting = &stack.page().await.turns[0];
    stack.inbox.failed(waiting, "no such chat", now()).await.unwrap();
    stack.inbox.put_turn(&turn(1)).await.unwrap();
    assert_eq!(stack.page().await.turns[0].attempts(), 1);
}

#[tokio::test]
async fn an_interrupted_turn_and_its_true_end_both_wait() {
    let stack = Stack::start().await;
    let mut interrupted = turn_with_answer(1, "Ada");
    interrupted.outcome = Outcome::Interrupted;
    stack.inbox.put_turn(&interrupted).await.unwrap();
    stack.inbox.put_turn(&turn(1)).await.unwrap();
    let mut waiting: Vec<_> = stack.page().await.turns.into_iter().map(|turn| turn.turn).collect();
    waiting.sort_by_key(|turn| turn.outcome == Outcome::Interrupted);
    assert_eq!(waiting, [turn(1), interrupted]);
}

#[tokio::test]
async fn an_answer_of_three_megabytes_survives_and_is_removed_completely() {
    let stack = Stack::start().await;
    // Compresses to some 800 KB, as so much prose would.
    let large = turn_with_answer(1, &(noise(1_100_000) + &"and so on ".repeat(190_000)));
    stack.inbox.put_turn(&large).await.unwrap();
    assert!(stack.items().await.len() == 4, "a head and three pieces");
    let page = stack.page().await;
    assert!(page.turns[0].turn == large);
    stack.inbox.done(&page.turns[0], "stored", now()).await.unwrap();
    assert_eq!(stack.items().await.len(), 1, "only the stub is left");
}

#[tokio::test]
async fn a_turn_too_large_for_a_transaction_is_refused_and_not_truncated() {
    let stack = Stack::start().await;
    let refused = stack.inbox.put_turn(&turn_with_answer(1, &noise(5_400_000))).await;
    assert!(
        matches!(refused, Err(InboxError::TooLarge { bytes }) if bytes > 3_900_000),
        "{refused:?}"
    );
    assert!(stack.items().await.is_empty());
}

#[tokio::test]
async fn pages_keep_the_order_in_which_turns_began_also_while_turns_are_removed() {
    let stack = Stack::start().await;
    for number in (0..45).rev() {
        stack.inbox.put_turn(&turn(number)).await.unwrap();
    }
    let (mut met, mut sizes, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let page = stack.inbox.waiting_turns(after.as_ref()).await.unwrap();
        sizes.push(page.turns.len());
        for turn in page.turns {
            stack.inbox.done(&turn, "stored", now()).await.unwrap();
            met.push(turn.turn.answer_id);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let expected: Vec<_> = (0..45).map(|number| turn(number).answer_id).collect();
    assert_eq!(met, expected);
    assert_eq!(sizes, [20, 20, 5]);
    assert_eq!(stack.inbox.depth().await.unwrap(), Depth::default());
}

#[tokio::test]
async fn a_stub_has_no_content_and_is_removed_after_ninety_days() {
    let stack = Stack::start().await;
    stack.inbox.put_turn(&turn(1)).await.unwrap();
    let waiting = &stack.page().await.turns[0];
    stack.inbox.done(waiting, "stored", now()).await.unwrap();

    let items = stack.items().await;
    assert_eq!(items.len(), 1);
    let mut names: Vec<_> = items[0].keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["done_at", "ended", "pk", "sk", "ttl"]);
    assert_eq!(
        items[0]["sk"].as_s().unwrap(),
        "answer-00001#00000000-0000-0000-0000-000000000001#complete"
    );
    assert_eq!(items[0]["ended"].as_s().unwrap(), "stored");
    let expires = now() + SignedDuration::from_hours(90 * 24);
    assert_eq!(*items[0]["ttl"].as_n().unwrap(), expires.as_second().to_string());

    // The table's TTL attribute.
    let removal = stack.client.describe_time_to_live().table_name("inbox").send().await.unwrap();
    let removal = removal.time_to_live_description.unwrap();
    assert_eq!(removal.attribute_name.as_deref(), Some("ttl"));
    assert_eq!(removal.time_to_live_status.unwrap().as_str(), "ENABLED");
}

#[tokio::test]
async fn two_concurrent_sweeps_can_remove_the_same_turns() {
    let stack = Stack::start().await;
    for number in 0..10 {
        stack.inbox.put_turn(&turn(number)).await.unwrap();
    }
    let [one, other] = [stack.page().await.turns, stack.page().await.turns];
    for (mine, yours) in one.iter().zip(&other) {
        let (first, second) = tokio::join!(
            stack.inbox.done(mine, "first", now()),
            stack.inbox.done(yours, "second", now()),
        );
        first.unwrap();
        second.unwrap();
        // One sweep failed to store what the other one has stored.
        stack.inbox.failed(yours, "stored already", now()).await.unwrap();
    }
    assert_eq!(stack.partition("turn#done").await.len(), 10);
    assert_eq!(stack.items().await.len(), 10, "nothing waits, and nothing is left of a body");
}

#[tokio::test]
async fn two_concurrent_sweeps_report_nothing_unreadable() {
    let stack = Stack::start().await;
    for number in 0..20 {
        stack.inbox.put_turn(&turn(number)).await.unwrap();
    }
    let page = stack.page().await;
    let remove = async {
        for turn in &page.turns {
            stack.inbox.done(turn, "stored", now()).await.unwrap();
        }
    };
    let look = async {
        loop {
            let page = stack.page().await;
            assert!(page.unreadable.is_empty(), "{page:?}");
            if page.turns.is_empty() {
                break;
            }
        }
    };
    tokio::join!(remove, look);
}

#[tokio::test]
async fn the_first_sweep_to_remove_a_turn_wins() {
    let stack = Stack::start().await;
    stack.inbox.put_turn(&turn(1)).await.unwrap();
    let waiting = &stack.page().await.turns[0];
    stack.inbox.done(waiting, "stored", now()).await.unwrap();
    stack.inbox.done(waiting, "chat deleted", now()).await.unwrap();
    assert_eq!(stack.items().await[0]["ended"].as_s().unwrap(), "stored");
}

#[tokio::test]
async fn a_failed_turn_keeps_waiting_and_is_counted() {
    let stack = Stack::start().await;
    for number in 0..3 {
        stack.inbox.put_turn(&turn(number)).await.unwrap();
    }
    for _ in 0..2 {
        let waiting = &stack.page().await.turns[1];
        stack.inbox.failed(waiting, &"é".repeat(300), now()).await.unwrap();
    }
    let page = stack.page().await;
    let attempts: Vec<_> = page.turns.iter().map(WaitingTurn::attempts).collect();
    assert_eq!(attempts, [0, 2, 0]);
    assert_eq!(page.turns[1].turn, turn(1));
    assert_eq!(stack.inbox.depth().await.unwrap(), Depth { waiting: 3, failed: 1 });
    let heads = stack.partition("turn#waiting").await;
    let reason = heads.iter().find_map(|head| head.get("last_error")).unwrap();
    assert_eq!(*reason.as_s().unwrap(), "é".repeat(200));
}

#[tokio::test]
async fn the_depth_counts_more_heads_than_one_call_returns() {
    let stack = Stack::start().await;
    stack.inbox.put_turn(&turn(1)).await.unwrap();
    // Heads so large that one call to DynamoDB, which reads 1 MB, does not return them all.
    for number in 0..4 {
        let put = stack.client.put_item().table_name("inbox");
        let put = put.item("pk", text("turn#waiting")).item("sk", text(&format!("large-{number}")));
        put.item("padding", text(&noise(350_000))).send().await.unwrap();
    }
    assert_eq!(stack.inbox.depth().await.unwrap(), Depth { waiting: 5, failed: 0 });
}

#[tokio::test]
async fn waiting_turns_survive_a_restart_of_the_local_dynamodb() {
    let age = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let file = std::env::temp_dir().join(format!("inbox-{age}.sqlite"));
    let before = Stack::of(LocalDynamoDb::keeping(&file).await.unwrap());
    before.inbox.put_turn(&turn(1)).await.unwrap();
    before.dynamodb.stop().await;
    drop(before);
    // The last handle of its file may be closed a moment after it has stopped.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let after = Stack::of(LocalDynamoDb::keeping(&file).await.unwrap());
    assert_eq!(after.page().await.turns[0].turn, turn(1));
    for left in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{left}", file.display()));
    }
}
