//! The built binary on Lambda.

use serde_json::Value;
use testkit::{Function, ReadyFile, Rie, SESSION, TestStack, event_json, put_file, send_http};

const BINARY: &str = env!("CARGO_BIN_EXE_presign");

/// The upload in the events that name one.
const ID: &str = "019ab0d6-9c10-7e63-b2a4-51d07f3c8e90";

const EVENTS: [&str; 6] = [
    "presign",
    "presign-too-large",
    "presign-list",
    "presign-one",
    "presign-file",
    "presign-delete",
];

#[tokio::test]
async fn the_binary_answers_api_gateways_events_under_awss_emulator() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let cookie = stack.cookie(&ada);
    let event = |name| event_json(name).replace(SESSION, &cookie);
    let mut rie = Rie::start(BINARY, &stack.variables()).await;

    let declared = rie.post(event("presign")).await;
    assert_eq!(declared.status, 201, "{}", declared.body);
    let declared = declared.json();
    let pending = declared["id"].as_str().unwrap().to_owned();
    // S3 compares the bytes with the hash in the event: the signature is valid, and they are not.
    let answer = put_file(&declared, &[0; 124]).await;
    assert_eq!(
        (answer.status.as_u16(), answer.body.contains("BadDigest")),
        (400, true),
        "{}",
        answer.body
    );
    let refusal = rie.post(event("presign-too-large")).await;
    assert_eq!(refusal.refusal(), (413, "file_too_large".to_owned()));
    assert_eq!(refusal.json()["error"]["details"]["upgrade"]["plan"], "premium");

    let id = stack.ready_upload(&ada, &ReadyFile::IMAGE).await.to_string();
    let list = rie.post(event("presign-list")).await.json();
    let mut listed: Vec<_> =
        list["items"].as_array().unwrap().iter().map(|item| &item["id"]).collect();
    listed.sort_by_key(ToString::to_string);
    let mut expected = [Value::from(&*id), Value::from(pending)];
    expected.sort_by_key(Value::to_string);
    assert_eq!(listed, expected.iter().collect::<Vec<_>>());

    let of = |name| event(name).replace(ID, &id);
    for name in ["presign-one", "presign-file", "presign-delete"] {
        let unknown = rie.post(event(name)).await;
        assert_eq!(unknown.refusal(), (404, "upload_not_found".to_owned()), "{name}");
    }
    assert_eq!(rie.post(of("presign-one")).await.json()["upload"]["filename"], "ship.png");
    let file = rie.post(of("presign-file")).await;
    assert_eq!(file.status, 302, "{}", file.body);
    let url = file.header("location").unwrap();
    assert!(url.contains(&format!("/{id}/thumb?")), "{url}");
    let thumb = send_http(http::Request::get(url).body(axum::body::Bytes::new()).unwrap()).await;
    assert_eq!(thumb.status, 200);
    for _ in 0..2 {
        let deleted = rie.post(of("presign-delete")).await;
        assert_eq!((deleted.status.as_u16(), deleted.body.as_str()), (204, ""));
    }
    assert_eq!(rie.post(of("presign-one")).await.status, 404);
}

#[tokio::test]
async fn an_event_without_a_session_is_refused() {
    let stack = TestStack::start().await;
    let mut rie = Rie::start(BINARY, &stack.variables()).await;
    for event in EVENTS {
        let answer = rie.post(event_json(event)).await;
        assert_eq!(answer.refusal(), (401, "unauthenticated".to_owned()), "{event}");
    }
}

#[tokio::test]
async fn at_trace_level_it_logs_no_name_signature_or_token() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let cookie = stack.cookie(&ada);
    let mut variables = stack.variables();
    variables.push(("RUST_LOG", "trace".to_owned()));
    let mut rie = Rie::start(BINARY, &variables).await;
    let event = |name| event_json(name).replace(SESSION, &cookie);
    let named = event("presign").replace("ship.png", "a secret name.png");
    let declared = rie.post(named).await.json();
    let id =
        stack.ready_upload(&ada, &ReadyFile { filename: "a secret name.png", ..ReadyFile::IMAGE });
    let file = rie.post(event("presign-file").replace(ID, &id.await.to_string())).await;
    let signature = |url: &str| {
        let (_, signature) = url.split_once("X-Amz-Signature=").unwrap();
        signature.split('&').next().unwrap().to_owned()
    };
    let log = rie.log();
    assert!(log.contains("TRACE") && log.contains("/api/uploads"), "{log}");
    let signatures =
        [signature(declared["url"].as_str().unwrap()), signature(file.header("location").unwrap())];
    for secret in [&*cookie, "a secret name", "a%20secret%20name", &signatures[0], &signatures[1]] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[tokio::test]
async fn a_missing_variable_stops_the_start_and_is_named() {
    let stack = TestStack::start().await;
    let required = ["APP_ORIGIN", "CACHE_URL", "DATABASE_URL", "SESSION_KEYS", "UPLOADS_BUCKET"];
    Function::assert_names_what_is_missing(BINARY, &stack.variables(), &required).await;
}

#[tokio::test]
async fn the_template_sets_every_variable_that_the_function_reads() {
    Function::assert_starts_as_deployed(BINARY, "PresignFunction").await;
}

#[tokio::test]
async fn outside_lambda_the_start_fails_and_names_make_dev() {
    let stack = TestStack::start().await;
    let complaint = Function::start_alone(BINARY, &stack.variables()).complaint().await;
    assert!(complaint.contains("make dev"), "{complaint}");
}
