//! Row-level security: no user sees another's data, even where a query forgets its `where`.
//!
//! The tables are read from the catalogue: one that is added without a policy, or without a row in
//! `a_row_of_everything`, fails here.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

use shared_core::chat::{Outcome, Placement};
use shared_core::identity::Session;
use shared_core::store::StoreError;
use shared_postgres::{TurnEnd, TurnLookup};
use testkit::{ReadyFile, TestStack, answer_of, message_id, new_turn, next_turn};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

/// Tables whose rows belong to no user.
const SHARED_TABLES: [&str; 4] =
    ["refinery_schema_history", "sql_functions", "data_keys", "orphan_sweep"];

async fn tenant_tables(owner: &Client) -> Vec<String> {
    let sql = "select relname::text from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace";
    let rows = owner.query(sql, &[]).await.unwrap();
    let tables = rows.iter().map(|row| row.get::<_, String>(0));
    let tables: Vec<_> = tables.filter(|table| !SHARED_TABLES.contains(&table.as_str())).collect();
    assert!(tables.len() >= 5, "{tables:?}");
    tables
}

/// Gives `session`'s user at least one row in every tenant table.
async fn a_row_of_everything(stack: &TestStack, session: &Session, chat: &str) {
    let now = stack.clock.clock().now();
    let place = Placement::Append { question: message_id(&format!("{chat}-q")) };
    let turn = new_turn(chat, place, &format!("{chat}-a"));
    stack.database().request(session, now).begin_turn(&turn, &stack.plans(), None).await.unwrap();
    stack.premium(session).await;
    let key = "with new_data_key as (
                 insert into data_keys values (gen_random_uuid(), $1::uuid::text, '', now()) returning id
               )
               insert into provider_keys (user_id, data_key, nonce, ciphertext, masked, policy, usage_nano_usd, checked_at)
               select $1, id, 'twelve bytes', '', 'sk-or-...abcd', 'always', 0, now() from new_data_key";
    stack.owner().await.execute(key, &[&session.user.0]).await.unwrap();
    let usage = "insert into missing_usage values ($1, $2 || '-a', now())";
    stack.owner().await.execute(usage, &[&session.user.0, &chat]).await.unwrap();
    let spending = "insert into byok_spending values ($1, now(), 1)";
    stack.owner().await.execute(spending, &[&session.user.0]).await.unwrap();
    let books = "with contact as (
                   insert into billing_contacts values (gen_random_uuid(), $1, 'a phone') returning payer
                 ), ordered as (
                   insert into orders (id, user_id, payer, plan, price_paise, days, credits, mode, state, created_at, expires_at)
                   select gen_random_uuid(), $1, payer, 'premium', 45000, 30, 250, 'sandbox', 'created', now(), now() from contact
                   returning id, payer
                 ), paid as (
                   insert into payments (id, order_id, user_id, payer, status, result, order_amount, currency, recorded_at)
                   select $1::uuid::text, id, $1, payer, 'SUCCESS', 'mismatch', '1.00', 'INR', now() from ordered
                   returning id, order_id, payer
                 ), refunded as (
                   insert into refunds (id, order_id, payment_id, user_id, payer, status, amount, currency, recorded_at)
                   select id, order_id, id, $1, payer, 'SUCCESS', '1.00', 'INR', now() from paid
                 )
                 insert into audit_log (user_id, at, kind, reference) values ($1, now(), 'test', 'none')";
    stack.owner().await.execute(books, &[&session.user.0]).await.unwrap();
    let image = stack.ready_upload(session, &ReadyFile::IMAGE).await;
    let attached =
        "insert into message_files (user_id, message_id, upload_id) values ($1, $2 || '-q', $3)";
    stack.owner().await.execute(attached, &[&session.user.0, &chat, &image.0]).await.unwrap();
    let summary = "insert into summaries (id, chat_id, user_id, through_id, content, created_at)
                   values (gen_random_uuid(), $1, $2, $1 || '-q', 'so far', now())";
    stack.owner().await.execute(summary, &[&chat, &session.user.0]).await.unwrap();
}

/// A connection of the app's role, inside a transaction of `session`'s user.
async fn as_user(stack: &TestStack, session: &Session) -> Client {
    let client = stack.app_role().await;
    let enter = format!(
        "begin; select enter_session('{}', '{}', now(), now() - interval '1 day')",
        session.user, session.id
    );
    client.batch_execute(&enter).await.unwrap();
    client
}

/// How many rows a client counts: none if its role lacks the privilege.
async fn counted(client: &Client, sql: &str) -> i64 {
    match client.query_one(sql, &[]).await {
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => 0,
        result => result.unwrap().get(0),
    }
}

