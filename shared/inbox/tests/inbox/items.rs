//! Putting, listing and removing items.

use std::time::Duration;

use jiff::SignedDuration;
use local_dynamodb::LocalDynamoDb;
use shared_inbox::{Depth, InboxError, InboxItem, Kind};

use crate::setup::{LETTERS, Stack, letter, letter_with, noise, now, text};

#[tokio::test]
async fn a_item_comes_back_as_it_was_put() {
    let stack = Stack::start().await;
    stack.inbox.put_item(&letter(1)).await.unwrap();
    let page = stack.page().await;
    assert_eq!(page.items.len(), 1);
    assert_eq!(page.items[0].item, letter(1));
    assert_eq!(page.items[0].attempts, 0);
    assert!(page.unreadable.is_empty() && page.next.is_none());
}

#[tokio::test]
async fn putting_a_item_is_idempotent() {
    let stack = Stack::start().await;
    let (first, other) = (stack.inbox.clone(), stack.inbox.clone());
    let letter = letter(1);
    let (one, another) = tokio::join!(first.put_item(&letter), other.put_item(&letter));
    one.unwrap();
    another.unwrap();
    stack.inbox.put_item(&letter).await.unwrap();
    assert_eq!(stack.page().await.items.len(), 1);
    // A head and one piece.
    assert_eq!(stack.items().await.len(), 2);
}

#[tokio::test]
async fn putting_a_item_again_keeps_its_failed_attempts() {
    let stack = Stack::start().await;
    stack.inbox.put_item(&letter(1)).await.unwrap();
    let waiting = &stack.page().await.items[0];
    stack.inbox.failed(waiting, "no such chat", now()).await.unwrap();
    stack.inbox.put_item(&letter(1)).await.unwrap();
    assert_eq!(stack.page().await.items[0].attempts, 1);
}

#[tokio::test]
async fn kinds_do_not_see_each_other() {
    let stack = Stack::start().await;
    let other = InboxItem { kind: Kind::new("parcel"), ..letter_with(1, "another one") };
    stack.inbox.put_item(&letter(1)).await.unwrap();
    stack.inbox.put_item(&other).await.unwrap();
    assert_eq!(stack.page().await.items[0].item, letter(1));
    let parcels = stack.inbox.waiting_items(other.kind, None).await.unwrap();
    assert_eq!(parcels.items[0].item, other);
    stack.inbox.done(&parcels.items[0], "delivered", now()).await.unwrap();
    assert_eq!(stack.inbox.depth(other.kind).await.unwrap(), Depth::default());
    assert_eq!(stack.inbox.depth(LETTERS).await.unwrap(), Depth { waiting: 1, failed: 0 });
}

#[tokio::test]
async fn an_item_of_three_megabytes_survives_and_is_removed_completely() {
    let stack = Stack::start().await;
    // Compresses to some 800 KB, as so much prose would.
    let large = letter_with(1, &(noise(1_100_000) + &"and so on ".repeat(190_000)));
    stack.inbox.put_item(&large).await.unwrap();
    assert!(stack.items().await.len() == 4, "a head and three pieces");
    let page = stack.page().await;
    assert!(page.items[0].item == large);
    stack.inbox.done(&page.items[0], "stored", now()).await.unwrap();
    assert_eq!(stack.items().await.len(), 1, "only the stub is left");
}

#[tokio::test]
async fn a_item_too_large_for_a_transaction_is_refused_and_not_truncated() {
    let stack = Stack::start().await;
    let refused = stack.inbox.put_item(&letter_with(1, &noise(5_400_000))).await;
    assert!(
        matches!(refused, Err(InboxError::TooLarge { bytes }) if bytes > 3_900_000),
        "{refused:?}"
    );
    assert!(stack.items().await.is_empty());
}

