//! Traces of a stream, switched on by a parameter: they are exported after its end.

use std::time::Duration;

use fake_openrouter::script::{delta, done, pause, role, stop};
use runtime_api::RuntimeApi;
use testkit::{Collector, Function, SESSION, Stopwatch, TestStack, attribute, event_json};

const BINARY: &str = env!("CARGO_BIN_EXE_chat-stream");
const MODEL: &str = "openai/gpt-5-mini";
const PAUSE: Duration = Duration::from_millis(300);

#[tokio::test]
async fn a_streams_spans_are_exported_after_its_last_chunk_and_delay_none() {
    let mut stack = TestStack::start().await;
    let cookie = stack.cookie(&stack.session("grace@example.com").await);
    let takes = Duration::from_millis(400);
    let collector = Collector::start(takes).await;
    stack.set("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
    let script =
        [role(), delta("buoyancy, "), pause(PAUSE), delta("says Archimedes"), stop(), done()];
    stack.provider.script(MODEL, script);
    let lambda = RuntimeApi::start().await.unwrap();
    let function = Function::start(BINARY, &stack.variables(), &lambda);
    lambda.until_idle(1).await;

    let mut stream = lambda.invoke(event_json("chat-stream").replace(SESSION, &cookie));
    let (watch, mut last, mut answer) = (Stopwatch::start(), None, Vec::new());
    while let Some(chunk) = stream.chunk().await.unwrap() {
        answer.extend_from_slice(&chunk.bytes);
        last = Some((chunk.arrived, watch.elapsed_on_time()));
    }
    let (last, read) = last.unwrap();
    let ended = watch.elapsed_on_time().saturating_sub(read);
    assert!(ended < takes, "the end of the stream came {ended:?} after its last chunk");
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.contains("says Archimedes") && answer.contains("[DONE]"), "{answer}");
    lambda.until_idle(1).await;
    let exports = collector.exports();
    assert_eq!(exports.len(), 1, "{}", function.log());
    let export = &exports[0];
    let waited = export.arrived.elapsed();
    assert!(waited >= takes, "the environment waited for its next event too early");
    assert!(export.arrived >= last);

    let request = export.span("POST /api/chat");
    let duration = request.end_time_unix_nano - request.start_time_unix_nano;
    assert!(Duration::from_nanos(duration) >= PAUSE, "the span ended before the stream");
    let model = export.span("chat");
    assert_eq!(model.parent_span_id, request.span_id);
    assert_eq!(attribute(&model.attributes, "gen_ai.request.model"), MODEL);
    let spans = export.spans();
    let count = |name| spans.iter().filter(|span| span.name == name).count();
    // Of the writes to the live log, only the end has a span.
    assert_eq!((count("transaction"), count("script"), count("generate")), (2, 2, 1));
    assert!(spans.iter().all(|span| span.trace_id == request.trace_id));

    // No question, no answer, no personal data.
    let token = cookie.split_once('=').unwrap().1;
    // "grace" has letters that no hexadecimal id has.
    for private in ["ships", "Archimedes", "buoyancy", "grace", "example.com", token, "sk-or-"] {
        assert!(!export.says(private), "{private} is exported");
    }
}
