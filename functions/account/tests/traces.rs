//! Traces of the built binary on Lambda, exported if a variable names a collector.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::time::Duration;

use fake_aws::FakeAws;
use runtime_api::RuntimeApi;
use testkit::{Answer, Collector, Function, SESSION, Stopwatch, TestStack, attribute, event_json};
use tokio::net::TcpListener;

const BINARY: &str = env!("CARGO_BIN_EXE_account");
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const SERVER: i32 = 2;
const CLIENT: i32 = 3;

/// Requests `/api/me`; returns the request's id.
async fn who(lambda: &RuntimeApi, cookie: &str) -> String {
    let invocation = lambda.invoke(event_json("account-me").replace(SESSION, cookie));
    let id = invocation.request_id().to_owned();
    let answer = Answer::from(invocation.collect().await.unwrap());
    assert_eq!(answer.json()["email"], "grace@example.com");
    id
}

async fn stack() -> (TestStack, String) {
    let stack = TestStack::start().await;
    let cookie = stack.cookie(&stack.session("grace@example.com").await);
    (stack, cookie)
}

#[tokio::test]
async fn a_requests_spans_are_exported_before_the_next_event_is_asked_for() {
    let (mut stack, cookie) = stack().await;
    let collector = Collector::start(Duration::ZERO).await;
    stack.set(ENDPOINT, collector.endpoint());
    // The log filter does not apply to traces.
    stack.set("RUST_LOG", "error");
    let lambda = RuntimeApi::start().await.unwrap();
    let function = Function::start(BINARY, &stack.variables(), &lambda);

    let first = who(&lambda, &cookie).await;
    lambda.until_idle(1).await;
    let exports = collector.exports();
    assert_eq!(exports.len(), 1, "{}", function.log());
    let export = &exports[0];
    assert_eq!(export.resource("service.name"), "account");
    assert_eq!(export.resource("cloud.region"), "ap-south-1");

    let request = export.span("GET /api/me");
    assert_eq!(request.kind, SERVER);
    assert_eq!(attribute(&request.attributes, "http.route"), "/api/me");
    assert_eq!(attribute(&request.attributes, "http.request.method"), "GET");
    assert_eq!(attribute(&request.attributes, "http.response.status_code"), "200");
    assert_eq!(attribute(&request.attributes, "faas.invocation_id"), first);
    assert_eq!(attribute(&request.attributes, "faas.coldstart"), "true");
    // From the emulator's Lambda-Runtime-Trace-Id, which overrides the event's header.
    let trace = u128::from_str_radix(&first.replace('-', "")[..24], 16).unwrap();
    assert_eq!(request.trace_id, trace.to_be_bytes());
    assert_eq!(request.parent_span_id, 1_u64.to_be_bytes());

    let transaction = export.span("transaction");
    assert_eq!(transaction.kind, CLIENT);
    assert_eq!(transaction.trace_id, request.trace_id);
    assert_eq!(transaction.parent_span_id, request.span_id);
    assert_eq!(attribute(&transaction.attributes, "db.system.name"), "postgresql");

    who(&lambda, &cookie).await;
    lambda.until_idle(1).await;
    let exports = collector.exports();
    assert_eq!(exports.len(), 2);
    let second = exports[1].span("GET /api/me");
    assert_eq!(attribute(&second.attributes, "faas.coldstart"), "false");
    assert_ne!(second.trace_id, request.trace_id);

    // Neither personal data nor credentials are exported.
    let token = cookie.split_once('=').unwrap().1;
    // "grace" has letters that no hexadecimal id has.
    for private in ["grace", "example.com", token, "127.0.0.1", "0123456789abcdef"] {
        assert!(exports.iter().all(|export| !export.says(private)), "{private} is exported");
    }
}

#[tokio::test]
async fn the_vendors_key_in_a_header_may_be_a_secret() {
    let aws = FakeAws::start().await.unwrap();
    aws.put_secret("vendor", "x-key=hunter2,x-team=a%20b");
    let (mut stack, cookie) = stack().await;
    let collector = Collector::start(Duration::ZERO).await;
    stack.set(ENDPOINT, collector.endpoint());
    stack.set("OTEL_EXPORTER_OTLP_HEADERS", "secret:vendor");
    stack.set("OTEL_SERVICE_NAME", "chat");
    for (name, value) in aws.variables() {
        stack.set(name, value);
    }
    let lambda = RuntimeApi::start().await.unwrap();
    let function = Function::start(BINARY, &stack.variables(), &lambda);
    who(&lambda, &cookie).await;
    lambda.until_idle(1).await;
    let export = &collector.exports()[0];
    assert_eq!(export.headers["x-key"], "hunter2");
    assert_eq!(export.headers["x-team"], "a b");
    assert_eq!(export.resource("service.name"), "chat");
    assert!(!function.log().contains("hunter2"), "{}", function.log());
}

#[tokio::test]
async fn without_the_endpoint_variable_no_connection_is_made_and_no_setting_is_read() {
    let (mut stack, cookie) = stack().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let lambda = RuntimeApi::start().await.unwrap();
    // Malformed headers are an error if there is an endpoint.
    stack.set("OTEL_EXPORTER_OTLP_HEADERS", "nonsense");
    stack.set(ENDPOINT, &endpoint);
    let complaint = Function::start(BINARY, &stack.variables(), &lambda).complaint().await;
    assert!(complaint.contains("OTEL_EXPORTER_OTLP_HEADERS has to be"), "{complaint}");

    stack.set(ENDPOINT, "");
    stack.set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &endpoint);
    let _function = Function::start(BINARY, &stack.variables(), &lambda);
    who(&lambda, &cookie).await;
    lambda.until_idle(1).await;
    let connected = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(connected.is_err(), "{connected:?}");
}

#[tokio::test]
async fn without_a_collector_requests_are_answered_as_before() {
    let (mut stack, cookie) = stack().await;
    // The first collector never answers, at the second address nothing listens.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for (address, patience) in [(silent.local_addr().unwrap(), 1500), (gone, 500)] {
        stack.set(ENDPOINT, format!("http://{address}"));
        let lambda = RuntimeApi::start().await.unwrap();
        let function = Function::start(BINARY, &stack.variables(), &lambda);
        lambda.until_idle(1).await;
        let watch = Stopwatch::start();
        who(&lambda, &cookie).await;
        let latency = watch.elapsed_on_time();
        assert!(latency < Duration::from_millis(800), "{latency:?}");
        let watch = Stopwatch::start();
        lambda.until_idle(1).await;
        let taken = watch.elapsed_on_time();
        assert!(taken < Duration::from_millis(patience), "{taken:?}");

        // Back-off: from then on the collector is skipped for a while.
        let watch = Stopwatch::start();
        for _ in 0..5 {
            who(&lambda, &cookie).await;
        }
        lambda.until_idle(1).await;
        let taken = watch.elapsed_on_time();
        assert!(taken < Duration::from_millis(800), "{taken:?}");
        let log = function.log();
        assert_eq!(log.matches("collector is left alone").count(), 1, "{log}");
    }
}
