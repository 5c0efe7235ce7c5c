//! Functions that are killed, or lose their connections, between the prediction of a turn and its beginning.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fake_openrouter::Script;
use fake_openrouter::script::{delta, done, pause, stop, usage};
use futures_util::future::join_all;
use serde_json::Value;
use shared_cache::LiveLog;
use shared_lambda::{Tasks, system_entropy};
use testkit::{Client, TestStack};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::app::app;
use crate::chat::body;
use crate::reading::{Reading, text_of};

const ROUNDS: usize = 125;
/// Each with one turn per round.
const USERS: usize = 8;
/// Connections of a function to Postgres: so many turns can be predicted while none can begin.
const POOL: u32 = 4;

/// A function in a runtime of its own: ending that ends all its tasks and connections, wherever they are.
struct Function {
    runtime: Runtime,
    client: Client,
}

/// What a client has received of a response so far.
type Received = Arc<Mutex<String>>;

impl Function {
    fn start(stack: &TestStack) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let _entered = runtime.enter();
        let client = Client::new(app(stack, &Tasks::default()));
        Self { runtime, client }
    }

    fn ask(&self, cookie: &str, chat: &str) -> (Received, JoinHandle<()>) {
        let (received, client) = (Received::default(), self.client.clone().signed_in(cookie));
        let (copy, question) = (Arc::clone(&received), body(chat, "fake/mine", "hi"));
        let reading = self.runtime.spawn(async move {
            let mut reading = Reading::question(&client, &question).await;
            while reading.status == 200 && reading.more().await {
                copy.lock().unwrap().clone_from(&reading.result);
            }
        });
        (received, reading)
    }
}

fn answer() -> Script {
    let briefly = pause(Duration::from_millis(3));
    [
        delta("one "),
        briefly.clone(),
        delta("two "),
        briefly,
        delta("three"),
        stop(),
        usage(9, 3, 0.001),
        done(),
    ]
    .into()
}

/// The answer's id in a stream.
fn answer_id(stream: &str) -> String {
    let first = stream.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    serde_json::from_str::<Value>(first).unwrap()["messageId"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_word_is_shown_unpaid_and_no_credit_taken_for_nothing_wherever_a_turn_is_cut_off() {
    let stack = TestStack::start().await;
    stack.provider.script("fake/mine", answer());
    let mut owner = stack.owner().await;
    let mut users = Vec::new();
    for user in 0..USERS {
        let session = stack.session(&format!("user-{user}@example.com")).await;
        stack.premium(&session).await;
        users.push(session);
    }
    let (entropy, mut responses, mut asked_before_begun) = (system_entropy(), Vec::new(), 0);
    let briefly = || tokio::time::sleep(Duration::from_micros(entropy.below(15_000).into()));
    for round in 0..ROUNDS {
        stack.clock.advance(Duration::from_mins(1));
        let function = Function::start(&stack);
        // What begins a turn waits for this lock, and what predicts it does not.
        let lock = owner.transaction().await.unwrap();
        lock.batch_execute("lock table chats in exclusive mode").await.unwrap();
        let asked = stack.provider.requests().len();
        let (received, reading): (Vec<_>, Vec<_>) = users
            .iter()
            .map(|user| function.ask(&stack.cookie(user), &format!("chat-{round:03}")))
            .unzip();
        let predicted = entropy.below(POOL + 1) as usize;
        let asking = async {
            while stack.provider.requests().len() < asked + predicted {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        // On a busy machine, a request may be cancelled for taking too long before it arrives.
        let _ = timeout(Duration::from_millis(500), asking).await;
        asked_before_begun += stack.provider.requests().len() - asked;
        let (cuts_before, kills) = (round % 2 == 0, round % 3 == 0);
        let cut = "select pg_terminate_backend(pid) from pg_stat_activity
                    where datname = current_database() and usename <> current_user";
        if cuts_before {
            lock.batch_execute(cut).await.unwrap();
        }
        lock.commit().await.unwrap();
        briefly().await;
        if !cuts_before {
            owner.batch_execute(cut).await.unwrap();
        }
        if !kills {
            join_all(reading).await;
        }
        function.runtime.shutdown_background();
        responses.extend(received);
    }

    assert!(asked_before_begun > ROUNDS, "no model was asked before its turn had begun");
    tokio::time::sleep(LiveLog::ALIVE_FOR).await;
    let closed = stack.sweep_later().await.count("orphanedTurnsClosed").unwrap();
    assert!(closed > 0, "no function was killed in the middle of a turn");
    stack.until_count(0, "select count(*) from turns where state = 'open'").await;
    stack.until_count(0, "select count(*) from messages where status = 'streaming'").await;
    stack.assert_books_are_right().await;
    let unanswered = "select count(*) from turns t join messages m on (m.user_id, m.id) = (t.user_id, t.answer_id)
                       where t.state = 'settled' and m.parts = '[]'";
    stack.until_count(0, unanswered).await;

    let stored =
        "select m.parts -> 0 ->> 'text', t.state from turns t join messages m on m.id = t.answer_id
                   where t.answer_id = $1";
    let mut complete = 0;
    for response in responses {
        let response = response.lock().unwrap().clone();
        if text_of(&response).is_empty() {
            continue;
        }
        let row = owner.query_opt(stored, &[&answer_id(&response)]).await.unwrap();
        let row = row.expect("a word was shown of a turn that is not stored");
        if response.contains(r#""type":"finish""#) {
            complete += 1;
            assert_eq!(row.get::<_, Option<String>>(0), Some(text_of(&response)));
            assert_eq!(row.get::<_, String>(1), "settled");
        }
    }
    assert!(complete > ROUNDS, "no turn has survived");
}
