//! Outages and errors of DynamoDB.
//!
//! Where the time matters the clock is paused: waits are virtual, and a busy machine adds nothing to them.

use std::time::Duration;

use fake_aws::{FakeAws, Trouble};
use shared_inbox::InboxError;
use tokio::time::{Instant, pause, resume};

use crate::setup::{LETTERS, Stack, inbox, letter, now};

/// How long a caller may wait for the inbox.
const PATIENCE: Duration = Duration::from_secs(3);

fn with_fake(fake: &FakeAws) -> shared_inbox::Inbox {
    let mut variables = fake.variables().to_vec();
    variables.push(("INBOX_TABLE", "inbox".to_owned()));
    inbox(&variables).0
}

fn cancelled(reasons: &str) -> Trouble {
    let body = format!(
        r#"{{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
            "Message":"Transaction cancelled","CancellationReasons":[{reasons}]}}"#
    );
    Trouble::Answer { status: 400, body }
}

#[tokio::test]
async fn a_refused_connection_fails_at_once_and_the_inbox_recovers() {
    let stack = Stack::start().await;
    stack.inbox.put_item(&letter(1)).await.unwrap();
    let waiting = &stack.page().await.items[0];

    stack.dynamodb.stop().await;
    pause();
    let began = Instant::now();
    let errors = [
        stack.inbox.put_item(&letter(2)).await.unwrap_err(),
        stack.inbox.done(waiting, "stored", now()).await.unwrap_err(),
        stack.inbox.failed(waiting, "away", now()).await.unwrap_err(),
        stack.inbox.waiting_items(LETTERS, None).await.map(drop).unwrap_err(),
        stack.inbox.depth(LETTERS).await.map(drop).unwrap_err(),
    ];
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    for error in errors {
        assert!(error.to_string().starts_with("DynamoDB: cannot be reached"), "{error}");
    }

    resume();
    stack.dynamodb.start_again().await.unwrap();
    stack.inbox.put_item(&letter(2)).await.unwrap();
    assert_eq!(stack.page().await.items.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_timeout_is_retried_and_comes_within_three_seconds() {
    let fake = FakeAws::start().await.unwrap();
    fake.script(9, &Trouble::Slow(Duration::from_mins(1)));
    let began = Instant::now();
    let error = with_fake(&fake).put_item(&letter(1)).await.unwrap_err();
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    assert_eq!(error.to_string(), "DynamoDB: no answer in time");
    assert!(fake.calls().len() > 1, "a dead connection is worth a second attempt");
}

#[tokio::test]
async fn a_transaction_conflict_is_retried() {
    let conflict = r#"{"Code":"None"},{"Code":"TransactionConflict","Message":"in conflict"}"#;
    for reason in [conflict, r#"{"Code":"ThrottlingError"}"#] {
        let fake = FakeAws::start().await.unwrap();
        fake.script(2, &cancelled(reason));
        fake.script(1, &Trouble::Answer { status: 200, body: "{}".to_owned() });
        with_fake(&fake).put_item(&letter(1)).await.unwrap();
        assert_eq!(fake.calls().len(), 3);
        // The idempotency token, by which DynamoDB recognises the retries as one request.
        let calls = fake.calls();
        let tokens = calls.iter().map(|call| call.parameters["ClientRequestToken"].as_str());
        let tokens: std::collections::BTreeSet<_> = tokens.collect();
        assert!(tokens.len() == 1 && !tokens.contains(&None), "{tokens:?}");
    }
}

#[tokio::test]
async fn a_failed_condition_is_not_retried_and_is_no_error() {
    let fake = FakeAws::start().await.unwrap();
    fake.script(1, &cancelled(r#"{"Code":"ConditionalCheckFailed"},{"Code":"None"}"#));
    with_fake(&fake).put_item(&letter(1)).await.unwrap();
    assert_eq!(fake.calls().len(), 1);
}

#[tokio::test]
async fn a_permanently_cancelled_transaction_is_an_error() {
    let fake = FakeAws::start().await.unwrap();
    fake.script(9, &cancelled(r#"{"Code":"ValidationError","Message":"too large"}"#));
    let error = with_fake(&fake).put_item(&letter(1)).await.unwrap_err();
    let InboxError::Unavailable(failure) = error else { panic!("{error}") };
    assert_eq!(failure.code(), Some("TransactionCanceledException"));
}

#[tokio::test]
async fn an_item_removed_by_a_concurrent_sweep_is_not_unreadable() {
    let head = r#"{"pk":{"S":"letter#waiting"},"sk":{"S":"letter-00001"},"pieces":{"N":"1"}}"#;
    let heads = format!(r#"{{"Count":1,"Items":[{head}]}}"#);
    let nothing = r#"{"Count":0,"Items":[]}"#.to_owned();
    for (still_there, unreadable) in [(&nothing, 0), (&heads, 1)] {
        let fake = FakeAws::start().await.unwrap();
        for body in [&heads, &nothing, still_there] {
            fake.script(1, &Trouble::Answer { status: 200, body: body.clone() });
        }
        let page = with_fake(&fake).waiting_items(LETTERS, None).await.unwrap();
        assert_eq!((page.items.len(), page.unreadable.len()), (0, unreadable), "{page:?}");
        let again = fake.calls().pop().unwrap();
        assert_eq!(again.operation, "Query");
        assert_eq!(again.parameters["ConsistentRead"], true);
        assert_eq!(again.parameters["ExpressionAttributeValues"][":sk"]["S"], "letter-00001");
    }
}

#[tokio::test]
async fn dynamodb_may_have_its_own_endpoint() {
    let (stack, rest) = (Stack::start().await, FakeAws::start().await.unwrap());
    let mut variables = stack.dynamodb.variables().to_vec();
    variables.push(("AWS_ENDPOINT_URL", rest.url()));
    inbox(&variables).0.put_item(&letter(1)).await.unwrap();
    assert_eq!(stack.page().await.items.len(), 1);
    assert!(rest.calls().is_empty());
}
