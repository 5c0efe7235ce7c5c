//! The built binary on Lambda.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

use sha2::{Digest, Sha256};
use shared_core::identity::Session;
use shared_core::uploads::{FileType, Filename, NewUpload, Sha256Digest, UploadId};
use shared_lambda::system_entropy;
use shared_postgres::{NewUploadLimits, UploadLimits};
use testkit::{Function, Rie, SESSION, TestStack, event_json};

const BINARY: &str = env!("CARGO_BIN_EXE_inspect");

/// The upload in the event.
const ID: &str = "019ab0d6-9c10-7e63-b2a4-51d07f3c8e90";

/// Declares a file, and sends it unless there is none to send. Returns the upload's id.
async fn declared(
    stack: &TestStack,
    session: &Session,
    media_type: &str,
    bytes: &[u8],
    is_sent: bool,
) -> String {
    let now = stack.clock.now();
    let upload = NewUpload {
        id: UploadId(system_entropy().uuid(now)),
        filename: Filename::clean("a secret name"),
        file_type: FileType::parse(media_type).unwrap(),
        size: bytes.len() as u64,
        sha256: Sha256Digest(Sha256::digest(bytes).into()),
    };
    let limits = UploadLimits {
        file_bytes: 1 << 20,
        stored_bytes: 1 << 20,
        is_reached: false,
        uploads: None,
    };
    let limits = NewUploadLimits { plan_limits: [("free", limits)].into(), counted_since: now };
    let database = stack.database();
    let reserved = database.request(session, now).reserve_upload(&upload, &limits).await;
    reserved.unwrap();
    if is_sent {
        let key = format!("quarantine/{}/{}", session.user, upload.id);
        stack.s3.put(&key, bytes.to_vec(), media_type).await.unwrap();
    }
    upload.id.to_string()
}

#[tokio::test]
async fn the_binary_answers_api_gateways_events_under_awss_emulator() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let event = event_json("inspect").replace(SESSION, &stack.cookie(&ada));
    let mut rie = Rie::start(BINARY, &stack.variables()).await;

    let id = declared(&stack, &ada, "text/plain", b"some notes", true).await;
    for _ in 0..2 {
        let completed = rie.post(event.replace(ID, &id)).await;
        assert_eq!(completed.status, 200, "{}", completed.body);
        assert_eq!(completed.json()["upload"]["state"], "ready");
    }
    let prefix = format!("clean/{}/{id}", ada.user);
    assert_eq!(stack.s3.keys(), ["model", "view"].map(|form| format!("{prefix}/{form}")));
    assert_eq!(stack.s3.all_versions("quarantine/"), 0);

    assert_eq!(rie.post(event.clone()).await.refusal(), (404, "upload_not_found".to_owned()));
    let missing = declared(&stack, &ada, "text/plain", b"x", false).await;
    let missing = rie.post(event.replace(ID, &missing)).await;
    assert_eq!(missing.refusal(), (409, "upload_missing".to_owned()));
    let lie = declared(&stack, &ada, "image/png", b"<script>", true).await;
    let lie = rie.post(event.replace(ID, &lie)).await;
    assert_eq!(lie.refusal(), (422, "file_not_as_declared".to_owned()));
    assert!(rie.log().contains("\"UploadRefused\":1"), "{}", rie.log());
}

#[tokio::test]
async fn an_event_without_a_session_is_refused() {
    let stack = TestStack::start().await;
    let mut rie = Rie::start(BINARY, &stack.variables()).await;
    let answer = rie.post(event_json("inspect")).await;
    assert_eq!(answer.refusal(), (401, "unauthenticated".to_owned()));
}

#[tokio::test]
async fn at_trace_level_it_logs_no_content_name_or_token() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let cookie = stack.cookie(&ada);
    let event = event_json("inspect").replace(SESSION, &cookie);
    let mut variables = stack.variables();
    variables.push(("RUST_LOG", "trace".to_owned()));
    let mut rie = Rie::start(BINARY, &variables).await;
    let id = declared(&stack, &ada, "text/plain", b"private words", true).await;
    assert_eq!(rie.post(event.replace(ID, &id)).await.status, 200);
    let id = declared(&stack, &ada, "text/plain", b"private words\0", true).await;
    assert_eq!(rie.post(event.replace(ID, &id)).await.status, 422);
    let log = rie.log();
    assert!(log.contains("TRACE") && log.contains("/complete"), "{log}");
    for secret in [&*cookie, "private words", "a secret name"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[tokio::test]
async fn a_missing_variable_stops_the_start_and_is_named() {
    let stack = TestStack::start().await;
    let required = ["APP_ORIGIN", "DATABASE_URL", "SESSION_KEYS", "UPLOADS_BUCKET"];
    Function::assert_names_what_is_missing(BINARY, &stack.variables(), &required).await;
}

#[tokio::test]
async fn the_template_sets_every_variable_that_the_function_reads() {
    Function::assert_starts_as_deployed(BINARY, "InspectFunction").await;
}

#[tokio::test]
async fn outside_lambda_the_start_fails_and_names_make_dev() {
    let stack = TestStack::start().await;
    let complaint = Function::start_alone(BINARY, &stack.variables()).complaint().await;
    assert!(complaint.contains("make dev"), "{complaint}");
}
