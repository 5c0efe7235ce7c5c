//! A turn reads as many rows in a long history as in a short one, whether or not the tables were ever analysed; and the
//! first on a connection takes no longer than others.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use shared_core::identity::Session;
use testkit::{TestStack, next_turn};
use tokio_postgres::Client;

/// Turns of the user's history.
const LONG: i64 = 10_000;

/// A user's history: one chat of so many turns, answered and paid by their own key; and as many
/// more chats, and 200 sessions.
async fn grow(stack: &TestStack, user: &Session, turns: i64) {
    let owner = stack.owner().await;
    let id = user.user.0;
    let statements = [
        "insert into chats (user_id, id, title, created_at, updated_at)
         select $1, 'chat-' || lpad(n::text, 6, '0'), 'a title', now(), now()
           from generate_series(1, $2::bigint) n",
        "insert into messages (user_id, id, chat_id, parent_id, role, status, parts, created_at)
         select $1, 'message-' || n, 'chat-000001', case when n > 1 then 'message-' || n - 1 end,
                case n % 2 when 1 then 'user' else 'assistant' end, 'complete', '[{\"type\":\"text\",\"text\":\"so\"}]',
                now() - interval '1 day' + n * interval '1 second'
           from generate_series(1, 2 * $2::bigint) n",
        "update chats set head_id = 'message-' || 2 * $2::bigint, turns = $2 where user_id = $1 and id = 'chat-000001'",
        "insert into turns (user_id, answer_id, chat_id, model, paid_by, credits, state, cost_nano_usd, began_at, ended_at)
         select $1, 'message-' || 2 * n, 'chat-000001', 'fake/echo', 'byok', 0, 'settled', 1, now() - interval '1 hour',
                now()
           from generate_series(1, $2::bigint) n",
        "insert into byok_spending values ($1, date_trunc('month', now(), 'UTC'), $2)",
        "insert into sessions (id, user_id, created_at, last_seen_at, expires_at)
         select gen_random_uuid(), $1, now(), now(), now() + interval '1 day'
           from generate_series(1, 200) where $2::bigint > 0",
    ];
    for statement in statements {
        owner.execute(statement, &[&id, &turns]).await.unwrap();
    }
}

/// Gives the user a key of their own, with a cap.
async fn own_key(stack: &TestStack, user: &Session) {
    let key = "with new_data_key as (
                 insert into data_keys values (gen_random_uuid(), $1::uuid::text, '', now()) returning id
               )
               insert into provider_keys (user_id, data_key, nonce, ciphertext, masked, policy, cap_nano_usd,
                                          usage_nano_usd, checked_at)
               select $1, id, 'twelve bytes', '', 'sk-or-...abcd', 'always', 1000000, 0, now() from new_data_key";
    stack.owner().await.execute(key, &[&user.user.0]).await.unwrap();
}

/// Begins and finishes a turn; returns the rows of each table that were read for it.
async fn turn(client: &Client, user: &Session, number: u32) -> BTreeMap<String, [i64; 2]> {
    let begin = format!(
        r#"select count(*) from begin_turn('{}', '{}', now(), now() - interval '7 days', jsonb_build_object(
             'chat', 'chat-000001', 'title', 'a title', 'answer', 'answer-{number:03}', 'model', 'fake/echo',
             'placement', 'append', 'question', 'question-{number:03}', 'parts', '[]'::jsonb, 'context_size', 5, 'price', 1,
             'plan_rules', '{{"free": {{"includes": true, "fits": true, "turns": 1000000, "credits": 50}}}}'::jsonb,
             'orphaned_before', now() - interval '330 seconds'))"#,
        user.user, user.id
    );
    let finish = format!(
        r#"select finish_turn('{}', 'answer-{number:03}', now(), '{{"status": "complete", "turn_state": "settled",
             "parts": [], "usage": {{"prompt_tokens": 1, "cost_nano_usd": 7}}, "generation_id": "gen-1"}}')"#,
        user.user
    );
    client.batch_execute("begin").await.unwrap();
    let before = rows_read(client).await;
    assert!(client.query_one(&begin, &[]).await.unwrap().get::<_, i64>(0) >= 1);
    let result: String = client.query_one(&finish, &[]).await.unwrap().get(0);
    assert_eq!(result, "stored");
    let after = rows_read(client).await;
    client.batch_execute("commit").await.unwrap();
    let read = after.iter().map(|(table, [whole, by_index])| {
        let [whole_before, by_index_before] = before.get(table).unwrap_or(&[0, 0]);
        (table.clone(), [whole - whole_before, by_index - by_index_before])
    });
    read.collect()
}

/// The rows of each table that this connection has read: by scans of the whole table, and by an index.
async fn rows_read(client: &Client) -> BTreeMap<String, [i64; 2]> {
    let read = "select relname::text, coalesce(seq_tup_read, 0), coalesce(idx_tup_fetch, 0) from pg_stat_xact_user_tables";
    let rows = client.query(read, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), [row.get(1), row.get(2)])).collect()
}

