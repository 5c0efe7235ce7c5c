//! The built binary on Lambda, with AWS's SDK against a fake SES.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use runtime_api::RuntimeApi;
use serde_json::{Value, json};
use shared_core::identity::{Code, Email, Guess};
use testkit::{Answer, Function, Rie, TestStack, event_json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const BINARY: &str = env!("CARGO_BIN_EXE_otp");

/// A fake SES: its refusal, if any, and the requests that it received.
#[derive(Clone, Default)]
struct Ses {
    refusal: Option<&'static str>,
    requests: Arc<Mutex<Vec<(Uri, HeaderMap, Value)>>>,
}

impl Ses {
    /// Listens until the set is dropped; returns the URL.
    async fn listen(&self, server: &mut JoinSet<()>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let ses = self.clone();
        let send = move |uri: Uri, headers: HeaderMap, body: Bytes| async move {
            ses.send(uri, headers, &body)
        };
        let app = Router::new().fallback(send);
        server.spawn(async { axum::serve(listener, app).await.unwrap() });
        url
    }

    fn send(&self, uri: Uri, headers: HeaderMap, body: &[u8]) -> (StatusCode, HeaderMap, String) {
        let body = serde_json::from_slice(body).unwrap();
        self.requests.lock().unwrap().push((uri, headers, body));
        let Some(refusal) = self.refusal else {
            return (StatusCode::OK, HeaderMap::new(), json!({ "MessageId": "1" }).to_string());
        };
        let kind = HeaderMap::from_iter([(
            "x-amzn-errortype".parse().unwrap(),
            "MessageRejected".parse().unwrap(),
        )]);
        (StatusCode::BAD_REQUEST, kind, json!({ "message": refusal }).to_string())
    }
}

async fn environment(ses: &Ses, server: &mut JoinSet<()>) -> TestStack {
    let mut stack = TestStack::start().await;
    stack.set("AWS_ENDPOINT_URL", ses.listen(server).await);
    stack
}

#[tokio::test]
async fn the_binary_answers_api_gateways_event_under_awss_emulator() {
    let (ses, mut server) = (Ses::default(), JoinSet::new());
    let stack = environment(&ses, &mut server).await;
    let mut rie = Rie::start(BINARY, &stack.variables()).await;
    let answer = rie.post(event_json("otp")).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!(answer.json(), json!({ "expiresIn": 600, "retryAfter": 30 }));

    let (uri, headers, mail) = ses.requests.lock().unwrap().remove(0);
    assert_eq!(uri.path(), "/v2/email/outbound-emails");
    let signature = headers["authorization"].to_str().unwrap();
    assert!(
        signature.starts_with("AWS4-HMAC-SHA256 Credential=AKIATESTTESTTESTTEST/")
            && signature.contains("/ap-south-1/ses/aws4_request"),
        "{signature}"
    );
    assert_eq!(mail["FromEmailAddress"], "Chat <login@chat.example.com>");
    assert_eq!(mail["Destination"]["ToAddresses"], json!(["ada@example.com"]));
    let subject = mail["Content"]["Simple"]["Subject"]["Data"].as_str().unwrap();
    let code = Code::parse(subject.split(' ').next().unwrap()).unwrap();
    let email = Email::parse("ada@example.com").unwrap();
    let guess = stack.codes().guess(&email, &code, stack.clock.clock().now()).await;
    assert_eq!(guess.unwrap(), Guess::Right);
}

#[tokio::test]
async fn a_refused_request_sends_no_mail() {
    let (ses, mut server) = (Ses::default(), JoinSet::new());
    let stack = environment(&ses, &mut server).await;
    let mut rie = Rie::start(BINARY, &stack.variables()).await;
    for (event, status, code) in [
        ("otp-not-json", 400, "malformed_json"),
        ("otp-form", 415, "unsupported_media_type"),
        ("otp-not-an-address", 422, "invalid_email"),
        ("otp-cross-site", 403, "cross_site"),
    ] {
        let answer = rie.post(event_json(event)).await;
        assert_eq!(answer.refusal(), (status, code.to_owned()), "{event}");
    }
    assert!(ses.requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_mail_that_ses_refuses_is_a_502() {
    let (mut ses, mut server) = (Ses::default(), JoinSet::new());
    ses.refusal = Some("Email address is not verified.");
    let stack = environment(&ses, &mut server).await;
    let mut rie = Rie::start(BINARY, &stack.variables()).await;
    let answer = rie.post(event_json("otp")).await;
    assert_eq!(answer.refusal(), (502, "mail_failed".to_owned()));
    assert!(rie.log().contains("MessageRejected"), "{}", rie.log());
}

#[tokio::test]
async fn a_forged_forwarded_for_does_not_change_the_source() {
    let (ses, mut server) = (Ses::default(), JoinSet::new());
    let stack = environment(&ses, &mut server).await;
    let lambda = RuntimeApi::start().await.unwrap();
    let _function = Function::start(BINARY, &stack.variables(), &lambda);
    let forged = event_json("otp-forged-forwarded-for");
    let mut last = None;
    // The limit is 30 codes an hour for one source; each request has another address.
    for turn in 0..31 {
        let event = forged
            .replace("198.51.100.66", &format!("198.51.100.{turn}"))
            .replace("ada@", &format!("ada{turn}@"));
        last = Some(Answer::from(lambda.invoke(event).collect().await.unwrap()));
    }
    assert_eq!(last.unwrap().refusal(), (429, "too_many_codes".to_owned()));
    assert_eq!(ses.requests.lock().unwrap().len(), 30);
}

#[tokio::test]
async fn a_missing_variable_stops_the_start_and_is_named() {
    let stack = TestStack::start().await;
    let required = ["APP_ORIGIN", "CACHE_URL", "LOGIN_PEPPER", "MAIL_FROM"];
    Function::assert_names_what_is_missing(BINARY, &stack.variables(), &required).await;
}

#[tokio::test]
async fn the_template_sets_every_variable_that_the_function_reads() {
    Function::assert_starts_as_deployed(BINARY, "OtpFunction").await;
}

#[tokio::test]
async fn outside_lambda_the_start_fails_and_names_make_dev() {
    let stack = TestStack::start().await;
    let complaint = Function::start_alone(BINARY, &stack.variables()).complaint().await;
    assert!(complaint.contains("make dev"), "{complaint}");
}
