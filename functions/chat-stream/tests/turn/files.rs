//! Questions with files: what the model receives of them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use shared_core::uploads::UploadId;
use testkit::{Answer, ReadyFile};

use crate::chat::Chat;

pub(crate) const IMAGE: ReadyFile<'_> = ReadyFile {
    filename: "ship.png",
    media_type: "image/png",
    model_type: "image/jpeg",
    bytes: b"\xff\xd8 the image for models",
    dimensions: Some((800, 600)),
    pages: None,
    tokens: 640,
};
pub(crate) const PDF: ReadyFile<'_> = ReadyFile {
    filename: "log.pdf",
    media_type: "application/pdf",
    model_type: "application/pdf",
    bytes: b"%PDF-1.7 the log",
    dimensions: None,
    pages: Some(3),
    tokens: 4500,
};
pub(crate) const TEXT: ReadyFile<'_> = ReadyFile {
    filename: "notes.md",
    media_type: "text/markdown",
    model_type: "text/plain",
    bytes: b"# Notes\nwith ``` in it",
    dimensions: None,
    pages: None,
    tokens: 6,
};

impl Chat {
    pub(crate) async fn upload(&self, file: &ReadyFile<'_>) -> UploadId {
        self.stack.ready_upload(&self.session, file).await
    }

    /// Asks with files, under a question's id.
    pub(crate) async fn ask_about(&self, id: &str, text: &str, files: &[UploadId]) -> Answer {
        self.client.post("/api/chat", &question(id, "fake/echo", text, files)).await
    }

    /// The messages of the last request to the provider.
    pub(crate) fn sent(&self) -> Vec<Value> {
        let request = self.stack.provider.requests().pop().unwrap();
        request.body["messages"].as_array().unwrap().clone()
    }

    /// The content of the last message that was sent to the provider.
    pub(crate) fn last_sent(&self) -> Value {
        self.sent().pop().unwrap()["content"].clone()
    }

    /// The reads of objects for models, by their upload.
    pub(crate) fn reads(&self) -> Vec<String> {
        let requests = self.stack.s3.requests().into_iter();
        requests
            .filter_map(|request| Some(request.key.strip_suffix("/model")?.to_owned()))
            .collect()
    }
}

pub(crate) fn question(id: &str, model: &str, text: &str, files: &[UploadId]) -> Value {
    let files = files.iter().map(|file| json!({ "type": "file", "url": file.url() }));
    let text = (!text.is_empty()).then(|| json!({ "type": "text", "text": text }));
    let parts: Vec<Value> = text.into_iter().chain(files).collect();
    json!({ "id": "the-chat", "model": model, "message": { "id": id, "role": "user", "parts": parts } })
}

pub(crate) fn data_url(file: &ReadyFile<'_>) -> String {
    format!("data:{};base64,{}", file.model_type, STANDARD.encode(file.bytes))
}

pub(crate) fn image_part(file: &ReadyFile<'_>) -> Value {
    json!({ "type": "image_url", "image_url": { "url": data_url(file) } })
}

#[tokio::test]
async fn a_model_receives_text_then_images_then_pdfs_as_bytes() {
    let chat = Chat::start().await;
    let files = [chat.upload(&PDF).await, chat.upload(&TEXT).await, chat.upload(&IMAGE).await];
    let answer = chat.ask_about("question-1", "What is this?", &files).await;
    let seen = format!("[image/jpeg, {} bytes]", IMAGE.bytes.len());
    assert!(answer.text().contains(&seen), "{}", answer.text());
    let expected = json!([
        { "type": "text", "text": "What is this?\n\nThe file \"notes.md\":\n````\n# Notes\nwith ``` in it\n````" },
        image_part(&IMAGE),
        { "type": "file", "file": { "filename": "log.pdf", "file_data": data_url(&PDF) } },
    ]);
    assert_eq!(chat.last_sent(), expected);
    let request = chat.stack.provider.requests().pop().unwrap().body;
    let plugins = json!([{ "id": "file-parser", "pdf": { "engine": "cloudflare-ai" } }]);
    assert_eq!(request["plugins"], plugins);
    assert_eq!(chat.reads().len(), 3, "each is read once");
}

#[tokio::test]
async fn another_parser_of_pdfs_is_the_operators_choice() {
    let mut stack = testkit::TestStack::start().await;
    stack.set("PDF_ENGINE", "mistral-ocr");
    let chat = Chat::on(stack).await;
    let pdf = chat.upload(&PDF).await;
    assert_eq!(chat.ask_about("question-1", "What is this?", &[pdf]).await.status, 200);
    let request = chat.stack.provider.requests().pop().unwrap().body;
    assert_eq!(request["plugins"][0]["pdf"]["engine"], "mistral-ocr");
}

#[tokio::test]
async fn a_turn_without_files_reads_nothing_and_asks_for_no_plugin() {
    let chat = Chat::start().await;
    assert_eq!(chat.ask("fake/echo", "hello").await.text(), "hello");
    assert_eq!(chat.ask("fake/echo", "again").await.text(), "again");
    assert!(chat.stack.s3.requests().is_empty());
    let requests = chat.stack.provider.requests();
    assert!(requests.iter().all(|request| request.body.get("plugins").is_none()));
    assert_eq!(chat.last_sent(), "again");
}

