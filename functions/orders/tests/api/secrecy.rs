//! No phone number, payment session or secret is stored in plaintext.

use serde_json::json;
use testkit::TestStack;

use crate::api::setup::{PHONE, User, at_provider, expect, order_id, pay};

#[tokio::test]
async fn the_database_holds_no_phone_number_payment_session_or_secret_in_any_form() {
    let stack = TestStack::start().await;
    let (ada, eve) = (User::new(&stack, "ada").await, User::new(&stack, "eve").await);
    let remembered = json!({ "plan": "premium", "phone": PHONE, "rememberPhone": true });
    let open = order_id(&expect(201, ada.post(remembered.clone()).await));
    let paid = order_id(&expect(201, eve.post(remembered).await));
    pay(&stack, &paid);
    expect(200, eve.show(&paid).await);

    let database = stack.whole_database().await;
    // The orders are there, and two phone numbers and a session in some form: the right place was searched.
    assert!(database.contains(&open) && database.contains(&paid));
    let sealed =
        "select (select count(phone) from billing_contacts), count(payment_session) from orders";
    let sealed = stack.owner().await.query_one(sealed, &[]).await.unwrap();
    assert_eq!((sealed.get::<_, i64>(0), sealed.get::<_, i64>(1)), (2, 1));

    let forms = "select encode(s, 'hex'), encode(s, 'base64'), encode(reverse(s), 'hex')
                   from (values ($1::text::bytea)) as secret (s)";
    let sessions = [at_provider(&stack, &open).session, at_provider(&stack, &paid).session];
    let secret = stack.cashfree.client_secret();
    for text in [PHONE, &sessions[0], &sessions[1], &secret] {
        let row = stack.owner().await.query_one(forms, &[&text]).await.unwrap();
        for form in [text, row.get(0), row.get(1), row.get(2)] {
            assert!(!database.contains(form), "{form} in {database}");
        }
    }
}
