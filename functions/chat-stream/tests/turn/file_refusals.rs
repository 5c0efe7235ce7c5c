//! Questions with files that are refused, and files that cannot be sent any more.

use std::time::Duration;

use serde_json::json;
use shared_core::uploads::UploadId;
use testkit::{Client, ReadyFile, TestStack};

use crate::app::app;
use crate::chat::Chat;
use crate::files::{IMAGE, PDF, TEXT, image_part, question};

const MIB: usize = 1024 * 1024;

impl Chat {
    /// Nothing was stored, charged, or sent.
    async fn is_untouched(&self) {
        self.stack.until_count(0, "select count(*) from messages").await;
        self.stack.until_count(0, "select count(*) from chats").await;
        let spent = "select coalesce(sum(granted - balance), 0)::bigint from allowances";
        self.stack.until_count(0, spent).await;
        assert!(self.stack.provider.requests().is_empty());
    }

    async fn delete(&self, file: UploadId) {
        let now = self.stack.clock.now();
        let database = self.stack.database();
        assert!(database.request(&self.session, now).delete_upload(file).await.unwrap());
    }

    async fn is_pending_again(&self, file: UploadId) {
        let sql = "update uploads set state = 'pending', removal_at = now() + interval '70 minutes' where id = $1";
        self.stack.owner().await.execute(sql, &[&file.0]).await.unwrap();
    }
}

fn asked(parts: &serde_json::Value) -> serde_json::Value {
    json!({ "id": "the-chat", "message": { "role": "user", "parts": parts } })
}

#[tokio::test]
async fn a_file_that_was_not_uploaded_is_refused() {
    let chat = Chat::start().await;
    let id = "0198c5a0-7b1e-7cc3-98c4-dc0c0c07398f";
    for url in [
        "data:image/png;base64,AAAA".to_owned(),
        "https://example.com/a.png".to_owned(),
        format!("https://chat.example.com/api/uploads/{id}"),
        format!("/api/uploads/{id}/file"),
        format!("/api/uploads/{id}?x"),
        "/api/uploads/../me".to_owned(),
    ] {
        let body = asked(&json!([{ "type": "file", "url": url, "mediaType": "image/png" }]));
        let refused = chat.client.post("/api/chat", &body).await;
        assert_eq!(refused.refusal(), (422, "invalid_message".into()), "{url}");
        assert!(refused.body.contains("POST /api/uploads"), "{}", refused.body);
    }
    for part in [json!({ "type": "file" }), json!({ "type": "image", "url": "x" })] {
        let refused = chat.client.post("/api/chat", &asked(&json!([part]))).await.refusal();
        assert_eq!(refused, (422, "invalid_message".into()), "{part}");
    }
    let wrong_type = asked(&json!([{ "type": "file", "url": 7 }]));
    let refused = chat.client.post("/api/chat", &wrong_type).await.refusal();
    assert_eq!(refused, (422, "invalid_request".into()));
    chat.is_untouched().await;
}

#[tokio::test]
async fn a_message_has_eight_files_at_most_and_each_once() {
    let chat = Chat::start().await;
    let mut files = Vec::new();
    for _ in 0..9 {
        files.push(chat.upload(&TEXT).await);
    }
    let refused = chat.ask_about("question-1", "What is this?", &files).await;
    assert_eq!(refused.refusal(), (422, "invalid_message".into()));
    chat.is_untouched().await;
    let twice = [files[0], files[0]];
    assert_eq!(chat.ask_about("question-1", "What is this?", &twice).await.status, 200);
    let sent = chat.last_sent();
    assert_eq!(sent.as_str().unwrap().matches("notes.md").count(), 1, "{sent}");
    let sql = "select jsonb_array_length(parts)::bigint from messages where role = 'user'";
    chat.stack.until_count(2, sql).await;
}