#[tokio::test]
async fn the_type_and_the_name_are_the_servers_and_not_the_requests() {
    let chat = Chat::start().await;
    let file = chat.upload(&IMAGE).await;
    let mut body = question("question-1", "fake/echo", "What is this?", &[file]);
    let part = &mut body["message"]["parts"][1];
    part["mediaType"] = json!("text/html");
    part["filename"] = json!("<script>.html");
    assert_eq!(chat.client.post("/api/chat", &body).await.status, 200);
    let sql = "select parts::text from messages where role = 'user'";
    let parts: String = chat.stack.owner().await.query_one(sql, &[]).await.unwrap().get(0);
    let stored: Value = serde_json::from_str(&parts).unwrap();
    let expected = json!([
        { "type": "text", "text": "What is this?" },
        {
            "type": "file", "url": file.url(), "mediaType": "image/png", "filename": "ship.png",
            "providerMetadata": { "upload": {
                "width": 800, "height": 600, "modelType": "image/jpeg", "modelBytes": IMAGE.bytes.len(),
                "tokens": 640,
            } },
        },
    ]);
    assert_eq!(stored, expected);
}

#[tokio::test]
async fn a_question_may_be_files_alone_and_the_first_one_names_the_chat() {
    let chat = Chat::start().await;
    let file = chat.upload(&IMAGE).await;
    assert_eq!(chat.ask_about("question-1", "", &[file]).await.status, 200);
    assert_eq!(chat.last_sent(), json!([image_part(&IMAGE)]));
    let sql = "select title from chats";
    let title: String = chat.stack.owner().await.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(title, "ship.png");
}

#[tokio::test]
async fn the_next_turns_send_the_same_bytes_while_the_message_is_among_the_newest_five() {
    let chat = Chat::premium().await;
    let file = chat.upload(&IMAGE).await;
    chat.ask_about("question-1", "What is this?", &[file]).await;
    let first = chat.last_sent();
    for number in 2..=3 {
        chat.ask_about(&format!("question-{number}"), "And now?", &[]).await;
        let question = chat.sent().into_iter().find(|message| message["content"].is_array());
        assert_eq!(question.unwrap()["content"], first, "question {number}");
    }
    chat.ask_about("question-4", "And now?", &[]).await;
    assert!(chat.sent().iter().all(|message| message["content"].is_string()));
    let reads = chat.reads();
    assert_eq!(reads.len(), 3, "once a turn: {reads:?}");
}

#[tokio::test]
async fn a_regenerated_question_has_its_files_and_an_edited_one_those_of_the_edit() {
    let chat = Chat::start().await;
    let (image, text) = (chat.upload(&IMAGE).await, chat.upload(&TEXT).await);
    chat.ask_about("question-1", "What is this?", &[image]).await;
    let first = chat.last_sent();
    let mut again = question("question-1", "fake/echo", "What is this?", &[]);
    again["trigger"] = json!("regenerate-message");
    assert_eq!(chat.client.post("/api/chat", &again).await.status, 200);
    assert_eq!(chat.last_sent(), first);

    let mut edit = question("question-1", "fake/echo", "And this?", &[text]);
    edit["messageId"] = json!("question-1");
    assert_eq!(chat.client.post("/api/chat", &edit).await.status, 200);
    let sent = chat.last_sent();
    assert!(sent.as_str().unwrap().starts_with("And this?\n\nThe file \"notes.md\":"), "{sent}");
}

#[tokio::test]
async fn a_repeated_question_is_the_same_only_with_the_same_files() {
    let chat = Chat::start().await;
    let (image, text) = (chat.upload(&IMAGE).await, chat.upload(&TEXT).await);
    let first = chat.ask_about("question-1", "What is this?", &[image, text]).await.text();
    assert_eq!(chat.ask_about("question-1", "What is this?", &[image, text]).await.text(), first);
    for others in [&[image][..], &[text, image], &[]] {
        let refused = chat.ask_about("question-1", "What is this?", others).await.refusal();
        assert_eq!(refused, (409, "message_exists".into()));
    }
    assert_eq!(chat.stack.provider.requests().len(), 1);
}

#[tokio::test]
async fn a_file_that_leaves_no_room_for_the_next_question_is_named_in_it() {
    let chat = Chat::start().await;
    let long = ReadyFile { pages: Some(12), tokens: 18_000, ..PDF };
    let files = [chat.upload(&long).await, chat.upload(&long).await];
    chat.ask_about("question-1", "What is this?", &files[..1]).await;
    chat.stack.s3.clear_requests();
    assert_eq!(chat.ask_about("question-2", "And this?", &files[1..]).await.status, 200);
    let earlier = chat.sent()[1]["content"].clone();
    assert_eq!(earlier, "What is this?\n\n[The file \"log.pdf\" was shown here.]");
    assert_eq!(chat.reads().len(), 1, "the other one is not read");
}

#[tokio::test]
async fn what_is_sent_counts_for_the_plans_context() {
    let chat = Chat::start().await;
    let long = chat.upload(&ReadyFile { pages: Some(30), tokens: 45_000, ..PDF }).await;
    let refused = chat.ask_about("question-1", "What is this?", &[long]).await;
    assert_eq!(refused.refusal(), (413, "context_too_large".into()));
    let details = &refused.json()["error"]["details"];
    assert_eq!(details["upgrade"]["plan"], "premium");
    assert!(details["tokens"].as_u64().unwrap() >= 45_000);
    chat.stack.until_count(5, "select balance::bigint from allowances").await;
}
