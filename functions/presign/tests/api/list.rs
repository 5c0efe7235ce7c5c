//! The list of uploads.

use std::time::Duration;

use serde_json::Value;
use shared_core::uploads::UploadId;
use testkit::TestStack;

use crate::api::setup::{IMAGE, PDF, TEXT, User, expect, refused};

fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap().iter();
    items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

async fn many(stack: &TestStack, user: &User, count: usize) -> Vec<String> {
    let mut made = Vec::new();
    for number in 0..count {
        made.push(stack.ready_upload(&user.session, &TEXT).await.to_string());
        // In threes at the same microsecond.
        if number % 3 == 2 {
            stack.clock.advance(Duration::from_micros(1));
        }
    }
    made
}

#[tokio::test]
async fn all_uploads_are_listed_once_newest_first() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let mut made = many(&stack, &ada, 25).await;
    let first = expect(200, ada.list("").await).json();
    assert_eq!(ids(&first).len(), 20);
    let (mut listed, mut page) = (Vec::new(), ada.list("?limit=7").await.json());
    loop {
        listed.extend(ids(&page));
        let Some(cursor) = page["nextCursor"].as_str() else { break };
        assert_eq!(ids(&page).len(), 7);
        // One that is added meanwhile shifts nothing.
        stack.clock.advance(Duration::from_secs(1));
        stack.ready_upload(&ada.session, &TEXT).await;
        page = expect(200, ada.list(&format!("?limit=7&cursor={cursor}")).await).json();
    }
    assert_eq!(listed[..20], ids(&first)[..]);
    let position = |id: &String| made.iter().position(|made| made == id).unwrap() / 3;
    assert!(listed.is_sorted_by_key(|id| std::cmp::Reverse(position(id))));
    listed.sort();
    made.sort();
    assert_eq!(listed, made);
    let all = ada.list("?limit=100").await.json();
    assert_eq!((ids(&all).len(), &all["nextCursor"]), (28, &Value::Null));
}

#[tokio::test]
async fn a_bad_page_is_refused() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    for query in
        ["?limit=0", "?limit=101", "?limit=ten", "?limit=-1", "?limit=", "?limit=1&limit=2"]
    {
        assert_eq!(ada.list(query).await.refusal(), refused(422, "invalid_request"), "{query}");
    }
    for query in ["?cursor=", "?cursor=7", "?cursor=x.answer-01", "?cursor=-7.answer-01"] {
        assert_eq!(ada.list(query).await.refusal(), refused(422, "invalid_cursor"), "{query}");
    }
    let empty = expect(200, ada.list("?limit=1").await).json();
    assert_eq!(empty, serde_json::json!({ "items": [], "nextCursor": null }));
    // Of another list.
    for cursor in ["1773489600000000.answer-01", "253402207200000000.answer-01"] {
        expect(200, ada.list(&format!("?cursor={cursor}")).await);
    }
}

#[tokio::test]
async fn an_upload_is_listed_with_what_is_known_of_it() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let (pdf, image) = (
        stack.ready_upload(&ada.session, &PDF).await,
        stack.ready_upload(&ada.session, &IMAGE).await,
    );
    let pending = ada.client.declare("a.png", "image/png", b"hello").await["id"].take();
    let page = ada.list("").await.json();
    let of = |id: &str| {
        let mut items = page["items"].as_array().unwrap().iter();
        items.find(|item| item["id"] == id).unwrap().clone()
    };
    let fields = |item: &Value| {
        ["state", "contentType", "size", "width", "height", "pages"]
            .map(|field| item[field].clone())
            .to_vec()
    };
    let expected = serde_json::json!([
        ["ready", "application/pdf", 5, null, null, 12],
        ["ready", "image/png", 6, 4, 3, null],
        ["pending", "image/png", 5, null, null, null],
    ]);
    let shown = [pdf.to_string(), image.to_string(), pending.as_str().unwrap().to_owned()];
    let shown: Vec<_> = shown.iter().map(|id| fields(&of(id))).collect();
    assert_eq!(serde_json::json!(shown), expected);
    assert!(of(&pdf.to_string()).get("width").is_none());
}

#[tokio::test]
async fn what_is_expired_deleted_or_another_users_is_not_listed() {
    let stack = TestStack::start().await;
    let (ada, eve) = (User::new(&stack, "ada").await, User::new(&stack, "eve").await);
    let ready = stack.ready_upload(&ada.session, &TEXT).await;
    let deleted = stack.ready_upload(&ada.session, &TEXT).await;
    expect(204, ada.delete(deleted).await);
    let pending = ada.client.declare("a", "text/plain", b"hello").await["id"].take();
    let pending = UploadId::parse(pending.as_str().unwrap()).unwrap();
    let of_eve = stack.ready_upload(&eve.session, &TEXT).await;
    stack.clock.advance(Duration::from_hours(1) - Duration::from_micros(1));
    let listed = ids(&ada.list("").await.json());
    assert_eq!(listed.len(), 2);
    assert!(listed.contains(&ready.to_string()) && listed.contains(&pending.to_string()));
    assert_eq!(ids(&eve.list("").await.json()), [of_eve.to_string()]);
    stack.clock.advance(Duration::from_micros(1));
    assert_eq!(ids(&ada.list("").await.json()), [ready.to_string()]);
    assert_eq!(ada.show(pending).await.refusal(), refused(404, "upload_not_found"));
}
