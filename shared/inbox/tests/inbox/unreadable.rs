//! Unreadable items.

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use shared_inbox::{Depth, WhyUnreadable};

use crate::setup::{Item, LETTERS, Stack, letter, letter_with, noise, text};

impl Stack {
    async fn put_head(&self, id: &str, pieces: AttributeValue) {
        let put = self.client.put_item().table_name("inbox");
        let put = put.item("pk", text("letter#waiting")).item("sk", text(id));
        put.item("pieces", pieces).send().await.unwrap();
    }

    async fn put_body(&self, id: &str, body: &[u8]) {
        let put = self.client.put_item().table_name("inbox");
        let put = put.item("pk", text(&format!("letter#{id}"))).item("sk", text("00"));
        put.item("body", AttributeValue::B(Blob::new(body))).send().await.unwrap();
    }
}

fn one() -> AttributeValue {
    AttributeValue::N("1".to_owned())
}

#[tokio::test]
async fn unreadable_items_are_reported_stay_and_hide_no_items() {
    let stack = Stack::start().await;
    stack.inbox.put_item(&letter(1)).await.unwrap();
    stack.put_head("letter-00002", text("many")).await;
    stack.put_head("letter-00003", one()).await;
    stack.put_head("letter-00004", one()).await;
    stack.put_body("letter-00004", b"no gzip").await;
    stack.inbox.put_item(&letter(6)).await.unwrap();

    for _ in 0..2 {
        let page = stack.page().await;
        let letters: Vec<_> = page.items.into_iter().map(|waiting| waiting.item).collect();
        assert_eq!(letters, [letter(1), letter(6)]);
        let unreadable: Vec<_> =
            page.unreadable.iter().map(|item| (item.id.as_str(), item.why)).collect();
        let expected = [
            ("letter-00002", WhyUnreadable::NoHead),
            ("letter-00003", WhyUnreadable::Damaged),
            ("letter-00004", WhyUnreadable::Damaged),
        ];
        assert_eq!(unreadable, expected);
    }
    assert_eq!(stack.inbox.depth(LETTERS).await.unwrap(), Depth { waiting: 5, failed: 0 });
}

#[tokio::test]
async fn a_page_of_nothing_but_unreadable_items_is_not_the_last() {
    let stack = Stack::start().await;
    for number in 0..20 {
        stack.put_head(&format!("letter-{number:05}"), one()).await;
    }
    stack.inbox.put_item(&letter(20)).await.unwrap();
    let page = stack.page().await;
    assert_eq!((page.items.len(), page.unreadable.len()), (0, 20));
    let page = stack.inbox.waiting_items(LETTERS, page.next.as_ref()).await.unwrap();
    assert_eq!(page.items[0].item, letter(20));
}

#[tokio::test]
async fn a_body_that_lacks_a_piece_is_damaged() {
    let stack = Stack::start().await;
    stack.inbox.put_item(&letter_with(1, &noise(1_100_000))).await.unwrap();
    let body = "letter#letter-00001";
    let pieces = stack.partition(body).await;
    assert!(pieces.len() > 2, "{}", pieces.len());
    for piece in pieces {
        let key = Item::from(["pk", "sk"].map(|name| (name.to_owned(), piece[name].clone())));
        let delete = stack.client.delete_item().table_name("inbox").set_key(Some(key));
        delete.send().await.unwrap();
        assert_eq!(stack.page().await.unreadable[0].why, WhyUnreadable::Damaged);
        let put = stack.client.put_item().table_name("inbox").set_item(Some(piece));
        put.send().await.unwrap();
    }
    assert_eq!(stack.page().await.items.len(), 1);
}