#[tokio::test]
async fn files_that_are_not_there_refuse_the_question_before_anything_is_charged() {
    let chat = Chat::start().await;
    let (pending, deleted) = (chat.upload(&IMAGE).await, chat.upload(&IMAGE).await);
    chat.is_pending_again(pending).await;
    chat.delete(deleted).await;
    let eve = chat.stack.session("eve@example.com").await;
    let eves = chat.stack.ready_upload(&eve, &IMAGE).await;
    let unknown = UploadId::parse("0198c5a0-7b1e-7cc3-98c4-dc0c0c07398f").unwrap();
    for (file, status, code) in [
        (pending, 409, "upload_missing"),
        (deleted, 404, "upload_not_found"),
        (eves, 404, "upload_not_found"),
        (unknown, 404, "upload_not_found"),
    ] {
        let good = chat.upload(&TEXT).await;
        let refused = chat.ask_about("question-1", "What is this?", &[good, file]).await;
        assert_eq!(refused.refusal(), (status, code.to_owned()), "{}", refused.body);
    }
    chat.stack.clock.advance(Duration::from_mins(61));
    let refused = chat.ask_about("question-1", "What is this?", &[pending]).await.refusal();
    assert_eq!(refused, (404, "upload_not_found".into()), "it has expired");
    chat.is_untouched().await;
}

#[tokio::test]
async fn a_model_that_cannot_see_is_named_with_models_that_can() {
    let chat = Chat::start().await;
    let file = chat.upload(&IMAGE).await;
    let body = question("question-1", "fake/blind", "What is this?", &[file]);
    let refused = chat.client.post("/api/chat", &body).await;
    assert_eq!(refused.refusal(), (422, "model_cannot_read".into()));
    let details = &refused.json()["error"]["details"];
    assert_eq!((&details["model"], &details["kind"]), (&json!("fake/blind"), &json!("image")));
    let models = details["models"].as_array().unwrap();
    assert_eq!(models.len(), 5);
    assert!(models.iter().all(|model| model.as_str().unwrap().starts_with("fake/")), "{models:?}");
    chat.is_untouched().await;

    // The same question to a model that can.
    let body = question("question-1", "fake/echo", "What is this?", &[file]);
    assert_eq!(chat.client.post("/api/chat", &body).await.status, 200);
    assert_eq!(chat.last_sent()[1], image_part(&IMAGE));
}

#[tokio::test]
async fn every_model_reads_pdfs_and_texts() {
    let chat = Chat::start().await;
    let files = [chat.upload(&PDF).await, chat.upload(&TEXT).await];
    let body = question("question-1", "fake/blind", "What is this?", &files);
    assert_eq!(chat.client.post("/api/chat", &body).await.status, 200);
}

#[tokio::test]
async fn without_the_list_the_model_is_tried_and_its_providers_refusal_is_free() {
    let chat = Chat::start().await;
    chat.stack.provider.set_models(json!("away"));
    let file = chat.upload(&IMAGE).await;
    let body = question("question-1", "fake/blind", "What is this?", &[file]);
    let refused = chat.client.post("/api/chat", &body).await;
    assert_eq!(refused.refusal(), (422, "model_cannot_read".into()));
    assert_eq!(refused.json()["error"]["details"]["model"], "fake/blind");
    assert_eq!(chat.stack.provider.requests().len(), 1);
    chat.stack.until_count(5, "select balance::bigint from allowances").await;
}

#[tokio::test]
async fn a_chat_goes_on_with_a_model_that_cannot_see_its_earlier_images() {
    let chat = Chat::start().await;
    let file = chat.upload(&IMAGE).await;
    chat.ask_about("question-1", "What is this?", &[file]).await;
    let body = question("question-2", "fake/blind", "And what is 2 + 2?", &[]);
    assert_eq!(chat.client.post("/api/chat", &body).await.text(), "And what is 2 + 2?");
    let earlier = chat.sent()[1]["content"].clone();
    assert_eq!(earlier, "What is this?\n\n[The file \"ship.png\" was shown here.]");
}

