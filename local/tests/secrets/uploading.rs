//! The user uploads a file, asks about it, and reads it.

use axum::body::Bytes;
use http::Request;
use serde_json::json;
use testkit::{declaration, put_file, send_http};

use crate::life::{Life, QUESTION};
use crate::planted::Planted;

const CONTENT: &str = "the surgeon said that the meniscus is torn in two places";
const FILENAME: &str = "surgeon's letter of 3 March.txt";

impl Life {
    /// Uploads a file. Returns what no store and no log may hold of that, and its name, which Postgres holds.
    pub(crate) async fn upload(&mut self) -> (Vec<Planted>, Planted) {
        let body = declaration(FILENAME, "text/plain", CONTENT.as_bytes());
        self.while_refused("uploads", async |life| {
            life.post("/api/uploads", &body, 503).await;
        })
        .await;
        let declared = self.post("/api/uploads", &body, 201).await.json();
        let sent = put_file(&declared, CONTENT.as_bytes()).await;
        assert_eq!(sent.status, 200, "{}", sent.body);
        let path = format!("/api/uploads/{}", declared["id"].as_str().unwrap());
        self.while_refused("uploads", async |life| {
            life.post(&format!("{path}/complete"), &json!({}), 503).await;
        })
        .await;
        self.post(&format!("{path}/complete"), &json!({}), 200).await;

        let parts = json!([{ "type": "text", "text": QUESTION }, { "type": "file", "url": path }]);
        let message = json!({ "role": "user", "parts": parts });
        // Of a model that does not repeat it.
        let question =
            json!({ "id": "chat-of-a-file", "model": "fake/filtered", "message": message });
        self.post("/api/chat", &question, 200).await;
        let asked = self.stack.provider.requests().pop().unwrap().body.to_string();
        assert!(asked.contains(CONTENT), "the model did not read the file");

        let file = self.get(&format!("{path}/file"), 302).await;
        let url = file.header("location").unwrap();
        let read = send_http(Request::get(url).body(Bytes::new()).unwrap()).await;
        assert_eq!(read.body, CONTENT);
        let secrets = vec![
            Planted::text("the file's content", CONTENT),
            Planted::text("the signature of its PUT", signature(declared["url"].as_str().unwrap())),
            Planted::text("the signature of its GET", signature(url)),
        ];
        (secrets, Planted::text("the file's name", FILENAME))
    }
}

fn signature(url: &str) -> &str {
    let (_, rest) = url.split_once("X-Amz-Signature=").unwrap();
    rest.split('&').next().unwrap()
}
