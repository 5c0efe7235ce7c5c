//! Users who have sent files, and what is left of those.

use axum::body::Bytes;
use serde_json::Value;
use shared_core::identity::Session;
use testkit::{Answer, Client, TestStack, send_http};

use crate::api::files::{jpeg, pdf, png};

/// A logged-in user, with the functions `inspect` and `presign`.
pub(crate) struct User {
    pub(crate) session: Session,
    pub(crate) inspect: Client,
    pub(crate) presign: Client,
}

impl User {
    pub(crate) async fn new(stack: &TestStack, name: &str) -> Self {
        let session = stack.session(&format!("{name}@example.com")).await;
        Self::with(stack, session)
    }

    /// The same session in new function instances, with the current variables.
    pub(crate) fn again(&self, stack: &TestStack) -> Self {
        Self::with(stack, self.session)
    }

    fn with(stack: &TestStack, session: Session) -> Self {
        let inspect = inspect::app(inspect::Deps {
            app: stack.app_context(),
            tokens: stack.tokens(),
            database: stack.database(),
            files: stack.files(),
        });
        let presign = presign::app(presign::Deps {
            app: stack.app_context(),
            tokens: stack.tokens(),
            cache: stack.cache(),
            database: stack.database(),
            files: stack.files(),
            plans: stack.plans(),
        });
        let cookie = stack.cookie(&session);
        let client = |app| Client::new(app).signed_in(&cookie);
        Self { session, inspect: client(inspect), presign: client(presign) }
    }

    /// Declares and sends a file; returns the upload's id.
    pub(crate) async fn sent(&self, sample: &Sample) -> String {
        self.presign.sent(sample.filename, sample.content_type, &sample.bytes).await
    }

    /// Declares `sample`, and puts other bytes into quarantine past the signed URL.
    pub(crate) async fn smuggled(
        &self,
        stack: &TestStack,
        sample: &Sample,
        bytes: &[u8],
        content_type: &str,
    ) -> String {
        let Sample { filename, content_type: declared, bytes: expected, .. } = sample;
        let id = self.presign.declare(filename, declared, expected).await["id"].take();
        let id = id.as_str().unwrap().to_owned();
        let key = self.quarantine(&id);
        stack.s3.put(&key, bytes.to_vec(), content_type).await.unwrap();
        id
    }

    pub(crate) async fn complete(&self, id: &str) -> Answer {
        self.inspect.complete(id).await
    }

    pub(crate) async fn delete(&self, id: &str) -> Answer {
        self.presign.json("DELETE", &format!("/api/uploads/{id}"), "").await
    }

    pub(crate) async fn show(&self, id: &str) -> Answer {
        self.presign.get(&format!("/api/uploads/{id}")).await
    }

    /// What a browser gets of a file.
    pub(crate) async fn fetched(&self, id: &str) -> Answer {
        let answer = self.presign.get(&format!("/api/uploads/{id}/file")).await;
        match answer.header("location") {
            Some(url) => send_http(http::Request::get(url).body(Bytes::new()).unwrap()).await,
            None => answer,
        }
    }

    pub(crate) fn quarantine(&self, id: &str) -> String {
        format!("quarantine/{}/{id}", self.session.user)
    }

    pub(crate) fn clean(&self, id: &str) -> String {
        format!("clean/{}/{id}/", self.session.user)
    }

    /// The forms of an upload that are there.
    pub(crate) fn forms(&self, stack: &TestStack, id: &str) -> Vec<String> {
        let keys = stack.s3.keys();
        let prefix = self.clean(id);
        keys.iter().filter_map(|key| key.strip_prefix(&prefix)).map(str::to_owned).collect()
    }
}

/// A file, and the forms that are kept of it, in order.
#[derive(Clone)]
pub(crate) struct Sample {
    pub(crate) filename: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) forms: &'static [&'static str],
}

/// One file of each kind.
pub(crate) fn samples() -> [Sample; 4] {
    let sample =
        |filename, content_type, bytes, forms| Sample { filename, content_type, bytes, forms };
    [
        sample("a.png", "image/png", png(7, 5), &["model", "thumb", "view"]),
        sample("a.jpg", "image/jpeg", jpeg(33, 17), &["model", "thumb", "view"]),
        sample("a.pdf", "application/pdf", pdf(3, ""), &["model"]),
        sample("a.md", "text/markdown", "# Überblick\n".into(), &["model", "view"]),
    ]
}

/// A file of this type.
pub(crate) fn of(content_type: &'static str, bytes: Vec<u8>) -> Sample {
    Sample { filename: "a file", content_type, bytes, forms: &[] }
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

/// The upload in an answer.
pub(crate) fn upload(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["upload"].take()
}

pub(crate) async fn count(stack: &TestStack, sql: &str) -> i64 {
    stack.owner().await.query_one(sql, &[]).await.unwrap().get(0)
}

/// Number of uploads in this state.
pub(crate) async fn in_state(stack: &TestStack, state: &str) -> i64 {
    count(stack, &format!("select count(*) from uploads where state = '{state}'")).await
}