#[tokio::test]
async fn a_deleted_file_is_named_and_not_sent() {
    let chat = Chat::start().await;
    let file = chat.upload(&IMAGE).await;
    chat.ask_about("question-1", "What is this?", &[file]).await;
    chat.delete(file).await;
    chat.stack.s3.clear_requests();
    chat.ask_about("question-2", "And now?", &[]).await;
    let earlier = chat.sent()[1]["content"].clone();
    assert_eq!(earlier, "What is this?\n\n[The file \"ship.png\" was shown here.]");
    assert!(chat.stack.s3.requests().is_empty());
    let sql = "select parts -> 1 ->> 'url' from messages where id = 'question-1'";
    let url: String = chat.stack.owner().await.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(url, "");
}

#[tokio::test]
async fn a_question_can_be_asked_again_after_its_file_was_deleted() {
    let chat = Chat::start().await;
    let file = chat.upload(&IMAGE).await;
    chat.ask_about("question-1", "What is this?", &[file]).await;
    chat.delete(file).await;
    // As a page has the message then.
    let mut again = question("question-1", "fake/echo", "What is this?", &[]);
    let parts = again["message"]["parts"].as_array_mut().unwrap();
    parts.push(
        json!({ "type": "file", "url": "", "mediaType": "image/png", "filename": "ship.png" }),
    );
    again["trigger"] = json!("regenerate-message");
    assert_eq!(chat.client.post("/api/chat", &again).await.status, 200);
    assert_eq!(chat.last_sent(), "What is this?\n\n[The file \"ship.png\" was shown here.]");

    // A question that was nothing but its file.
    let file = chat.upload(&IMAGE).await;
    chat.ask_about("question-2", "", &[file]).await;
    chat.delete(file).await;
    let mut again = question("question-2", "fake/echo", "", &[]);
    again["message"]["parts"] = json!([{ "type": "file", "url": "" }]);
    again["trigger"] = json!("regenerate-message");
    assert_eq!(chat.client.post("/api/chat", &again).await.status, 200);
    assert_eq!(chat.last_sent(), "[The file \"ship.png\" was shown here.]");
    let alone = asked(&json!([{ "type": "file", "url": "" }]));
    let refused = chat.client.post("/api/chat", &alone).await.refusal();
    assert_eq!(refused, (422, "invalid_message".into()));
}

#[tokio::test]
async fn without_the_list_earlier_images_are_left_out() {
    let chat = Chat::start().await;
    chat.stack.provider.set_models(json!("away"));
    let file = chat.upload(&IMAGE).await;
    chat.ask_about("question-1", "What is this?", &[file]).await;
    assert_eq!(chat.last_sent()[1], image_part(&IMAGE), "tried");
    let body = question("question-2", "fake/blind", "And what is 2 + 2?", &[]);
    assert_eq!(chat.client.post("/api/chat", &body).await.text(), "And what is 2 + 2?");
}

#[tokio::test]
async fn a_turn_does_not_wait_for_a_new_list_of_models() {
    let chat = Chat::start().await;
    let file = chat.upload(&IMAGE).await;
    assert_eq!(chat.ask_about("question-1", "What is this?", &[file]).await.status, 200);
    chat.stack.provider.hang_models();
    chat.stack.clock.advance(Duration::from_mins(11));
    assert_eq!(chat.ask_about("question-2", "What is this?", &[file]).await.status, 200);
    let asked = chat.stack.provider.requests().len();
    let body = question("question-3", "fake/blind", "What is this?", &[file]);
    let refused = chat.client.post("/api/chat", &body).await;
    assert_eq!(refused.refusal(), (422, "model_cannot_read".into()));
    assert_eq!(chat.stack.provider.requests().len(), asked, "known by the expired list");
}

