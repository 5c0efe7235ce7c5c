//! The built binary on Lambda: under AWS's emulator, and under ours, which shows when each chunk arrives.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot be set up has failed"
)]

use std::cell::Cell;
use std::time::{Duration, Instant};

use fake_openrouter::Script;
use fake_openrouter::script::{
    Gate, cut, delta, done, error, gate, pause, processing, role, status, stop, usage,
};
use runtime_api::{Chunk, Invocation, RuntimeApi};
use testkit::{
    Answer, CHAT, Function, QUESTION, ReadyFile, Rie, SESSION, TestStack, event_json, metronome,
    question_json,
};
use tokio::time::timeout;

const BINARY: &str = env!("CARGO_BIN_EXE_chat-stream");
/// The model in the events.
const MODEL: &str = "openai/gpt-5-mini";

/// The function in an environment of an emulated Lambda, and a logged-in user.
struct Environment {
    stack: TestStack,
    lambda: RuntimeApi,
    cookie: String,
    function: Function,
}

impl Environment {
    async fn start() -> Self {
        let stack = TestStack::start().await;
        let session = stack.session("ada@example.com").await;
        stack.premium(&session).await;
        let cookie = stack.cookie(&session);
        let lambda = RuntimeApi::start().await.unwrap();
        let function = Function::start(BINARY, &stack.variables(), &lambda);
        lambda.until_idle(1).await;
        Self { stack, lambda, cookie, function }
    }

    fn script(&self, script: impl Into<Script>) {
        self.stack.provider.script(MODEL, script);
    }

    fn invoke(&self, event: &str) -> Invocation {
        self.lambda.invoke(event_json(event).replace(SESSION, &self.cookie))
    }

    fn ask(&self, chat: usize) -> Invocation {
        self.lambda.invoke(question_json(&self.cookie, chat))
    }

    async fn answer(&self, event: &str) -> Answer {
        self.invoke(event).collect().await.unwrap().into()
    }
}

/// The next chunk; fails if it is held back until something that comes only afterwards.
async fn next(turn: &mut Invocation) -> Chunk {
    let chunk = timeout(Duration::from_secs(30), turn.chunk()).await.expect("it is held back");
    chunk.unwrap().expect("more")
}

/// Reads until the chunk that contains `what`; returns its arrival.
async fn arrival(turn: &mut Invocation, what: &str) -> Instant {
    loop {
        let chunk = next(turn).await;
        if String::from_utf8_lossy(&chunk.bytes).contains(what) {
            return chunk.arrived;
        }
    }
}

