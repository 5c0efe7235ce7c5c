//! Begins and ends turns, and reads them from the database.

use std::time::Duration;

use shared_core::chat::{Answer, ModelEvent, NewTurn, Outcome};
use shared_core::idempotency_key::IdempotencyKey;
use shared_core::identity::Session;
use shared_postgres::{BeginTurnError, BegunTurn, DatabaseConfig, FinishTurnError, Jobs, TurnEnd};
use testkit::TestStack;

/// At noon, so that no test meets a midnight.
pub(crate) async fn stack() -> TestStack {
    let stack = TestStack::start().await;
    stack.clock.set("2026-03-14T12:00:00Z".parse().unwrap());
    stack
}

pub(crate) fn jobs(stack: &TestStack) -> Jobs {
    Jobs::new(&DatabaseConfig::at(&stack.owner_url()), stack.clock.clock()).unwrap()
}

/// Begins a turn a second later.
pub(crate) async fn begin(
    stack: &TestStack,
    session: &Session,
    turn: &NewTurn,
) -> Result<BegunTurn, BeginTurnError> {
    stack.clock.advance(Duration::from_secs(1));
    let (database, plans) = (stack.database(), stack.plans());
    database.request(session, stack.clock.now()).begin_turn(turn, &plans, None).await
}

/// Finishes a turn a second later.
pub(crate) async fn finish(
    stack: &TestStack,
    begun: &BegunTurn,
    answer: &Answer,
    outcome: &Outcome,
) -> Result<(), FinishTurnError> {
    stack.clock.advance(Duration::from_secs(1));
    let end = TurnEnd { answer, outcome, at: stack.clock.now() };
    stack.database().finish_turn(begun, end).await
}

pub(crate) fn with_idempotency_key(turn: NewTurn, key: &str) -> NewTurn {
    NewTurn { idempotency_key: Some(IdempotencyKey::parse(key).unwrap()), ..turn }
}

/// A partial answer: it was cut off before the provider reported its usage.
pub(crate) fn cut_off(text: &str) -> Answer {
    let mut answer = Answer::default();
    let identified = ModelEvent::Identified { generation: "gen-1", model: "fake/other" };
    for event in [identified, ModelEvent::Text(text)] {
        answer.apply(&event, &mut |_| ());
    }
    answer
}

/// One value as text; empty if there is no row.
pub(crate) async fn value(stack: &TestStack, sql: &str) -> String {
    let row = stack.owner().await.query_opt(sql, &[]).await.unwrap();
    row.and_then(|row| row.get::<_, Option<String>>(0)).unwrap_or_default()
}

pub(crate) async fn count(stack: &TestStack, sql: &str) -> i64 {
    stack.owner().await.query_one(sql, &[]).await.unwrap().get(0)
}

/// The state of an answer and its turn, such as `complete "hello" settled 7`.
pub(crate) async fn overview(stack: &TestStack, answer: &str) -> String {
    let sql = format!(
        "select concat_ws(' ', m.status, m.parts -> 0 -> 'text', t.state, t.cost_nano_usd)
           from turns t full join messages m on m.id = t.answer_id
          where coalesce(m.id, t.answer_id) = '{answer}'"
    );
    value(stack, &sql).await
}

/// A chat's messages, each below its parent, with a star at the head.
pub(crate) async fn tree(stack: &TestStack, chat: &str) -> String {
    let sql = format!(
        "select string_agg(concat(m.parent_id, '>', m.id, case when c.head_id = m.id then '*' end), ' '
                           order by m.created_at, m.role desc, m.id)
           from messages m join chats c on c.id = m.chat_id
          where c.id = '{chat}'"
    );
    value(stack, &sql).await
}