#[tokio::test]
async fn a_turn_sends_20_mib_of_files_at_most_the_newest_first() {
    let chat = Chat::premium().await;
    let large = vec![b'x'; 9 * MIB];
    let pdf = ReadyFile { bytes: &large, tokens: 100, ..PDF };
    let files = [chat.upload(&pdf).await, chat.upload(&pdf).await, chat.upload(&pdf).await];
    let refused = chat.ask_about("question-1", "What is this?", &files).await;
    assert_eq!(refused.refusal(), (413, "files_too_large".into()));
    assert_eq!(refused.json()["error"]["details"]["limitMib"], 20);
    chat.is_untouched().await;

    for (number, file) in files.iter().enumerate() {
        let id = format!("question-{number}");
        assert_eq!(chat.ask_about(&id, "What is this?", &[*file]).await.status, 200);
    }
    let has_file: Vec<_> =
        chat.sent().iter().map(|message| message["content"].is_array()).collect();
    assert_eq!(has_file, [false, false, false, true, false, true]);
    let oldest = chat.sent()[1]["content"].clone();
    assert_eq!(oldest, "What is this?\n\n[The file \"log.pdf\" was shown here.]");
}

#[tokio::test]
async fn while_s3_is_away_a_question_with_files_is_refused_and_its_credits_come_back() {
    let chat = Chat::start().await;
    let file = chat.upload(&IMAGE).await;
    chat.ask_about("question-1", "What is this?", &[file]).await;
    chat.stack.s3.stop().await;
    let refused = chat.ask_about("question-2", "And this?", &[file]).await;
    assert_eq!(refused.refusal(), (503, "uploads_unavailable".into()));
    assert_eq!(refused.header("retry-after"), Some("5"));
    chat.stack.until_count(4, "select balance::bigint from allowances").await;

    // A file of an earlier message does not stop the chat.
    assert_eq!(chat.ask_about("question-3", "And now?", &[]).await.text(), "And now?");
    let earlier = chat.sent()[1]["content"].clone();
    assert_eq!(earlier, "What is this?\n\n[The file \"ship.png\" was shown here.]");

    chat.stack.s3.start_again().await.unwrap();
    assert_eq!(chat.ask_about("question-2", "And this?", &[file]).await.status, 200);
    let kept = "select count(*) from uploads where state = 'ready' and removal_at is null";
    chat.stack.until_count(1, kept).await;
}

#[tokio::test]
async fn a_refused_turn_reads_its_files_no_further() {
    let chat = Chat::start().await;
    let file = chat.upload(&IMAGE).await;
    chat.is_pending_again(file).await;
    chat.stack.s3.hang_after(0);
    let refused = chat.ask_about("question-1", "What is this?", &[file]).await;
    assert_eq!(refused.refusal(), (409, "upload_missing".into()));
    // An object that does not come is given up after five seconds.
    tokio::time::timeout(Duration::from_secs(3), chat.tasks.finish()).await.unwrap();
}

#[tokio::test]
async fn a_question_that_was_never_asked_keeps_its_files() {
    let chat = Chat::start().await;
    let file = chat.upload(&ReadyFile { tokens: 45_000, ..PDF }).await;
    let refused = chat.ask_about("question-1", "What is this?", &[file]).await;
    assert_eq!(refused.code(), "context_too_large");
    let kept = "select count(*) from uploads where state = 'ready' and removal_at is null";
    chat.stack.until_count(1, kept).await;
    chat.stack.until_count(0, "select count(*) from message_files").await;
}

#[tokio::test]
async fn another_user_cannot_ask_about_a_file_whatever_its_id() {
    let chat = Chat::start().await;
    let file = chat.upload(&IMAGE).await;
    let eve = chat.stack.session("eve@example.com").await;
    let eve = Client::new(app(&chat.stack, &chat.tasks)).signed_in(&chat.stack.cookie(&eve));
    let body = question("question-1", "fake/echo", "What is this?", &[file]);
    assert_eq!(eve.post("/api/chat", &body).await.refusal(), (404, "upload_not_found".into()));
    let ada = chat.session.user.to_string();
    let foreign = chat.stack.s3.requests().into_iter().any(|request| request.key.contains(&ada));
    assert!(!foreign, "not even read");
}

#[tokio::test]
async fn a_cold_start_with_a_file_is_served() {
    let chat = Chat::on(TestStack::start().await).await;
    let file = chat.upload(&IMAGE).await;
    let body = question("question-1", "fake/echo", "What is this?", &[file]);
    assert_eq!(chat.elsewhere().post("/api/chat", &body).await.status, 200);
}
