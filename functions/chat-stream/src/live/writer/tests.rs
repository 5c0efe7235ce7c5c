//! The calls of log writers, as the server sees them.

use std::f64::consts::TAU;

use futures_util::StreamExt;
use futures_util::future::join_all;
use redis::aio::{Monitor, MultiplexedConnection};
use shared_cache::{LogPage, LogState};
use testkit::TestStack;

use super::*;

const FRAME: &[u8] = b"data: {}\n\n";

/// Writers on the shared server, and what that executes for them.
struct Scene {
    stack: TestStack,
    user: UserId,
    tasks: Tasks,
    server: MultiplexedConnection,
    monitor: Monitor,
    prefix: String,
    marks: u32,
}

/// A command that the server has executed.
#[derive(Debug)]
struct Call {
    /// The server's time, in seconds.
    at: f64,
    command: String,
    is_from_script: bool,
}

impl Call {
    /// Parses `1339518083.107412 [0 127.0.0.1:60866] "command" …`.
    fn parse(line: &str) -> Option<Self> {
        let (at, rest) = line.split_once(" [")?;
        let (source, rest) = rest.split_once("] ")?;
        let command = rest.split('"').nth(1)?.to_lowercase();
        Some(Self { at: at.parse().ok()?, command, is_from_script: source.ends_with("lua") })
    }

    fn is_script(&self) -> bool {
        self.command == "evalsha"
    }

    /// Whether a script or the writer itself has added a batch, or the beginning or end of a log.
    fn is_batch(&self) -> bool {
        self.command == "xadd"
    }

    fn is_append(&self) -> bool {
        self.is_batch() && !self.is_from_script
    }

    fn is_mark(&self) -> bool {
        self.command == "get" && !self.is_from_script
    }
}

impl Scene {
    async fn start() -> Self {
        let stack = TestStack::start().await;
        let user = stack.session("ada@example.com").await.user;
        let client = redis::Client::open(stack.env().required("CACHE_URL").unwrap()).unwrap();
        let server = client.get_multiplexed_async_connection().await.unwrap();
        let monitor = client.get_async_monitor().await.unwrap();
        let prefix = stack.env().required("CACHE_PREFIX").unwrap();
        Self { stack, user, tasks: Tasks::default(), server, monitor, prefix, marks: 0 }
    }

    /// Starts the writer of an answer's log.
    fn start_writer(&self, answer: &str) -> (LogWriter, FrameWriter) {
        let app = self.stack.app_context();
        let answer = MessageId::parse(answer).unwrap();
        LogWriter::start(&self.stack.cache(), &self.tasks, &app, self.user, &answer)
    }

    fn log(&self, answer: &str) -> LiveLog {
        self.stack.cache().live_log(self.user, &MessageId::parse(answer).unwrap())
    }

    /// Deletes the keys of a log, as a cache that is restarted empty does.
    async fn delete_log(&mut self, answer: &str) {
        let key = |what| format!("{}{{turn:{}:{answer}}}:{what}", self.prefix, self.user);
        let mut delete = redis::cmd("DEL");
        delete.arg(&["log", "alive", "generation"].map(key));
        let deleted: u32 = delete.query_async(&mut self.server).await.unwrap();
        assert_eq!(deleted, 3);
    }

    /// Marks a place among the calls; returns the text of the mark.
    async fn mark(&mut self) -> String {
        self.marks += 1;
        let mark = format!("{}mark-{}", self.prefix, self.marks);
        let nothing: Option<String> =
            redis::cmd("GET").arg(&mark).query_async(&mut self.server).await.unwrap();
        assert_eq!(nothing, None);
        mark
    }

    /// The calls since the last time, with the marks between them.
    async fn calls(&mut self) -> Vec<Call> {
        let end = format!("\"{}\"", self.mark().await);
        let lines = self.monitor.on_message::<String>();
        let until_end = lines.take_while(|line| std::future::ready(!line.contains(&end)));
        let lines: Vec<_> = until_end.collect().await;
        let own = lines.iter().filter(|line| line.contains(&self.prefix));
        own.map(|line| Call::parse(line).expect(line)).collect()
    }
}

