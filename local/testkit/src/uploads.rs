//! Uploads: declared, sent as a browser sends them, or stored as if inspection had accepted them.

use axum::body::{Body, Bytes};
use http::Request;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared_core::identity::Session;
use shared_core::uploads::UploadId;
use shared_lambda::system_entropy;

use crate::{Answer, Client, TestStack};

/// A file that inspection has accepted.
#[derive(Clone, Copy, Debug)]
pub struct ReadyFile<'a> {
    /// The name.
    pub filename: &'a str,
    /// The type that was declared, which is also that of the form for people.
    pub media_type: &'a str,
    /// The type of the form for models.
    pub model_type: &'a str,
    /// The content of every form, and of the file as it was sent.
    pub bytes: &'a [u8],
    /// Of an image: width and height.
    pub dimensions: Option<(i32, i32)>,
    /// Of a PDF.
    pub pages: Option<i32>,
    /// Tokens that it takes of a prompt.
    pub tokens: i32,
}

impl ReadyFile<'static> {
    /// An image, as far as nobody decodes it.
    pub const IMAGE: Self = Self {
        filename: "ship.png",
        media_type: "image/png",
        model_type: "image/png",
        bytes: b"\x89PNG",
        dimensions: Some((64, 48)),
        pages: None,
        tokens: 5,
    };
}

impl TestStack {
    /// Stores a ready upload of `session`'s user: its row, its bytes in their storage, and its forms in S3.
    pub async fn ready_upload(&self, session: &Session, file: &ReadyFile<'_>) -> UploadId {
        let (user, now) = (session.user, self.clock.now());
        let id = UploadId(system_entropy().uuid(now));
        let mut forms = vec![("model", file.model_type)];
        if file.media_type != "application/pdf" {
            forms.push(("view", file.media_type));
        }
        if file.media_type.starts_with("image/") && file.dimensions.is_some() {
            forms.push(("thumb", file.media_type));
        }
        for (form, media_type) in forms {
            let key = format!("clean/{user}/{id}/{form}");
            self.s3.put(&key, file.bytes.to_vec(), media_type).await.expect("S3 stores it");
        }
        let size = i64::try_from(file.bytes.len()).unwrap();
        let (width, height) = file.dimensions.unzip();
        let owner = self.owner().await;
        let row = "
            with stored as (
              insert into storage_usage values ($1, $5)
                  on conflict (user_id) do update set bytes = storage_usage.bytes + $5
            )
            insert into uploads (user_id, id, filename, declared_type, size_bytes, sha256, state, media_type, width, height,
                                 pages, model_type, model_bytes, tokens, created_at)
            values ($1, $2, $3, $4, $5, sha256($6), 'ready', $4, $7, $8, $9, $10, $5, $11, $12)";
        owner
            .execute(
                row,
                &[
                    &user.0,
                    &id.0,
                    &file.filename,
                    &file.media_type,
                    &size,
                    &file.bytes,
                    &width,
                    &height,
                    &file.pages,
                    &file.model_type,
                    &file.tokens,
                    &now,
                ],
            )
            .await
            .unwrap();
        id
    }

    /// The bytes that count towards a user's storage. Fails unless they are those of the pending and ready uploads.
    pub async fn stored_bytes(&self, session: &Session) -> i64 {
        let sql = "
            select coalesce((select bytes from storage_usage where user_id = $1), 0),
                   coalesce((select sum(size_bytes)::bigint from uploads where user_id = $1 and state <> 'deleted'), 0)";
        let row = self.owner().await.query_one(sql, &[&session.user.0]).await.unwrap();
        let (counted, there): (i64, i64) = (row.get(0), row.get(1));
        assert_eq!(counted, there, "storage_usage and the uploads differ");
        counted
    }
}

/// The declaration of a file: the body of `POST /api/uploads`.
pub fn declaration(filename: &str, content_type: &str, bytes: &[u8]) -> Value {
    json!({
        "filename": filename, "contentType": content_type, "size": bytes.len(),
        "sha256": hex::encode(Sha256::digest(bytes)),
    })
}

impl Client {
    /// Declares a file to the function `presign`, which answers with its id and its URL.
    pub async fn declare(&self, filename: &str, content_type: &str, bytes: &[u8]) -> Value {
        let answer = self.post("/api/uploads", &declaration(filename, content_type, bytes)).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()
    }

    /// Declares a file to the function `presign`, and sends it to its URL. Returns its id.
    pub async fn sent(&self, filename: &str, content_type: &str, bytes: &[u8]) -> String {
        let declared = self.declare(filename, content_type, bytes).await;
        let answer = put_file(&declared, bytes).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        declared["id"].as_str().unwrap().to_owned()
    }

    /// Asks the function `inspect` to complete an upload.
    pub async fn complete(&self, id: &str) -> Answer {
        self.send(self.request("POST", &format!("/api/uploads/{id}/complete"), Body::empty())).await
    }
}

/// Sends a file as the answer to its declaration says.
pub async fn put_file(declared: &Value, bytes: &[u8]) -> Answer {
    send_http(put_request(declared, bytes)).await
}

/// The request that the answer to a declaration describes. `content-length` is added when it is sent.
pub fn put_request(declared: &Value, bytes: &[u8]) -> Request<Bytes> {
    let mut request = Request::builder()
        .method(declared["method"].as_str().unwrap())
        .uri(declared["url"].as_str().unwrap());
    for (name, value) in declared["headers"].as_object().unwrap() {
        request = request.header(name, value.as_str().unwrap());
    }
    request.body(Bytes::copy_from_slice(bytes)).unwrap()
}

/// Sends a request over HTTP, on a connection of its own.
pub async fn send_http(request: Request<Bytes>) -> Answer {
    let client = HttpClient::builder(TokioExecutor::new()).build_http();
    let response = client.request(request.map(Body::from)).await.expect("a response");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("the whole response").to_bytes();
    let body = String::from_utf8_lossy(&body).into_owned();
    Answer { status: parts.status, headers: parts.headers, body }
}
