//! The list of turns, page by page.

use jiff::Timestamp;
use serde_json::Value;

use crate::setup::{ada, get, live, many_turns, stack, turn, usage};

#[tokio::test]
async fn turns_that_began_at_once_are_paged_without_a_gap_or_a_duplicate() {
    let stack = stack().await;
    let (session, client) = ada(&stack).await;
    many_turns(&stack, &session, 45, "2026-03-14T11:00:00Z").await;
    let all = get(&client, "/api/usage?limit=100").await["turns"].take();
    assert_eq!(all["nextCursor"], Value::Null);
    let all = all["items"].as_array().unwrap();
    assert_eq!(all.len(), 45);
    let order = |item: &Value| {
        (
            item["beganAt"].as_str().unwrap().parse::<Timestamp>().unwrap(),
            item["answerId"].to_string(),
        )
    };
    assert!(all.is_sorted_by(|newer, older| order(newer) > order(older)));

    for limit in [1, 7, 15, 20, 44, 45] {
        let (mut paged, mut pages, mut cursor) = (Vec::new(), 0, String::new());
        loop {
            let page =
                get(&client, &format!("/api/usage?limit={limit}{cursor}")).await["turns"].take();
            let items = page["items"].as_array().unwrap();
            assert!((1..=limit).contains(&items.len()), "{limit}: {}", items.len());
            paged.extend(items.clone());
            pages += 1;
            let Some(next) = page["nextCursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(&paged, all, "{limit}");
        assert_eq!(pages, 45_usize.div_ceil(limit), "{limit}");
    }
    let usual = usage(&client).await["turns"].take();
    assert_eq!(usual["items"].as_array().unwrap().len(), 20);
}

#[tokio::test]
async fn a_turn_that_begins_meanwhile_does_not_shift_the_next_page() {
    let stack = stack().await;
    let (session, client) = ada(&stack).await;
    many_turns(&stack, &session, 4, "2026-03-14T11:00:00Z").await;
    let first = get(&client, "/api/usage?limit=2").await["turns"].take();
    live(&stack, &session, &turn(1)).await;
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = get(&client, &format!("/api/usage?limit=2&cursor={cursor}")).await["turns"].take();
    let all = get(&client, "/api/usage").await["turns"]["items"].take();
    let paged =
        [first["items"].as_array().unwrap().as_slice(), second["items"].as_array().unwrap()];
    assert_eq!(paged.concat(), all.as_array().unwrap()[1..]);
}