/// Waits until the log `is` so.
async fn wait_until(log: &LiveLog, is: impl Fn(&LogPage) -> bool) {
    for _ in 0..400 {
        if is(&log.read(0).await.unwrap()) {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("the log does not get there");
}

fn count(calls: &[Call], of: impl Fn(&Call) -> bool) -> f64 {
    let count = calls.iter().filter(|call| of(call)).count();
    u32::try_from(count).unwrap().into()
}

/// Writes frames 1 to `last`, `gap` apart.
async fn write(frames: &FrameWriter, last: u64, gap: Duration) {
    for frame in 1..=last {
        frames.append(frame, frame, FRAME);
        sleep(gap).await;
    }
}

#[tokio::test]
async fn a_batch_of_40_ms_is_one_command_and_a_script_runs_every_100_ms() {
    let mut scene = Scene::start().await;
    let began = Instant::now();
    let (writer, frames) = scene.start_writer("answer-1");
    write(&frames, 200, Duration::from_millis(5)).await;
    drop(frames);
    writer.finish().await;
    let seconds = began.elapsed().as_secs_f64();

    let calls = scene.calls().await;
    let scripts = count(&calls, Call::is_script);
    let appends = count(&calls, Call::is_append);
    let batches = count(&calls, Call::is_batch);
    // Also the beginning and the end are scripts, and one that is new to the server is sent twice.
    assert!(scripts <= seconds * 10.0 + 4.0, "{scripts} scripts in {seconds} s");
    assert!(batches <= seconds * 25.0 + 4.0, "{batches} batches in {seconds} s");
    // Lower bounds, for a machine that is busy.
    assert!(scripts >= 4.0, "{scripts} scripts in {seconds} s");
    assert!(appends >= scripts / 2.0, "{appends} appends beside {scripts} scripts");
    let contents = scene.log("answer-1").read_all().await.unwrap();
    assert_eq!((contents.last, contents.frames), (200, FRAME.repeat(200)));
}

#[tokio::test]
async fn the_first_batch_of_a_turn_is_written_at_once() {
    let mut scene = Scene::start().await;
    let mut soonest = f64::MAX;
    for turn in 1..=5 {
        let answer = format!("answer-{turn}");
        let (_writer, frames) = scene.start_writer(&answer);
        let log = scene.log(&answer);
        wait_until(&log, |page| page.state == LogState::Running).await;
        // At the beginning of a window.
        sleep_until(window_end()).await;
        scene.mark().await;
        frames.append(1, 1, FRAME);
        wait_until(&log, |page| !page.batches.is_empty()).await;

        let calls = scene.calls().await;
        let since = calls.iter().skip_while(|call| !call.is_mark());
        let places: Vec<_> = since.filter(|call| call.is_mark() || call.is_batch()).collect();
        soonest = soonest.min(places[1].at - places[0].at);
    }
    assert!(soonest < BATCH_WINDOW.as_secs_f64() / 2.0, "after {soonest} s");
}

#[tokio::test]
async fn the_generation_id_is_stored_with_the_next_batch_and_not_with_the_next_heartbeat() {
    let scene = Scene::start().await;
    let mut soonest = Duration::MAX;
    for turn in 1..=5 {
        let answer = format!("answer-{turn}");
        let (writer, _frames) = scene.start_writer(&answer);
        let log = scene.log(&answer);
        wait_until(&log, |page| page.state == LogState::Running).await;
        let began = Instant::now();
        writer.identify("gen-1");
        wait_until(&log, |page| page.generation.is_some()).await;
        soonest = soonest.min(began.elapsed());
    }
    assert!(soonest < BATCH_WINDOW + BATCH_WINDOW / 2, "after {soonest:?}");
}

#[tokio::test]
async fn a_log_that_the_cache_loses_between_heartbeats_is_continued_after_a_gap() {
    const LOSSES: u64 = 6;
    let mut scene = Scene::start().await;
    let (writer, frames) = scene.start_writer("answer-1");
    let log = scene.log("answer-1");
    writer.identify("gen-1");
    frames.append(1, 1, FRAME);
    wait_until(&log, |page| !page.batches.is_empty() && page.generation.is_some()).await;
    // Most of them are met by an append.
    for frame in 2..=1 + LOSSES {
        scene.delete_log("answer-1").await;
        frames.append(frame, frame, FRAME);
        wait_until(&log, |page| page.batches.last().is_some_and(|batch| batch.last == frame)).await;
        wait_until(&log, |page| page.generation.as_deref() == Some("gen-1")).await;
    }
    drop(frames);
    writer.finish().await;
    let page = log.read(0).await.unwrap();
    assert_eq!(page.state, LogState::Ended);
    assert_eq!(page.batches[0].first, 1 + LOSSES, "the frames before are lost");
    assert_eq!(log.read_all().await.unwrap().last, 0, "a reader sees the gap");
}

#[tokio::test]
async fn the_batches_of_all_turns_are_written_at_the_same_time() {
    let mut scene = Scene::start().await;
    let scene_ref = &scene;
    // They begin at any time of a window.
    join_all((0..8).map(async |turn| {
        sleep(BATCH_WINDOW / 8 * turn).await;
        let (writer, frames) = scene_ref.start_writer(&format!("answer-{turn}"));
        write(&frames, 100, Duration::from_millis(7)).await;
        drop(frames);
        writer.finish().await;
    }))
    .await;
    let calls = scene.calls().await;
    let times: Vec<_> = calls.iter().filter(|call| call.is_append()).map(|call| call.at).collect();
    // The mean of their places on a circle of one window: near its centre if they are anywhere.
    let angles = times.iter().map(|at| (at / BATCH_WINDOW.as_secs_f64()).fract() * TAU);
    let (sin, cos) =
        angles.fold((0.0, 0.0), |(sin, cos), angle| (sin + angle.sin(), cos + angle.cos()));
    let together = f64::hypot(sin, cos) / count(&calls, Call::is_append);
    assert!(together > 0.5, "{together} of {} appends", times.len());
}
