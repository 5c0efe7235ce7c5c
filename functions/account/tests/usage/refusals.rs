//! Invalid requests, and users without access.

use serde_json::{Value, json};

use crate::setup::{ada, byok, client, get, live, many_turns, stack, turn, usage};

#[tokio::test]
async fn a_user_does_not_see_another_users_usage() {
    let stack = stack().await;
    let (ada, _) = ada(&stack).await;
    byok(&stack, &ada).await;
    stack.premium(&ada).await;
    live(&stack, &ada, &turn(1)).await;
    many_turns(&stack, &ada, 3, "2026-03-14T11:00:00Z").await;
    let eve = stack.session("eve@example.com").await;
    let eves = usage(&client(&stack, &eve)).await;
    assert_eq!((&eves["plan"]["id"], &eves["byok"]), (&json!("free"), &Value::Null));
    assert_eq!(eves["credits"]["left"], 5);
    assert_eq!((&eves["days"], &eves["turns"]["items"]), (&json!([]), &json!([])));
    // Nor with a cursor from Ada's list.
    let cursor =
        get(&client(&stack, &ada), "/api/usage?limit=1").await["turns"]["nextCursor"].take();
    let path = format!("/api/usage?cursor={}", cursor.as_str().unwrap());
    assert_eq!(get(&client(&stack, &eve), &path).await["turns"]["items"], json!([]));
}

#[tokio::test]
async fn an_invalid_parameter_is_rejected_with_its_name() {
    let stack = stack().await;
    let (_, client) = ada(&stack).await;
    for (field, range, twice) in [
        ("days", "days: from 1 to 90", "days: once"),
        ("limit", "limit: from 1 to 100", "limit and cursor: each once"),
    ] {
        for (value, words) in [
            ("0", range),
            ("101", range),
            ("-1", range),
            ("many", range),
            ("1.5", range),
            ("", range),
            ("4294967296", range),
            (&format!("1&{field}=2"), twice),
        ] {
            let answer = client.get(&format!("/api/usage?{field}={value}")).await;
            assert_eq!(answer.refusal(), (422, "invalid_request".into()), "{field}={value}");
            assert_eq!(answer.json()["error"]["message"], words, "{field}={value}");
        }
    }
    assert_eq!(client.get("/api/usage?days=91").await.refusal(), (422, "invalid_request".into()));
    assert_eq!(client.get("/api/usage?days=90&limit=100").await.status, 200);
    for cursor in [
        "",
        "nonsense",
        "1773489600000000",
        "1773489600000000.",
        "1773489600000000.short",
        "1773489600000000.answer-01.more",
        "1773489600000000.answer-%00",
        "-1.answer-01",
        "9223372036854775807.answer-01",
        "99999999999999999999.answer-01",
        "1773489600000000,answer-01",
        "0198c5a0-7b1e-7cc3-98c4-dc0c0c07398f",
    ] {
        let answer = client.get(&format!("/api/usage?cursor={cursor}")).await;
        assert_eq!(answer.refusal(), (422, "invalid_cursor".into()), "{cursor:?}");
    }
    for edge in ["0", "253402207200000000"] {
        let answer = client.get(&format!("/api/usage?cursor={edge}.answer-01")).await;
        assert_eq!(answer.status, 200, "{edge}: {}", answer.body);
    }
}

#[tokio::test]
async fn without_a_live_session_no_usage_is_returned() {
    let stack = stack().await;
    let (session, client) = ada(&stack).await;
    let anonymous = client.clone().with("cookie", "theme=dark");
    assert_eq!(anonymous.get("/api/usage").await.refusal(), (401, "unauthenticated".into()));
    stack.database().request(&session, stack.clock.now()).log_out().await.unwrap();
    assert_eq!(client.get("/api/usage").await.refusal(), (401, "session_ended".into()));
}

#[tokio::test]
async fn without_the_database_it_answers_503_with_retry_after() {
    let mut stack = stack().await;
    let (session, _) = ada(&stack).await;
    stack.set("DATABASE_URL", "postgres://u@127.0.0.1:1/x");
    let answer = client(&stack, &session).get("/api/usage").await;
    assert_eq!(answer.refusal(), (503, "unavailable".into()));
    assert_eq!(answer.header("retry-after"), Some("5"));
}
