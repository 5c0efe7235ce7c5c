//! The emulator, driven over a socket as by a runtime.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::time::Duration;

use http::StatusCode;
use runtime_api::{InvocationError, RuntimeApi};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

const NEXT: &str = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nhost: x\r\n\r\n";

/// A runtime with one connection.
struct Environment(TcpStream);

impl Environment {
    async fn start(api: &RuntimeApi) -> Self {
        let mut environment = Self(TcpStream::connect(api.address()).await.unwrap());
        environment.send(NEXT).await;
        environment
    }

    async fn send(&mut self, bytes: &str) {
        self.0.write_all(bytes.as_bytes()).await.unwrap();
    }

    /// Reads the emulator's next bytes; empty once it has closed the connection.
    async fn read_reply(&mut self) -> String {
        let mut bytes = [0; 4096];
        let read = self.0.read(&mut bytes).await.unwrap_or(0);
        String::from_utf8(bytes[..read].to_vec()).unwrap()
    }

    /// Takes an invocation, and returns its id.
    async fn take(&mut self) -> String {
        let taken = self.read_reply().await;
        let (_, id) = taken.split_once("Lambda-Runtime-Aws-Request-Id: ").unwrap();
        id.split("\r\n").next().unwrap().to_owned()
    }

    async fn post(&mut self, id: &str, what: &str, headers_and_body: &str) {
        let head = format!("POST /2018-06-01/runtime/invocation/{id}/{what} HTTP/1.1\r\n");
        self.send(&(head + headers_and_body)).await;
    }
}

const STREAM: &str =
    "transfer-encoding: chunked\r\nlambda-runtime-function-response-mode: streaming\r\n\r\n";
const PRELUDE: &str = "22\r\n{\"statusCode\":202,\"cookies\":[\"a\"]}\r\n8\r\n\0\0\0\0\0\0\0\0\r\n";

#[tokio::test]
async fn a_stream_is_reported_chunk_by_chunk_even_if_chunks_arrive_joined_or_split() {
    let api = RuntimeApi::start().await.unwrap();
    let mut environment = Environment::start(&api).await;
    let mut invocation = api.invoke("{}");
    let id = environment.take().await;
    assert_eq!(id, invocation.request_id());

    environment.post(&id, "response", &(STREAM.to_owned() + PRELUDE + "2\r\na")).await;
    let prelude = invocation.chunk().await.unwrap().unwrap();
    assert!(prelude.bytes.starts_with(b"{\"statusCode\":202"));
    let delimiter = invocation.chunk().await.unwrap().unwrap();
    assert_eq!((&delimiter.bytes[..], delimiter.arrived), (&[0; 8][..], prelude.arrived));

    sleep(Duration::from_millis(20)).await;
    environment.send("b\r\n1;x=y\r\nc\r\n0\r\n\r\n").await;
    let ab = invocation.chunk().await.unwrap().unwrap();
    assert_eq!(&ab.bytes[..], b"ab");
    assert!(ab.arrived - prelude.arrived >= Duration::from_millis(20));
    assert_eq!(&invocation.chunk().await.unwrap().unwrap().bytes[..], b"c");
    assert_eq!(invocation.chunk().await.unwrap(), None);
    assert!(environment.read_reply().await.starts_with("HTTP/1.1 202 "));
}

#[tokio::test]
async fn streamed_or_buffered_an_answer_reads_the_same() {
    let api = RuntimeApi::start().await.unwrap();
    let mut environment = Environment::start(&api).await;
    let buffered = r#"{"statusCode":202,"headers":{},"multiValueHeaders":{"set-cookie":["a"]},"body":"eA==","isBase64Encoded":true}"#;
    let answers = [
        format!("{STREAM}{PRELUDE}1\r\nx\r\n0\r\n\r\n"),
        format!("content-length: {}\r\n\r\n{buffered}", buffered.len()),
    ];
    for answer in answers {
        let invocation = api.invoke("{}");
        let id = environment.take().await;
        environment.post(&id, "response", &answer).await;
        let response = invocation.collect().await.unwrap();
        assert_eq!(response.prelude.status, StatusCode::ACCEPTED);
        assert_eq!(response.prelude.cookies, ["a"]);
        assert!(response.prelude.headers.is_empty());
        assert_eq!(&response.body[..], b"x");
        environment.read_reply().await;
        environment.send(NEXT).await;
    }
}