/// A connection as functions have it.
async fn connection(stack: &TestStack) -> Client {
    let client = stack.app_role().await;
    client.batch_execute("set plan_cache_mode = force_generic_plan").await.unwrap();
    client
}

#[tokio::test]
async fn a_turn_reads_as_many_rows_in_a_long_history_as_in_a_short_one() {
    for byok in [false, true] {
        let stack = TestStack::start().await;
        let mut users = Vec::new();
        for name in ["ada", "bob", "eve"] {
            let user = stack.session(&format!("{name}@example.com")).await;
            if byok {
                own_key(&stack, &user).await;
            }
            users.push(user);
        }
        let [ada, bob, eve] = users.try_into().unwrap();
        // Its plans are made on empty tables, and kept.
        let old = connection(&stack).await;
        turn(&old, &bob, 1).await;

        grow(&stack, &eve, 10).await;
        let short = turn(&old, &eve, 1).await;
        grow(&stack, &ada, LONG).await;
        for analysed in [false, true] {
            if analysed {
                stack.owner().await.batch_execute("analyze").await.unwrap();
            }
            for (place, client) in [&old, &connection(&stack).await].into_iter().enumerate() {
                let number = 10 + 10 * u32::from(analysed) + u32::try_from(place).unwrap();
                for (table, [whole, by_index]) in turn(client, &ada, number).await {
                    let about =
                        format!("{table}: byok {byok}, analysed {analysed}, connection {place}");
                    assert!(whole <= 10, "{about}: {whole} rows by reading all");
                    let few = short.get(&table).map_or(0, |[_, by_index]| by_index + 5);
                    assert!(by_index <= few, "{about}: {by_index} rows, {few} in a short history");
                }
            }
        }
    }
}

/// The time of the first turn on a new connection, at best.
async fn first_turn(
    stack: &TestStack,
    user: &Session,
    number: u32,
    is_rehearsed: bool,
) -> Duration {
    let mut best = Duration::MAX;
    for attempt in 0..5 {
        let client = connection(stack).await;
        if is_rehearsed {
            client.batch_execute("select rehearse_turn()").await.unwrap();
        }
        let began = Instant::now();
        turn(&client, user, number + attempt).await;
        best = best.min(began.elapsed());
    }
    best
}

#[tokio::test]
async fn a_rehearsed_connection_plans_nothing_in_its_first_turn_and_leaves_no_row() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let plain = first_turn(&stack, &ada, 10, false).await;
    let before = rows(&stack).await;
    let rehearsed = first_turn(&stack, &ada, 20, true).await;
    // Five turns, of two messages each.
    assert_eq!(rows(&stack).await, [before[0], before[1], before[2] + 10]);
    // Half, on a quiet machine.
    assert!(rehearsed * 3 < plain * 2, "{rehearsed:?}, {plain:?} without a rehearsal");
}

async fn rows(stack: &TestStack) -> [i64; 3] {
    let owner = stack.owner().await;
    let count = async |table| {
        owner.query_one(&format!("select count(*) from {table}"), &[]).await.unwrap().get(0)
    };
    [count("users").await, count("sessions").await, count("messages").await]
}

/// Warms a pool up and begins a turn on it, or begins the turn while the connection opens. Closes the pool, and so
/// makes its calls of functions known.
async fn first_turn_of_a_pool(stack: &TestStack, session: &Session, is_awaited: bool) {
    let (database, plans) = (stack.database(), stack.plans());
    let request = database.request(session, stack.clock.now());
    let turn = next_turn("the-chat", 1);
    let (warm, begin) =
        (database.clone().warm_for_turns(), request.begin_turn(&turn, &plans, None));
    if is_awaited {
        let (warmed, begun) = tokio::join!(biased; warm, begin);
        warmed.unwrap();
        begun.unwrap();
    } else {
        warm.await.unwrap();
        begin.await.unwrap();
    }
}

#[tokio::test]
async fn a_new_connection_rehearses_a_turn_unless_one_waits_for_it() {
    for is_awaited in [false, true] {
        let mut stack = TestStack::start().await;
        stack.set("DATABASE_POOL_SIZE", "1");
        let counted = "do $$ begin
                         execute format('alter database %I set track_functions = ''pl''', current_database());
                       end $$";
        stack.owner().await.batch_execute(counted).await.unwrap();
        let ada = stack.session("ada@example.com").await;
        first_turn_of_a_pool(&stack, &ada, is_awaited).await;
        let calls = |function: &str, count: u32| {
            format!(
                "select count(*) from pg_stat_user_functions
                  where funcname = '{function}' and calls = {count}"
            )
        };
        stack.until_count(1, &calls("begin_turn", if is_awaited { 1 } else { 3 })).await;
        let rehearsed = calls("rehearse_turn", 1);
        stack.until_count((!is_awaited).into(), &rehearsed).await;
    }
}
