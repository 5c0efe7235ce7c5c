//! `GET /api/orders`.

use serde_json::{Value, json};
use testkit::TestStack;

use crate::api::setup::{PATH, User, expect, expire, pay, refused};

/// Ids of a page, and its cursor.
async fn page(user: &User, query: &str) -> (Vec<String>, Option<String>) {
    let body = expect(200, user.client.get(&format!("{PATH}{query}")).await).json();
    let items = body["items"].as_array().unwrap().iter();
    let ids = items.map(|order| order["id"].as_str().unwrap().to_owned()).collect();
    (ids, body["nextCursor"].as_str().map(str::to_owned))
}

#[tokio::test]
async fn orders_are_listed_newest_first_page_by_page_and_only_to_their_owner() {
    let stack = TestStack::start().await;
    let (ada, eve) = (User::new(&stack, "ada").await, User::new(&stack, "eve").await);
    let mut ids = Vec::new();
    for _ in 0..3 {
        let id = ada.ordered().await;
        expire(&stack, &id);
        ids.insert(0, id);
    }
    assert_eq!(page(&ada, "").await, (ids.clone(), None));
    let (first, cursor) = page(&ada, "?limit=2").await;
    let rest = page(&ada, &format!("?limit=2&cursor={}", cursor.unwrap())).await;
    assert_eq!((first, rest), (ids[..2].to_vec(), (ids[2..].to_vec(), None)));
    assert_eq!(page(&eve, "").await, (vec![], None));
}

#[tokio::test]
async fn an_order_is_listed_as_it_is_shown_without_asking_the_provider() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let placed = expect(201, ada.order().await).json();
    let list = async || ada.client.get(PATH).await.json();
    let asked = stack.cashfree.requests().len();
    assert_eq!(list().await, json!({ "items": [placed["order"]], "nextCursor": null }));
    let id = placed["order"]["id"].as_str().unwrap();
    pay(&stack, id);
    assert_eq!(list().await["items"][0]["state"], "active");
    assert_eq!(stack.cashfree.requests().len(), asked);

    let shown = ada.show(id).await.json();
    assert_eq!(list().await["items"], Value::from(vec![shown["order"].clone()]));
}

#[tokio::test]
async fn a_page_is_asked_for_with_a_limit_and_a_cursor_of_this_list() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    for (query, code) in [
        ("?limit=0", "invalid_request"),
        ("?limit=101", "invalid_request"),
        ("?limit=ten", "invalid_request"),
        ("?limit=1&limit=2", "invalid_request"),
        ("?cursor=", "invalid_cursor"),
        ("?cursor=1", "invalid_cursor"),
        ("?cursor=soon.0198c5a0-7b1e-7cc3-98c4-dc0c0c07398f", "invalid_cursor"),
    ] {
        let refusal = ada.client.get(&format!("{PATH}{query}")).await;
        assert_eq!(refusal.refusal(), refused(422, code), "{query}");
    }
    assert_eq!(page(&ada, "?limit=100").await, (vec![], None));
}
