//! Users who upload files, and what the database has of them.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use presign::{Deps, app};
use serde_json::{Value, json};
use shared_core::identity::Session;
use shared_core::uploads::UploadId;
use testkit::{Answer, Client, ReadyFile, TestStack};

pub(crate) const PATH: &str = "/api/uploads";
pub(crate) const MIB: u64 = 1024 * 1024;

pub(crate) const TEXT: ReadyFile<'_> = ReadyFile {
    filename: "notes.txt",
    media_type: "text/plain",
    model_type: "text/plain",
    bytes: b"some notes",
    dimensions: None,
    pages: None,
    tokens: 2,
};
pub(crate) const IMAGE: ReadyFile<'_> = ReadyFile {
    filename: "ship.png",
    media_type: "image/png",
    model_type: "image/jpeg",
    bytes: b"pixels",
    dimensions: Some((4, 3)),
    ..TEXT
};
pub(crate) const PDF: ReadyFile<'_> = ReadyFile {
    filename: "report.pdf",
    media_type: "application/pdf",
    model_type: "application/pdf",
    bytes: b"%PDF-",
    pages: Some(12),
    ..TEXT
};

pub(crate) fn deps(stack: &TestStack) -> Deps {
    Deps {
        app: stack.app_context(),
        tokens: stack.tokens(),
        cache: stack.cache(),
        database: stack.database(),
        files: stack.files(),
        plans: stack.plans(),
    }
}

/// A logged-in user.
pub(crate) struct User {
    pub(crate) session: Session,
    pub(crate) client: Client,
}

impl User {
    pub(crate) async fn new(stack: &TestStack, name: &str) -> Self {
        let session = stack.session(&format!("{name}@example.com")).await;
        Self::with(stack, session)
    }

    pub(crate) async fn premium(stack: &TestStack, name: &str) -> Self {
        let user = Self::new(stack, name).await;
        stack.premium(&user.session).await;
        user
    }

    /// The same session in a new function instance, with the current variables.
    pub(crate) fn again(&self, stack: &TestStack) -> Self {
        Self::with(stack, self.session)
    }

    fn with(stack: &TestStack, session: Session) -> Self {
        let client = Client::new(app(deps(stack))).signed_in(&stack.cookie(&session));
        Self { session, client }
    }

    /// Declares a file of this type and size.
    pub(crate) async fn ask(&self, content_type: &str, size: u64) -> Answer {
        self.client.post(PATH, &of_size(content_type, size)).await
    }

    pub(crate) async fn show(&self, id: impl ToString) -> Answer {
        self.client.get(&format!("{PATH}/{}", id.to_string())).await
    }

    pub(crate) async fn delete(&self, id: impl ToString) -> Answer {
        self.client.json("DELETE", &format!("{PATH}/{}", id.to_string()), "").await
    }

    pub(crate) async fn list(&self, query: &str) -> Answer {
        self.client.get(&format!("{PATH}{query}")).await
    }

    pub(crate) async fn file(&self, id: UploadId, query: &str) -> Answer {
        self.client.get(&format!("{PATH}/{id}/file{query}")).await
    }

    /// The URL to which a file's route redirects.
    pub(crate) async fn location(&self, id: UploadId, query: &str) -> String {
        let answer = expect(302, self.file(id, query).await);
        answer.header("location").unwrap().to_owned()
    }
}

/// The declaration of a file of this type and size.
pub(crate) fn of_size(content_type: &str, size: u64) -> Value {
    json!({ "filename": "a file", "contentType": content_type, "size": size, "sha256": "ab".repeat(32) })
}

/// A valid declaration with another value of one field.
pub(crate) fn with(field: &str, value: impl Into<Value>) -> Value {
    let mut body = of_size("text/plain", 5);
    body[field] = value.into();
    body
}

/// Fails unless the answer has this status.
pub(crate) fn expect(status: u16, answer: Answer) -> Answer {
    assert_eq!(answer.status, status, "{}", answer.body);
    answer
}

/// Status and error code.
pub(crate) fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// The details of an error.
pub(crate) fn details(answer: &Answer) -> Value {
    answer.json()["error"]["details"].take()
}

/// How many of the answers have each status and code.
pub(crate) fn tally(answers: &[Answer]) -> BTreeMap<(u16, String), usize> {
    let mut tally = BTreeMap::new();
    for answer in answers {
        *tally.entry(answer.refusal()).or_default() += 1;
    }
    tally
}

/// The parameters of a URL.
pub(crate) fn query_of(url: &str) -> BTreeMap<String, String> {
    let (_, query) = url.split_once('?').unwrap();
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// The path of a URL, without the bucket.
pub(crate) fn key_of(url: &str) -> &str {
    let (_, rest) = url.split_once("/uploads/").unwrap();
    rest.split_once('?').unwrap().0
}

/// Moves the clock back: what is signed now was signed that long ago, for S3, whose clock is the machine's.
pub(crate) fn back(stack: &TestStack, by: Duration) {
    stack.clock.set(stack.clock.now() - by);
}

pub(crate) fn expiry(answer: &Value) -> Timestamp {
    answer["expiresAt"].as_str().unwrap().parse().unwrap()
}

pub(crate) const FIVE_MINUTES: SignedDuration = SignedDuration::from_mins(5);

/// A question in a chat of its own that has these files; returns the chat's id and the question's.
pub(crate) async fn asked_about(
    stack: &TestStack,
    user: &User,
    number: usize,
    files: &[UploadId],
) -> (String, String) {
    let chat = format!("chat-{number:04}");
    let mut turn = testkit::next_turn(&chat, number);
    turn.files = files.to_vec();
    let database = stack.database();
    let begun = database.request(&user.session, stack.clock.now());
    begun.begin_turn(&turn, &stack.plans(), None).await.unwrap();
    (chat, format!("question-{number}"))
}

pub(crate) async fn count(stack: &TestStack, sql: &str) -> i64 {
    stack.owner().await.query_one(sql, &[]).await.unwrap().get(0)
}
