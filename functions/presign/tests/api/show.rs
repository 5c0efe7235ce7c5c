//! One upload.

use testkit::TestStack;

use crate::api::setup::{IMAGE, TEXT, User, asked_about, expect, refused};

#[tokio::test]
async fn an_upload_is_shown_to_its_user_and_to_no_one_else() {
    let stack = TestStack::start().await;
    let (ada, eve) = (User::new(&stack, "ada").await, User::new(&stack, "eve").await);
    let id = stack.ready_upload(&ada.session, &IMAGE).await;
    let shown = expect(200, ada.show(id).await).json();
    let expected = serde_json::json!({ "upload": {
        "id": id, "filename": "ship.png", "contentType": "image/png", "size": 6, "state": "ready",
        "width": 4, "height": 3, "usedIn": [], "createdAt": stack.clock.now().to_string(),
        "url": format!("/api/uploads/{id}"),
    }});
    assert_eq!(shown, expected);
    let unknown = "0198c5a0-7b1e-7cc3-98c4-dc0c0c07398f";
    let capitals = id.to_string().to_uppercase();
    let simple = id.to_string().replace('-', "");
    let answers = [
        eve.show(id).await,
        ada.show(unknown).await,
        ada.show("x").await,
        ada.show("%00").await,
        ada.show(capitals).await,
        ada.show(simple).await,
        ada.show(format!("%7B{id}%7D")).await,
    ];
    for answer in &answers {
        assert_eq!(answer.refusal(), refused(404, "upload_not_found"));
        // Another user's cannot be told from one that does not exist.
        let (one, other) =
            (&answer.json()["error"]["message"], &answers[1].json()["error"]["message"]);
        assert_eq!(one, other);
    }
}

#[tokio::test]
async fn it_names_the_chats_that_have_it_latest_first() {
    let stack = TestStack::start().await;
    let ada = User::premium(&stack, "ada").await;
    let id = stack.ready_upload(&ada.session, &TEXT).await;
    let other = stack.ready_upload(&ada.session, &TEXT).await;
    let mut chats = Vec::new();
    for number in 0..22 {
        stack.clock.advance(std::time::Duration::from_secs(10));
        chats.insert(0, asked_about(&stack, &ada, number, &[id]).await.0);
    }
    chats.truncate(20);
    assert_eq!(ada.show(id).await.json()["upload"]["usedIn"], serde_json::json!(chats));
    assert_eq!(ada.show(other).await.json()["upload"]["usedIn"], serde_json::json!([]));
    let listed = ada.list("").await.json();
    let listed =
        listed["items"].as_array().unwrap().iter().find(|item| item["id"] == id.to_string());
    assert_eq!(listed.unwrap()["usedIn"], serde_json::json!(chats));
}
