//! Unreadable items.

use std::io::Write;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use flate2::Compression;
use flate2::write::GzEncoder;
use shared_inbox::{Depth, WhyUnreadable};

use crate::setup::{Item, Stack, noise, text, turn, turn_with_answer};

impl Stack {
    async fn put_head(&self, id: &str, pieces: AttributeValue) {
        let put = self.client.put_item().table_name("inbox");
        let put = put.item("pk", text("turn#waiting")).item("sk", text(id));
        put.item("pieces", pieces).send().await.unwrap();
    }

    async fn put_body(&self, id: &str, body: &[u8]) {
        let put = self.client.put_item().table_name("inbox");
        let put = put.item("pk", text(&format!("turn#{id}"))).item("sk", text("00"));
        put.item("body", AttributeValue::B(Blob::new(body))).send().await.unwrap();
    }
}

fn one() -> AttributeValue {
    AttributeValue::N("1".to_owned())
}

fn gzipped(json: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(json).unwrap();
    gzip.finish().unwrap()
}

#[tokio::test]
async fn unreadable_items_are_reported_stay_and_hide_no_turns() {
    let stack = Stack::start().await;
    stack.inbox.put_turn(&turn(1)).await.unwrap();
    stack.put_head("answer-00002", text("many")).await;
    stack.put_head("answer-00003", one()).await;
    stack.put_head("answer-00004", one()).await;
    stack.put_body("answer-00004", b"no gzip").await;
    stack.put_head("answer-00005", one()).await;
    stack.put_body("answer-00005", &gzipped(br#"{"user":"of another version"}"#)).await;
    stack.inbox.put_turn(&turn(6)).await.unwrap();

    for _ in 0..2 {
        let page = stack.page().await;
        let turns: Vec<_> = page.turns.into_iter().map(|turn| turn.turn).collect();
        assert_eq!(turns, [turn(1), turn(6)]);
        let unreadable: Vec<_> =
            page.unreadable.iter().map(|item| (item.id.as_str(), item.why)).collect();
        let expected = [
            ("answer-00002", WhyUnreadable::NoHead),
            ("answer-00003", WhyUnreadable::Damaged),
            ("answer-00004", WhyUnreadable::Damaged),
            ("answer-00005", WhyUnreadable::NotATurn),
        ];
        assert_eq!(unreadable, expected);
    }
    assert_eq!(stack.inbox.depth().await.unwrap(), Depth { waiting: 6, failed: 0 });
}

#[tokio::test]
async fn a_page_of_nothing_but_unreadable_items_is_not_the_last() {
    let stack = Stack::start().await;
    for number in 0..20 {
        stack.put_head(&format!("answer-{number:05}"), one()).await;
    }
    stack.inbox.put_turn(&turn(20)).await.unwrap();
    let page = stack.page().await;
    assert_eq!((page.turns.len(), page.unreadable.len()), (0, 20));
    let page = stack.inbox.waiting_turns(page.next.as_ref()).await.unwrap();
    assert_eq!(page.turns[0].turn, turn(20));
}

#[tokio::test]
async fn a_body_that_lacks_a_piece_is_damaged() {
    let stack = Stack::start().await;
    stack.inbox.put_turn(&turn_with_answer(1, &noise(1_100_000))).await.unwrap();
    let body = "turn#answer-00001#00000000-0000-0000-0000-000000000001#complete";
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
    assert_eq!(stack.page().await.turns.len(), 1);
}