#[tokio::test]
async fn pages_keep_the_order_of_ids_also_while_items_are_removed() {
    let stack = Stack::start().await;
    for number in (0..45).rev() {
        stack.inbox.put_item(&letter(number)).await.unwrap();
    }
    let (mut met, mut sizes, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let page = stack.inbox.waiting_items(LETTERS, after.as_ref()).await.unwrap();
        sizes.push(page.items.len());
        for letter in page.items {
            stack.inbox.done(&letter, "stored", now()).await.unwrap();
            met.push(letter.item.id);
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let expected: Vec<_> = (0..45).map(|number| letter(number).id).collect();
    assert_eq!(met, expected);
    assert_eq!(sizes, [20, 20, 5]);
    assert_eq!(stack.inbox.depth(LETTERS).await.unwrap(), Depth::default());
}

#[tokio::test]
async fn a_stub_has_no_content_and_is_removed_after_ninety_days() {
    let stack = Stack::start().await;
    stack.inbox.put_item(&letter(1)).await.unwrap();
    let waiting = &stack.page().await.items[0];
    stack.inbox.done(waiting, "stored", now()).await.unwrap();

    let items = stack.items().await;
    assert_eq!(items.len(), 1);
    let mut names: Vec<_> = items[0].keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["done_at", "ended", "pk", "sk", "ttl"]);
    assert_eq!(items[0]["sk"].as_s().unwrap(), "letter-00001");
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
async fn two_concurrent_sweeps_can_remove_the_same_items() {
    let stack = Stack::start().await;
    for number in 0..10 {
        stack.inbox.put_item(&letter(number)).await.unwrap();
    }
    let [one, other] = [stack.page().await.items, stack.page().await.items];
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
    assert_eq!(stack.partition("letter#done").await.len(), 10);
    assert_eq!(stack.items().await.len(), 10, "nothing waits, and nothing is left of a body");
}

#[tokio::test]
async fn two_concurrent_sweeps_report_nothing_unreadable() {
    let stack = Stack::start().await;
    for number in 0..20 {
        stack.inbox.put_item(&letter(number)).await.unwrap();
    }
    let page = stack.page().await;
    let remove = async {
        for turn in &page.items {
            stack.inbox.done(turn, "stored", now()).await.unwrap();
        }
    };
    let look = async {
        loop {
            let page = stack.page().await;
            assert!(page.unreadable.is_empty(), "{page:?}");
            if page.items.is_empty() {
                break;
            }
        }
    };
    tokio::join!(remove, look);
}

#[tokio::test]
async fn the_first_sweep_to_remove_a_item_wins() {
    let stack = Stack::start().await;
    stack.inbox.put_item(&letter(1)).await.unwrap();
    let waiting = &stack.page().await.items[0];
    stack.inbox.done(waiting, "stored", now()).await.unwrap();
    stack.inbox.done(waiting, "chat deleted", now()).await.unwrap();
    assert_eq!(stack.items().await[0]["ended"].as_s().unwrap(), "stored");
}

#[tokio::test]
async fn a_failed_item_keeps_waiting_and_is_counted() {
    let stack = Stack::start().await;
    for number in 0..3 {
        stack.inbox.put_item(&letter(number)).await.unwrap();
    }
    for _ in 0..2 {
        let waiting = &stack.page().await.items[1];
        stack.inbox.failed(waiting, &"é".repeat(300), now()).await.unwrap();
    }
    let page = stack.page().await;
    let attempts: Vec<_> = page.items.iter().map(|item| item.attempts).collect();
    assert_eq!(attempts, [0, 2, 0]);
    assert_eq!(page.items[1].item, letter(1));
    assert_eq!(stack.inbox.depth(LETTERS).await.unwrap(), Depth { waiting: 3, failed: 1 });
    let heads = stack.partition("letter#waiting").await;
    let reason = heads.iter().find_map(|head| head.get("last_error")).unwrap();
    assert_eq!(*reason.as_s().unwrap(), "é".repeat(200));
}

#[tokio::test]
async fn the_depth_counts_more_heads_than_one_call_reitems() {
    let stack = Stack::start().await;
    stack.inbox.put_item(&letter(1)).await.unwrap();
    // Heads so large that one call to DynamoDB, which reads 1 MB, does not return them all.
    for number in 0..4 {
        let put = stack.client.put_item().table_name("inbox");
        let put =
            put.item("pk", text("letter#waiting")).item("sk", text(&format!("large-{number}")));
        put.item("padding", text(&noise(350_000))).send().await.unwrap();
    }
    assert_eq!(stack.inbox.depth(LETTERS).await.unwrap(), Depth { waiting: 5, failed: 0 });
}

#[tokio::test]
async fn waiting_items_survive_a_restart_of_the_local_dynamodb() {
    let age = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    let file = std::env::temp_dir().join(format!("inbox-{age}.sqlite"));
    let before = Stack::of(LocalDynamoDb::keeping(&file).await.unwrap());
    before.inbox.put_item(&letter(1)).await.unwrap();
    before.dynamodb.stop().await;
    drop(before);
    // The last handle of its file may be closed a moment after it has stopped.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let after = Stack::of(LocalDynamoDb::keeping(&file).await.unwrap());
    assert_eq!(after.page().await.items[0].item, letter(1));
    for left in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{left}", file.display()));
    }
}