#[tokio::test]
async fn an_error_is_reported_whether_it_comes_instead_of_an_answer_or_as_its_trailer() {
    let api = RuntimeApi::start().await.unwrap();
    let mut environment = Environment::start(&api).await;
    let type_ = "Lambda-Runtime-Function-Error-Type: Runtime.Bad\r\n";
    let answers = [
        ("error", format!("{type_}content-length: 2\r\n\r\n{{}}")),
        ("response", format!("{STREAM}{PRELUDE}0\r\n{type_}\r\n")),
    ];
    for (what, answer) in answers {
        let invocation = api.invoke("{}");
        let id = environment.take().await;
        environment.post(&id, what, &answer).await;
        let error = invocation.collect().await.unwrap_err();
        assert!(
            matches!(&error, InvocationError::Function(error) if error.kind == "Runtime.Bad"),
            "{error:?}"
        );
        environment.read_reply().await;
        environment.send(NEXT).await;
    }
}

#[tokio::test]
async fn an_environment_that_disconnects_fails_its_invocation_and_takes_no_other() {
    let api = RuntimeApi::start().await.unwrap();
    drop(Environment::start(&api).await);
    let mut environment = Environment::start(&api).await;
    // The dropped environment may still be waiting in the queue; give the emulator time to remove it.
    sleep(Duration::from_millis(20)).await;
    let invocation = api.invoke("{}");
    environment.take().await;
    drop(environment);
    let error = invocation.collect().await.unwrap_err();
    assert!(matches!(error, InvocationError::Left), "{error:?}");
}

#[tokio::test]
async fn several_environments_take_one_event_each() {
    let api = RuntimeApi::start().await.unwrap();
    let (mut one, mut two) = (Environment::start(&api).await, Environment::start(&api).await);
    api.until_idle(2).await;
    let events = [api.invoke("{}"), api.invoke("{}")];
    let mut taken = [one.take().await, two.take().await];
    let mut ids = [events[0].request_id(), events[1].request_id()];
    taken.sort();
    ids.sort_unstable();
    assert_eq!(taken, ids);
}

#[tokio::test]
async fn a_stream_can_be_broken() {
    let api = RuntimeApi::start().await.unwrap();
    let mut environment = Environment::start(&api).await;
    let mut invocation = api.invoke("{}");
    let id = environment.take().await;
    environment.post(&id, "response", &(STREAM.to_owned() + PRELUDE)).await;
    assert!(invocation.chunk().await.unwrap().is_some());
    invocation.break_stream();
    let closed = timeout(Duration::from_secs(5), environment.read_reply()).await.unwrap();
    assert_eq!(closed, "");
    assert!(invocation.chunk().await.unwrap().is_some(), "the delimiter had arrived");
    let error = invocation.chunk().await.unwrap_err();
    assert!(matches!(error, InvocationError::BrokeOff), "{error:?}");
}

#[tokio::test]
async fn an_initialization_error_is_recorded() {
    let api = RuntimeApi::start().await.unwrap();
    let mut environment = Environment(TcpStream::connect(api.address()).await.unwrap());
    let error =
        "lambda-runtime-function-error-type: Runtime.InitError\r\ncontent-length: 2\r\n\r\n{}";
    environment.send(&format!("POST /2018-06-01/runtime/init/error HTTP/1.1\r\n{error}")).await;
    assert!(environment.read_reply().await.starts_with("HTTP/1.1 202 "));
    assert_eq!(api.init_errors()[0].kind, "Runtime.InitError");
}
