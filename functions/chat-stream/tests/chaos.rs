//! Chaos: functions are killed in the middle of turns, against a provider that fails in every way it can.

use std::time::Duration;

use fake_openrouter::Script;
use fake_openrouter::script::{cut, delta, done, error, pause, status, stop, usage};
use runtime_api::RuntimeApi;
use shared_cache::LiveLog;
use shared_core::chat::ORPHANED_AFTER;
use shared_lambda::system_entropy;
use testkit::{Function, TestStack, question_json};

const BINARY: &str = env!("CARGO_BIN_EXE_chat-stream");
/// The model in the events.
const MODEL: &str = "openai/gpt-5-mini";
/// Concurrent functions, each with one turn.
const FUNCTIONS: usize = 4;

fn scripts() -> [Script; 5] {
    let slowly = pause(Duration::from_millis(80));
    let words = || [delta("one "), slowly.clone(), delta("two "), slowly.clone(), delta("three")];
    let whole = words().into_iter().chain([stop(), usage(9, 3, 0.001), done()]);
    let failing = words().into_iter().chain([error(429, "busy", "rate_limit_exceeded")]);
    [
        whole.collect::<Vec<_>>().into(),
        failing.collect::<Vec<_>>().into(),
        words().into_iter().chain([cut()]).collect::<Vec<_>>().into(),
        [slowly.clone(), stop(), done()].into(),
        status(503).into(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_right_whichever_process_is_killed() {
    let stack = TestStack::start().await;
    let session = stack.session("ada@example.com").await;
    stack.premium(&session).await;
    let cookie = stack.cookie(&session);
    let entropy = system_entropy();
    let mut chat = 0;
    for script in scripts().into_iter().cycle().take(10) {
        stack.provider.script(MODEL, script);
        let lambda = RuntimeApi::start().await.unwrap();
        let mut functions: Vec<_> =
            (0..FUNCTIONS).map(|_| Function::start(BINARY, &stack.variables(), &lambda)).collect();
        lambda.until_idle(FUNCTIONS).await;
        let mut turns = Vec::new();
        for _ in 0..FUNCTIONS {
            turns.push(lambda.invoke(question_json(&cookie, chat)));
            chat += 1;
        }
        // Half of them are killed (SIGKILL) somewhere between the question and the end.
        for _ in 0..FUNCTIONS / 2 {
            tokio::time::sleep(Duration::from_millis(entropy.below(120).into())).await;
            functions.pop();
        }
        // Of the others, one client disconnects; its turn goes on.
        turns.pop();
        let mut answered = 0;
        let timeouts = tokio::time::sleep(Duration::from_secs(2));
        tokio::pin!(timeouts);
        for turn in turns {
            tokio::select! {
                end = turn.collect() => answered += usize::from(end.is_ok()),
                () = &mut timeouts => break,
            }
        }
        let settling = "select count(*) from turns where state = 'open'";
        let open: i64 = stack.owner().await.query_one(settling, &[]).await.unwrap().get(0);
        assert!(answered > 0 || open > 0, "nothing happened");
        stack.assert_books_are_right().await;
    }

    // All functions are gone, and no liveness key is left: every open turn is orphaned. Two sweeps race.
    tokio::time::sleep(LiveLog::ALIVE_FOR).await;
    stack.clock.advance(ORPHANED_AFTER + Duration::from_mins(1));
    let owner = stack.owner_url();
    let (first, second) = tokio::join!(stack.sweep(&owner), stack.sweep(&owner));
    assert!(
        first.count("orphanedTurnsClosed").unwrap() + second.count("orphanedTurnsClosed").unwrap()
            > 0,
        "no function was killed in the middle of a turn"
    );
    stack.until_count(0, "select count(*) from turns where state = 'open'").await;
    stack.assert_books_are_right().await;
    let owner = stack.owner().await;
    let count = async |state: &str| {
        let sql = format!("select count(*) from turns where state = '{state}'");
        owner.query_one(&sql, &[]).await.unwrap().get::<_, i64>(0)
    };
    assert!(count("settled").await > 0 && count("released").await > 0);
}
