//! Users, their turns, and requests for their usage.

use account::{Deps, HealthCheck, app};
use jiff::Timestamp;
use serde_json::Value;
use shared_core::chat::{Answer, NewTurn, Outcome};
use shared_core::identity::Session;
use shared_postgres::{BegunTurn, TurnEnd};
use testkit::{Client, TestStack, answer_of, next_turn};

/// At noon in the middle of a month, so that no test crosses a midnight or the end of a month by accident.
pub(crate) async fn stack() -> TestStack {
    let stack = TestStack::start().await;
    stack.clock.set(at("2026-03-14T12:00:00Z"));
    stack
}

pub(crate) fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

pub(crate) fn client(stack: &TestStack, session: &Session) -> Client {
    let clock = stack.app_context().clock().clone();
    let app = app(Deps {
        app: stack.app_context(),
        tokens: stack.tokens(),
        database: stack.database(),
        plans: stack.plans(),
        health_check: HealthCheck::new(stack.database(), stack.cache(), stack.serverless(), clock),
    });
    Client::new(app).signed_in(&stack.cookie(session))
}

pub(crate) async fn ada(stack: &TestStack) -> (Session, Client) {
    let session = stack.session("ada@example.com").await;
    (session, client(stack, &session))
}

pub(crate) async fn usage(client: &Client) -> Value {
    get(client, "/api/usage").await
}

pub(crate) async fn get(client: &Client, path: &str) -> Value {
    let answer = client.get(path).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

/// The turn with this number, in a chat of its own.
pub(crate) fn turn(number: usize) -> NewTurn {
    next_turn(&format!("chat-{number:04}"), number)
}

pub(crate) async fn begin(stack: &TestStack, session: &Session, turn: &NewTurn) -> BegunTurn {
    let (database, plans) = (stack.database(), stack.plans());
    database.request(session, stack.clock.now()).begin_turn(turn, &plans, None).await.unwrap()
}

pub(crate) async fn finish(stack: &TestStack, begun: &BegunTurn, answer: &Answer) {
    let ending = TurnEnd { answer, outcome: &Outcome::Complete, at: stack.clock.now() };
    stack.database().finish_turn(begun, ending).await.unwrap();
}

/// Begins and finishes a turn of 3 prompt and 2 completion tokens, at 7 billionths of a dollar.
pub(crate) async fn live(stack: &TestStack, session: &Session, turn: &NewTurn) {
    finish(stack, &begin(stack, session, turn).await, &answer_of("yes")).await;
}

/// Stores a BYOK that pays for every turn, at most ten dollars a month. No test here decrypts it.
pub(crate) async fn byok(stack: &TestStack, session: &Session) {
    let sql = "with sealing as (
                 insert into data_keys values (gen_random_uuid(), $1::uuid::text, '', now()) returning id
               )
               insert into provider_keys (user_id, data_key, nonce, ciphertext, masked, policy, cap_nano_usd,
                                          usage_nano_usd, checked_at)
               select $1, id, 'twelve bytes', '', 'sk-or-...1c96', 'always', 10000000000, 0, now() from sealing";
    stack.owner().await.execute(sql, &[&session.user.0]).await.unwrap();
}

/// Inserts `count` turns that began at `began`, in groups of three at the same microsecond.
pub(crate) async fn many_turns(stack: &TestStack, session: &Session, count: i32, began: &str) {
    let sql =
        "insert into turns (answer_id, user_id, chat_id, model, paid_by, credits, state, began_at)
               select 'answer-' || md5(n::text), $1, 'chat-0001', 'fake/echo', 'byok', 0, 'settled',
                      $2::text::timestamptz + n / 3 * interval '1 microsecond'
                 from generate_series(1, $3::integer) n";
    stack.owner().await.execute(sql, &[&session.user.0, &began, &count]).await.unwrap();
}
