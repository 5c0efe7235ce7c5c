//! Small items: each is one item of DynamoDB.

use shared_inbox::{Depth, InboxError, InboxItem, Kind, WaitingItem, WhyUnreadable};

use crate::setup::{Stack, now, text};

const NOTES: Kind = Kind::small("note");

fn note(body: &[u8]) -> InboxItem {
    InboxItem { kind: NOTES, id: "note-1".to_owned(), body: body.to_vec() }
}

#[tokio::test]
async fn a_small_item_is_one_item_and_comes_back_as_it_was_put_first() {
    let stack = Stack::start().await;
    stack.inbox.put_item(&note(b"first")).await.unwrap();
    stack.inbox.put_item(&note(b"second")).await.unwrap();
    assert_eq!(stack.items().await.len(), 1);
    let page = stack.inbox.waiting_items(NOTES, None).await.unwrap();
    assert_eq!(page.items[0].item, note(b"first"));
    assert_eq!(stack.inbox.depth(NOTES).await.unwrap(), Depth { waiting: 1, failed: 0 });

    stack.inbox.failed(&page.items[0], "not yet", now()).await.unwrap();
    let page = stack.inbox.waiting_items(NOTES, None).await.unwrap();
    assert_eq!(page.items[0].attempts, 1);
    assert_eq!(stack.inbox.depth(NOTES).await.unwrap(), Depth { waiting: 1, failed: 1 });
}

#[tokio::test]
async fn done_leaves_a_stub_without_the_body() {
    let stack = Stack::start().await;
    stack.inbox.put_item(&note(b"private")).await.unwrap();
    let own = WaitingItem::just_put(note(b"private"));
    for _ in 0..2 {
        stack.inbox.done(&own, "read", now()).await.unwrap();
    }
    let items = stack.items().await;
    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["pk"], text("note#done"));
    assert_eq!(items[0]["ended"], text("read"));
    assert!(!items[0].contains_key("body") && items[0].contains_key("ttl"));
}

#[tokio::test]
async fn an_archived_item_does_not_wait_and_keeps_its_body_for_90_days() {
    let stack = Stack::start().await;
    for why in ["unknown", "unknown again"] {
        stack.inbox.archive(&note(b"odd"), why, now()).await.unwrap();
    }
    assert_eq!(stack.inbox.depth(NOTES).await.unwrap(), Depth::default());
    let items = stack.items().await;
    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["ended"], text("unknown"));
    assert_eq!(items[0]["body"].as_b().unwrap().as_ref(), b"odd");
    let ttl: i64 = items[0]["ttl"].as_n().unwrap().parse().unwrap();
    assert_eq!(ttl, now().as_second() + 90 * 86_400);
}

#[tokio::test]
async fn a_waiting_item_can_be_archived() {
    let stack = Stack::start().await;
    stack.inbox.put_item(&note(b"odd")).await.unwrap();
    let own = WaitingItem::just_put(note(b"odd"));
    stack.inbox.archive_waiting(&own, "unknown", now()).await.unwrap();
    let items = stack.items().await;
    assert_eq!((items.len(), &items[0]["pk"]), (1, &text("note#done")));
    assert_eq!(items[0]["body"].as_b().unwrap().as_ref(), b"odd");
}

#[tokio::test]
async fn an_item_that_is_too_large_for_one_is_refused() {
    let stack = Stack::start().await;
    let large = note(&vec![b'x'; 400 * 1024]);
    for refused in
        [stack.inbox.put_item(&large).await, stack.inbox.archive(&large, "large", now()).await]
    {
        assert_eq!(refused, Err(InboxError::TooLarge { bytes: 400 * 1024 }));
    }
    assert!(stack.items().await.is_empty());
}

#[tokio::test]
async fn an_item_without_a_body_is_unreadable() {
    let stack = Stack::start().await;
    let put = stack.client.put_item().table_name("inbox").item("pk", text("note#waiting"));
    put.item("sk", text("note-2")).send().await.unwrap();
    let page = stack.inbox.waiting_items(NOTES, None).await.unwrap();
    assert_eq!(page.unreadable[0].why, WhyUnreadable::NoHead);
}