/// Opens the gate, behind which the model says `what`; returns how much later it arrived.
async fn delay(gate: &Gate, turn: &mut Invocation, what: &str) -> Duration {
    let opened = Instant::now();
    gate.open();
    arrival(turn, what).await - opened
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[tokio::test]
async fn the_binary_answers_api_gateways_event_under_awss_emulator() {
    let stack = TestStack::start().await;
    let cookie = stack.cookie(&stack.session("ada@example.com").await);
    let mut rie = Rie::start(BINARY, &stack.variables()).await;
    let event = event_json("chat-stream").replace(SESSION, &cookie);
    let answer = rie.post(event.clone()).await;
    assert_eq!(answer.text(), "How do ships float?");
    assert_eq!(answer.header("content-type"), Some("text/event-stream"));
    // Idempotent: a duplicate request replays the answer. It has ended: nothing to resume or to stop.
    assert_eq!(rie.post(event).await.body, answer.body);
    let resumed = rie.post(event_json("chat-stream-resume").replace(SESSION, &cookie)).await;
    assert_eq!(resumed.refusal(), (404, "message_not_found".to_owned()), "another answer's id");
    let stopped = rie.post(event_json("chat-stream-stop").replace(SESSION, &cookie)).await;
    assert_eq!(stopped.status, 204);
}

#[tokio::test]
async fn the_binary_sends_a_file_to_the_model_under_awss_emulator() {
    /// Of `chat-stream-file.json`.
    const UPLOAD: &str = "019ab0d6-9c10-7e63-b2a4-51d07f3c8e90";
    let stack = TestStack::start().await;
    let session = stack.session("ada@example.com").await;
    let event = event_json("chat-stream-file").replace(SESSION, &stack.cookie(&session));
    let mut rie = Rie::start(BINARY, &stack.variables()).await;
    let unknown = rie.post(event.clone()).await;
    assert_eq!(unknown.refusal(), (404, "upload_not_found".to_owned()));
    let image = ReadyFile::IMAGE;
    let id = stack.ready_upload(&session, &image).await;
    let answer = rie.post(event.replace(UPLOAD, &id.to_string())).await;
    assert_eq!(answer.text(), "What ship is this? [image/png, 4 bytes]");
}

#[tokio::test]
async fn each_chunk_is_sent_as_soon_as_the_model_produces_it() {
    let environment = Environment::start().await;
    let words = ["one ", "two ", "three ", "four ", "five ", "six ", "seven ", "eight"];
    let model = Gate::default();
    let steps = words.iter().flat_map(|word| [gate(&model), delta(*word)]);
    environment.script(steps.chain([stop(), done()]).collect::<Vec<_>>());
    let mut turn = environment.ask(0);
    let (late, mut delays) = (Cell::new(Duration::ZERO), Vec::new());
    let reader = async {
        // The model produces each one only after its predecessor was sent.
        for word in words {
            delays.push(delay(&model, &mut turn, word).await);
        }
    };
    tokio::select! {
        () = reader => {}
        never = metronome(&late) => match never {},
    }
    // A buffer that is flushed at intervals would delay even the quickest by about one of them.
    let quickest = *delays.iter().min().expect("some");
    assert!(quickest < ms(10) + late.get(), "{delays:?}, timers are late by {late:?}");
}

#[tokio::test]
async fn the_prelude_is_sent_before_the_models_first_output() {
    let environment = Environment::start().await;
    let model = Gate::default();
    environment.script([processing(), gate(&model), delta("at last"), stop(), done()]);
    let mut turn = environment.ask(0);
    assert!(next(&mut turn).await.bytes.starts_with(b"{\"statusCode\":200,"));
    assert_eq!(next(&mut turn).await.bytes[..], [0; 8]);
    delay(&model, &mut turn, "at last").await;
}

#[tokio::test]
async fn the_first_chunk_is_not_delayed_by_nagles_algorithm() {
    let environment = Environment::start().await;
    environment.script([processing(), role(), delta("Buoyancy."), stop(), done()]);
    let mut delays = Vec::new();
    for turn in 0..9 {
        let (mut turn, late) = (environment.ask(turn), Cell::new(Duration::ZERO));
        let reader = async {
            let prelude = next(&mut turn).await.arrived;
            arrival(&mut turn, "\"start\"").await - prelude
        };
        let delay = tokio::select! {
            delay = reader => delay,
            never = metronome(&late) => match never {},
        };
        delays.push(delay.saturating_sub(late.get()));
        while turn.chunk().await.unwrap().is_some() {}
    }
    // Nagle's algorithm would delay it until the prelude is acknowledged, which takes 40 ms.
    let median = median(delays);
    assert!(median < ms(5), "{median:?}");
}

#[tokio::test]
async fn an_error_before_the_model_answers_is_an_ordinary_response() {
    let environment = Environment::start().await;
    let anonymous = event_json("chat-stream");
    let anonymous: Answer = environment.lambda.invoke(anonymous).collect().await.unwrap().into();
    assert_eq!(anonymous.refusal(), (401, "unauthenticated".to_owned()));

    environment.script(status(429).header("retry-after", "7"));
    let busy = environment.answer("chat-stream").await;
    assert_eq!(busy.refusal(), (429, "model_busy".to_owned()));
    assert_eq!(busy.header("content-type"), Some("application/json"));
    assert_eq!(busy.header("retry-after"), Some("7"));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_as_json() {
    let environment = Environment::start().await;
    let event = event_json("chat-stream")
        .replace(SESSION, &environment.cookie)
        .replace("How do ships float?", &"so ".repeat(512 * 1024));
    let answer: Answer = environment.lambda.invoke(event).collect().await.unwrap().into();
    assert_eq!(answer.refusal(), (413, "body_too_large".to_owned()));
}

#[tokio::test]
async fn an_error_in_mid_stream_is_an_event_and_not_the_runtimes_error() {
    let environment = Environment::start().await;
    let endings =
        [("model_busy", error(429, "slow down", "rate_limit_exceeded")), ("model_failed", cut())];
    for (turn, (code, ending)) in endings.into_iter().enumerate() {
        environment.script([role(), delta("Because "), pause(ms(20)), ending]);
        let answer: Answer = environment.ask(turn).collect().await.unwrap().into();
        assert_eq!(answer.text(), "Because ");
        assert_eq!(answer.stream_error()["error"]["code"], code);
        // The Lambda runtime writes this into a body whose stream yields an error.
        assert!(!answer.body.contains("Lambda-Runtime-Function-Error"), "{}", answer.body);
    }
}

#[tokio::test]
async fn an_environment_answers_one_event_after_the_other() {
    let environment = Environment::start().await;
    for (event, text) in [
        ("chat-stream", "How do ships float?"),
        ("chat-stream-regenerate", "How do ships float?"),
        ("chat-stream-use-chat-history", "And why do they sink? 🚢"),
    ] {
        let answer = environment.answer(event).await;
        assert_eq!(answer.text(), text, "{event}");
    }
    // The third request's history is untrusted: the model gets the stored one.
    let requests = environment.stack.provider.requests();
    assert_eq!(requests.len(), 3);
    let prompt = requests[2].body.to_string();
    assert!(!prompt.contains("They weigh less"), "{prompt}");
}

#[tokio::test]
async fn both_forms_of_event_get_the_same_answer() {
    let environment = Environment::start().await;
    environment.script([role(), delta("Buoyancy."), stop(), usage(9, 2, 0.001), done()]);
    let rest = environment.answer("chat-stream").await;
    let url = event_json("chat-stream-function-url")
        .replace(SESSION, &environment.cookie)
        .replace(CHAT, "another-chat")
        .replace(QUESTION, "another-question");
    let url: Answer = environment.lambda.invoke(url).collect().await.unwrap().into();
    assert_eq!(comparable(rest), comparable(url));
}

/// An answer without the values that differ in every one.
fn comparable(mut answer: Answer) -> (u16, Vec<(String, String)>, Vec<serde_json::Value>) {
    for one_off in ["x-request-id", "ratelimit-remaining"] {
        answer.headers.remove(one_off).expect(one_off);
    }
    let headers = answer
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let mut chunks = answer.chunks();
    chunks[0]["messageId"].take();
    chunks.last_mut().expect("an end")["messageMetadata"]["creditsLeft"].take();
    (answer.status.as_u16(), headers.collect(), chunks)
}

#[tokio::test]
async fn a_turn_leaves_metrics_and_its_trace_id_in_every_log_line_and_upstream_request() {
    let environment = Environment::start().await;
    environment.script([role(), delta("Buoyancy."), stop(), usage(9, 2, 0.001), done()]);
    for turn in 0..2 {
        environment.ask(turn).collect().await.unwrap();
    }
    // Written before the last chunk is sent, but read by another thread.
    let metric = |name: &str| {
        let lines = environment.function.log();
        let lines = lines.lines().filter(|line| line.starts_with('{') && line.contains("\"_aws\""));
        let lines = lines.map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.filter_map(|line| line[name].as_f64()).collect::<Vec<_>>()
    };
    for _ in 0..1000 {
        if metric("PromptTokens").len() == 2 {
            break;
        }
        tokio::time::sleep(ms(10)).await;
    }
    assert_eq!(metric("ColdStart"), [1.0]);
    assert_eq!(metric("PromptTokens"), [9.0, 9.0]);
    assert_eq!(metric("CompletionTokens"), [2.0, 2.0]);
    assert_eq!(metric("CostUsd"), [0.001, 0.001]);
    assert_eq!(metric("TurnFailed"), [0.0, 0.0]);
    for time in ["TimeToFirstByte", "ChunkDelay"] {
        let times = metric(time);
        assert!(times.len() == 2 && times.iter().all(|ms| (0.0..30e3).contains(ms)), "{times:?}");
    }

    environment.script(status(429));
    environment.ask(2).collect().await.unwrap();
    environment.script([role(), delta("Because "), cut()]);
    environment.ask(3).collect().await.unwrap();
    for _ in 0..1000 {
        if metric("TurnFailed").len() == 4 {
            break;
        }
        tokio::time::sleep(ms(10)).await;
    }
    assert_eq!(metric("TurnFailed"), [0.0, 0.0, 1.0, 1.0]);

    // Every log line of a request has its trace id, and so has the request to the provider.
    let lines = environment.function.log();
    for request in environment.stack.provider.requests() {
        let trace = format!("\"trace_id\":{}", request.body["trace"]["trace_id"]);
        assert!(lines.lines().filter(|line| line.contains(&trace)).count() >= 1, "{lines}");
    }
}

#[tokio::test]
async fn a_missing_variable_stops_the_start_and_is_named() {
    let stack = TestStack::start().await;
    let required =
        ["APP_ORIGIN", "CACHE_URL", "DATABASE_URL", "OPENROUTER_API_KEY", "SESSION_KEYS"];
    Function::assert_names_what_is_missing(BINARY, &stack.variables(), &required).await;
}

#[tokio::test]
async fn the_template_sets_every_variable_that_the_function_reads() {
    Function::assert_starts_as_deployed(BINARY, "ChatStreamFunction").await;
}

#[tokio::test]
async fn outside_lambda_the_start_fails_and_names_make_dev() {
    let stack = TestStack::start().await;
    let complaint = Function::start_alone(BINARY, &stack.variables()).complaint().await;
    assert!(complaint.contains("make dev"), "{complaint}");
}
