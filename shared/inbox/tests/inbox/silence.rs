//! Debug output and errors hold no content of chats.

use fake_aws::{FakeAws, Trouble};

use crate::setup::{ANSWER, QUESTION, Stack, inbox, turn};

#[tokio::test]
async fn debug_output_of_waiting_turns_holds_no_content() {
    let stack = Stack::start().await;
    stack.inbox.put_turn(&turn(1)).await.unwrap();
    let page = stack.page().await;
    let printed = format!("{page:?} {:?} {:?}", page.turns[0], stack.inbox);
    assert!(
        printed.contains("answer-00001#00000000-0000-0000-0000-000000000001#complete"),
        "{printed}"
    );
    assert!(!printed.contains(QUESTION) && !printed.contains(ANSWER), "{printed}");
}

#[tokio::test]
async fn dynamodb_error_messages_are_redacted() {
    let fake = FakeAws::start().await.unwrap();
    let mut variables = fake.variables().to_vec();
    variables.push(("INBOX_TABLE", "inbox".to_owned()));
    let body = format!(r#"{{"__type":"ValidationException","message":"item holds {ANSWER}"}}"#);
    fake.script(1, &Trouble::Answer { status: 400, body });
    let error = inbox(&variables).0.put_turn(&turn(1)).await.unwrap_err();
    let printed = format!("{error} {error:?}");
    assert!(printed.starts_with("DynamoDB: ValidationException, status 400"), "{printed}");
    assert!(!printed.contains(ANSWER), "{printed}");
}
