//! Debug output and errors hold no content of items.

use fake_aws::{FakeAws, Trouble};

use crate::setup::{CONTENT, Stack, inbox, letter};

#[tokio::test]
async fn debug_output_of_waiting_items_holds_no_content() {
    let stack = Stack::start().await;
    stack.inbox.put_item(&letter(1)).await.unwrap();
    let page = stack.page().await;
    let printed = format!("{page:?} {:?} {:?}", page.items[0], stack.inbox);
    assert!(printed.contains("letter-00001"), "{printed}");
    assert!(
        !printed.contains("Ada") && !printed.contains(&format!("{:?}", CONTENT.as_bytes())),
        "{printed}"
    );
}

#[tokio::test]
async fn dynamodb_error_messages_are_redacted() {
    let fake = FakeAws::start().await.unwrap();
    let mut variables = fake.variables().to_vec();
    variables.push(("INBOX_TABLE", "inbox".to_owned()));
    let body = format!(r#"{{"__type":"ValidationException","message":"item holds {CONTENT}"}}"#);
    fake.script(1, &Trouble::Answer { status: 400, body });
    let error = inbox(&variables).0.put_item(&letter(1)).await.unwrap_err();
    let printed = format!("{error} {error:?}");
    assert!(printed.starts_with("DynamoDB: ValidationException, status 400"), "{printed}");
    assert!(!printed.contains(CONTENT), "{printed}");
}