/// How many rows `session`'s user changes: none if the app's role lacks the privilege.
async fn changed(stack: &TestStack, session: &Session, sql: &str) -> u64 {
    match as_user(stack, session).await.execute(sql, &[]).await {
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => 0,
        result => result.unwrap(),
    }
}

#[tokio::test]
async fn every_tenant_table_forces_row_level_security() {
    let stack = TestStack::start().await;
    let owner = stack.owner().await;
    for table in tenant_tables(&owner).await {
        let sql = "select relrowsecurity and relforcerowsecurity from pg_class where oid = $1::text::regclass";
        assert!(owner.query_one(sql, &[&table]).await.unwrap().get::<_, bool>(0), "{table}");
    }
    let role = "select rolsuper or rolbypassrls from pg_roles where rolname = 'app_user'";
    assert!(!owner.query_one(role, &[]).await.unwrap().get::<_, bool>(0));
    let owned = "select count(*) from pg_class where relowner = 'app_user'::regrole";
    assert_eq!(owner.query_one(owned, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn another_users_rows_can_be_neither_read_nor_changed_nor_counted() {
    let stack = TestStack::start().await;
    let (ada, eve) =
        (stack.session("ada@example.com").await, stack.session("eve@example.com").await);
    a_row_of_everything(&stack, &ada, "adas-chat").await;
    let owner = stack.owner().await;
    for table in tenant_tables(&owner).await {
        let column = if table == "users" { "id" } else { "user_id" };
        let adas = format!("select count(*) from {table} where {column} = '{}'", ada.user);
        let before: i64 = owner.query_one(&adas, &[]).await.unwrap().get(0);
        assert!(before > 0, "a_row_of_everything makes no row in {table}");

        let not_hers = format!("select count(*) from {table} where {column} <> '{}'", eve.user);
        let read = counted(&as_user(&stack, &eve).await, &not_hers).await;
        assert_eq!(read, 0, "{table} can be read");
        let whole = format!("select count(*) from {table}");
        let hers = format!("select count(*) from {table} where {column} = '{}'", eve.user);
        let whole = counted(&as_user(&stack, &eve).await, &whole).await;
        assert_eq!(whole, counted(&owner, &hers).await, "{table} can be counted");

        let claim =
            format!("update {table} set {column} = {column} where {column} = '{}'", ada.user);
        assert_eq!(changed(&stack, &eve, &claim).await, 0, "{table} can be changed");
        let delete = format!("delete from {table} where {column} = '{}'", ada.user);
        assert_eq!(changed(&stack, &eve, &delete).await, 0, "{table} can be deleted from");
        assert_eq!(owner.query_one(&adas, &[]).await.unwrap().get::<_, i64>(0), before, "{table}");
    }
}

#[tokio::test]
async fn rows_cannot_be_given_to_another_user() {
    let stack = TestStack::start().await;
    let (ada, eve) =
        (stack.session("ada@example.com").await, stack.session("eve@example.com").await);
    a_row_of_everything(&stack, &eve, "eves-chat").await;
    let owner = stack.owner().await;
    for table in tenant_tables(&owner).await {
        let column = if table == "users" { "id" } else { "user_id" };
        let eves = as_user(&stack, &eve).await;
        let give_away = format!("update {table} set {column} = '{}'", ada.user);
        let error = eves.execute(&give_away, &[]).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{table}: {error}");
    }
}

#[tokio::test]
async fn a_connection_without_a_session_sees_nothing() {
    let stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    a_row_of_everything(&stack, &ada, "adas-chat").await;
    let without_session = stack.app_role().await;
    // Nor does one after a user's transaction: it returns to the pool.
    let used = as_user(&stack, &ada).await;
    used.batch_execute("commit").await.unwrap();
    for table in tenant_tables(&stack.owner().await).await {
        for client in [&without_session, &used] {
            let count = counted(client, &format!("select count(*) from {table}")).await;
            assert_eq!(count, 0, "{table}");
        }
    }
}

/// Clients choose the ids of chats and messages: another user's must neither collide nor reveal that they exist.
#[tokio::test]
async fn two_users_can_use_the_same_ids() {
    let stack = TestStack::start().await;
    let (ada, eve) =
        (stack.session("ada@example.com").await, stack.session("eve@example.com").await);
    let (database, plans) = (stack.database(), stack.plans());
    let mut begun = Vec::new();
    for session in [&ada, &eve] {
        let turn = next_turn("the-chat", 1);
        let request = database.request(session, stack.clock.now());
        begun.push(request.begin_turn(&turn, &plans, None).await.unwrap());
    }
    let at = stack.clock.now();
    let end = TurnEnd { answer: &answer_of("for Ada"), outcome: &Outcome::Complete, at };
    database.finish_turn(&begun[0], end).await.unwrap();
    database.withdraw_turn(&begun[1], "unavailable", at).await.unwrap();
    let answers = async |session: &Session| {
        let answers = "select count(*) from messages where user_id = $1";
        let row = stack.owner().await.query_one(answers, &[&session.user.0]).await.unwrap();
        row.get::<_, i64>(0)
    };
    assert_eq!((answers(&ada).await, answers(&eve).await), (2, 0));
    let seen = database.request(&eve, at).stored_answer(&begun[0].answer).await.unwrap();
    assert_eq!(seen, None);
    let seen = database.request(&eve, at).turn_of(&begun[0].chat, None).await.unwrap();
    assert_eq!(seen, TurnLookup::NoChat);
    stack.assert_books_are_right().await;
}

#[tokio::test]
async fn a_message_cannot_join_a_chat_of_another_user() {
    let stack = TestStack::start().await;
    let (ada, eve) =
        (stack.session("ada@example.com").await, stack.session("eve@example.com").await);
    a_row_of_everything(&stack, &ada, "adas-chat").await;
    let eves = as_user(&stack, &eve).await;
    let join = "insert into messages (id, chat_id, user_id, role, status, parts, created_at)
                values ('eves-message', 'adas-chat', $1, 'user', 'complete', '[]', now())";
    let error = eves.execute(join, &[&eve.user.0]).await.unwrap_err();
    assert_eq!(error.as_db_error().unwrap().constraint(), Some("messages_chat"));
}

/// A connection of the jobs' role.
async fn as_job(stack: &TestStack) -> Client {
    let client = stack.owner().await;
    client.batch_execute("set role app_job").await.unwrap();
    client
}

#[tokio::test]
async fn jobs_can_read_no_message_text_chat_title_name_or_email() {
    let stack = TestStack::start().await;
    let readable = "
        select string_agg(table_name || '.' || column_name, ' ' order by table_name, column_name)
          from information_schema.columns
         where table_schema = 'public'
           and table_name in ('users', 'sessions', 'chats', 'messages', 'summaries', 'entitlements')
           and has_column_privilege('app_job', table_name::regclass, column_name, 'select')";
    let readable: String = stack.owner().await.query_one(readable, &[]).await.unwrap().get(0);
    assert_eq!(
        readable,
        "chats.head_id chats.id chats.turns chats.updated_at chats.user_id \
         entitlements.ends_at entitlements.plan entitlements.revoked_at entitlements.starts_at entitlements.user_id \
         messages.cached_tokens messages.chat_id messages.completion_tokens messages.cost_nano_usd \
         messages.created_at messages.finished_at messages.generation_id messages.id messages.model \
         messages.parent_id messages.prompt_tokens messages.reasoning_tokens messages.role \
         messages.status messages.user_id users.id"
    );
}

#[tokio::test]
async fn jobs_see_messages_only_of_the_user_they_have_set() {
    let stack = TestStack::start().await;
    let (ada, eve) =
        (stack.session("ada@example.com").await, stack.session("eve@example.com").await);
    a_row_of_everything(&stack, &ada, "adas-chat").await;
    let job = as_job(&stack).await;
    let count = async |sql: &str| job.query_one(sql, &[]).await.unwrap().get::<_, i64>(0);
    assert_eq!(count("select count(id) from messages").await, 0);
    assert_eq!(count("select count(id) from chats").await, 0);
    assert_eq!(count("select count(id) from users").await, 0);

    let close = "update messages set status = 'stopped' where id = 'adas-chat-a'";
    assert_eq!(job.execute(close, &[]).await.unwrap(), 0);
    for (user, expected) in [(&eve, 0), (&ada, 1)] {
        job.batch_execute(&format!("begin; set local app.user_id = '{}'", user.user))
            .await
            .unwrap();
        assert_eq!(job.execute(close, &[]).await.unwrap(), expected);
        job.batch_execute("rollback").await.unwrap();
    }
    for refused in [
        "delete from messages",
        "update messages set user_id = user_id",
        "update users set name = ''",
        "insert into turns (answer_id, user_id, chat_id, model, paid_by, credits, state, began_at)
         select 'of-a-job', user_id, chat_id, model, 'byok', 0, 'open', began_at from turns",
    ] {
        let error = job.execute(refused, &[]).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{refused}");
    }
}

#[tokio::test]
async fn a_superusers_url_does_not_bypass_row_level_security() {
    let mut stack = TestStack::start().await;
    let ada = stack.session("ada@example.com").await;
    let url = stack.owner_url();
    stack.set("DATABASE_URL", url);
    let eve = stack.session("eve@example.com").await;
    // The session is Ada's, the user Eve: as a superuser, `enter_session` would find it.
    let forged = Session { user: eve.user, ..ada };
    let user = stack.database().request(&forged, stack.clock.clock().now()).user().await;
    assert!(matches!(user, Err(StoreError::SessionEnded)), "{user:?}");
}
