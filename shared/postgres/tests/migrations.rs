//! Migrations: the roles that run them, idempotence, and what is refused.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

use local_stack::PrivateServers;
use shared_postgres::{DatabaseConfig, Destructive, MigrateError, Migrated, migrate};
use testkit::repository_file;
use tokio_postgres::{Client, NoTls};

#[expect(clippy::disallowed_methods, reason = "the connection's task ends with the test")]
async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn run(url: &str) -> Result<Migrated, MigrateError> {
    migrate(&DatabaseConfig::at(url), Destructive::Refused).await
}

/// Sets up RDS's roles; returns the URL of its first user, which owns the database and may create roles, but is no
/// superuser. Members of `rds_iam` log in with a token there.
async fn as_on_rds(servers: &PrivateServers) -> String {
    let owner = connect(&servers.owner_url()).await;
    owner
        .batch_execute("create role app_admin login createrole createdb; create role rds_iam; grant rds_iam to app_admin with admin option")
        .await
        .unwrap();
    owner.batch_execute("create database on_rds owner app_admin").await.unwrap();
    let url = servers.owner_url();
    let (server, _) = url.rsplit_once('/').unwrap();
    let (_, address) = server.rsplit_once('@').unwrap();
    format!("postgres://app_admin@{address}/on_rds")
}

#[tokio::test]
async fn an_owner_who_is_no_superuser_can_migrate_and_the_apps_roles_log_in_with_iam() {
    let servers = PrivateServers::start().await.unwrap();
    let url = as_on_rds(&servers).await;
    let migrated = run(&url).await.unwrap();
    assert_eq!(migrated.applied.first().unwrap(), "V1__identity");
    assert_eq!(migrated.applied.last(), migrated.version.as_ref());

    let members = "select string_agg(rolname, ' ' order by rolname) from pg_roles
                    where rolname <> 'app_admin' and pg_has_role(oid, 'rds_iam', 'member') and not rolsuper";
    let owner = connect(&url).await;
    let members: String = owner.query_one(members, &[]).await.unwrap().get(0);
    assert_eq!(members, "app_job app_money app_user rds_iam");

    // Plans are made while the tables are still empty, and connections keep them.
    let user = "user_id = '01890000-0000-7000-8000-000000000000'";
    for (look_up, index) in [
        (format!("messages where {user} and id = 'q2dXzYk3vN8aLm0P'"), "messages_pkey"),
        (format!("chats where {user} and id = 'q2dXzYk3vN8aLm0P'"), "chats_pkey"),
        (format!("turns where {user} and answer_id = 'q2dXzYk3vN8aLm0P'"), "turns_pkey"),
    ] {
        let plan = owner.query(&format!("explain select * from {look_up}"), &[]).await.unwrap();
        let plan: Vec<String> = plan.iter().map(|line| line.get(0)).collect();
        let expected = format!("Index Scan using {index}");
        assert!(plan.iter().any(|line| line.contains(&expected)), "{look_up}: {plan:?}");
    }
}

#[tokio::test]
async fn concurrent_and_repeated_runs_apply_everything_once() {
    let servers = PrivateServers::start().await.unwrap();
    let url = as_on_rds(&servers).await;
    let (one, other) = tokio::join!(run(&url), run(&url));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert!(one.applied.is_empty() != other.applied.is_empty(), "{one:?} {other:?}");
    assert!(one.functions.is_empty() != other.functions.is_empty(), "{one:?} {other:?}");
    assert_eq!(one.version, other.version);
    let later = run(&url).await.unwrap();
    assert_eq!(later, Migrated { applied: vec![], functions: vec![], version: one.version });
}

#[tokio::test]
async fn a_rolled_back_program_leaves_the_newer_schema_unchanged() {
    let servers = PrivateServers::start().await.unwrap();
    let url = servers.owner_url();
    run(&url).await.unwrap();
    let owner = connect(&url).await;
    owner
        .batch_execute(
            "insert into refinery_schema_history (version, name, applied_on, checksum)
             values (9999, 'of_the_next_release', '2025-11-22T00:00:00Z', '1');
             update sql_functions set hash = 'of the next release' where name = 'begin_turn'",
        )
        .await
        .unwrap();
    let migrated = run(&url).await.unwrap();
    assert_eq!(migrated.applied, Vec::<String>::new());
    assert_eq!(migrated.functions, Vec::<&str>::new());
    assert_eq!(migrated.version.as_deref(), Some("V9999__of_the_next_release"));
}

/// The migrations' statements, oldest first.
fn migrations() -> Vec<(u32, String)> {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap();
    let version = |name: &str| name.strip_prefix('V')?.split_once("__")?.0.parse().ok();
    let mut migrations: Vec<_> = files
        .map(|file| file.unwrap().path())
        .map(|path| {
            let version = version(path.file_name().unwrap().to_str().unwrap()).unwrap();
            (version, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    migrations.sort_unstable();
    migrations
}

/// Deadlock: a migration is one transaction and holds its locks until its end, and a turn that ends locks one of the
/// tables after the other.
#[tokio::test]
async fn no_migration_locks_messages_and_turns_in_one_transaction() {
    let servers = PrivateServers::start().await.unwrap();
    let owner = connect(&servers.owner_url()).await;
    let locked = "
        select coalesce(string_agg(distinct relation::regclass::text, ' '), '')
          from pg_locks
         where pid = pg_backend_pid()
           and relation in (select oid from pg_class where relname in ('messages', 'turns'))
           and mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')";
    for (version, sql) in migrations() {
        owner.batch_execute(&format!("begin; {sql}")).await.unwrap();
        let locked: String = owner.query_one(locked, &[]).await.unwrap().get(0);
        owner.batch_execute("commit").await.unwrap();
        assert!(!locked.contains(' '), "V{version}: {locked}");
    }
    for function in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/functions")).unwrap() {
        let sql = std::fs::read_to_string(function.unwrap().path()).unwrap();
        owner
            .batch_execute(&format!("set check_function_bodies = off; begin; {sql}"))
            .await
            .unwrap();
        let locked: String = owner.query_one(locked, &[]).await.unwrap().get(0);
        owner.batch_execute("commit").await.unwrap();
        assert!(!locked.contains(' '), "{locked}: {sql}");
    }
}

#[tokio::test]
async fn only_a_function_whose_text_has_changed_is_replaced() {
    let servers = PrivateServers::start().await.unwrap();
    let url = servers.owner_url();
    assert!(run(&url).await.unwrap().functions.contains(&"begin_turn"));
    assert_eq!(run(&url).await.unwrap().functions, Vec::<&str>::new());

    let owner = connect(&url).await;
    let earlier = "create or replace function month_end(at timestamptz) returns timestamptz
                     language sql immutable return at;
                   update sql_functions set hash = 'of the release before' where name = 'month_end'";
    owner.batch_execute(earlier).await.unwrap();
    assert_eq!(run(&url).await.unwrap().functions, ["month_end"]);
    let month_end = "select month_end('2026-03-14T12:00:00Z') = '2026-04-01T00:00:00Z'";
    assert!(owner.query_one(month_end, &[]).await.unwrap().get::<_, bool>(0));
}

/// Until a deployment is complete, the previous release's functions are still called.
#[tokio::test]
async fn a_function_with_another_signature_is_callable_beside_the_current_one() {
    let servers = PrivateServers::start().await.unwrap();
    let url = servers.owner_url();
    run(&url).await.unwrap();
    let owner = connect(&url).await;
    let earlier = "create function finish_turn(answer text, outcome text) returns text
                     language sql return answer || ' ' || outcome;
                   update sql_functions set hash = 'of the release before' where name = 'finish_turn'";
    owner.batch_execute(earlier).await.unwrap();
    assert_eq!(run(&url).await.unwrap().functions, ["finish_turn"]);
    owner.batch_execute("set role app_user").await.unwrap();
    for (call, result) in [
        ("finish_turn('answer-01', 'complete')", "answer-01 complete"),
        (
            "finish_turn('01890000-0000-7000-8000-000000000000', 'answer-01', now(), '{}')",
            "unknown",
        ),
    ] {
        let row = owner.query_one(&format!("select {call}"), &[]).await.unwrap();
        assert_eq!(row.get::<_, String>(0), result);
    }
}

/// Backward compatibility: the functions that the current release and the previous one call. A changed signature is a
/// second line here; a migration drops the first one release later.
#[tokio::test]
async fn a_signature_changes_only_through_a_release_that_has_both() {
    let servers = PrivateServers::start().await.unwrap();
    let url = servers.owner_url();
    run(&url).await.unwrap();
    let signatures =
        "select string_agg(oid::regprocedure::text, E'\n' order by oid::regprocedure::text)
                        from pg_proc where pronamespace = 'public'::regnamespace";
    let signatures: String = connect(&url).await.query_one(signatures, &[]).await.unwrap().get(0);
    assert_eq!(
        signatures.lines().collect::<Vec<_>>(),
        [
            "add_byok_spending(uuid,timestamp with time zone,bigint)",
            "add_data_key(uuid,text,bytea,timestamp with time zone)",
            "attach_files(uuid,jsonb)",
            "backfill_turn_usage(uuid,text,jsonb,text)",
            "backfill_usage(uuid,text,jsonb)",
            "begin_turn(uuid,uuid,timestamp with time zone,timestamp with time zone,jsonb)",
            "create_order(uuid,timestamp with time zone,jsonb)",
            "current_allowances(uuid,timestamp with time zone,integer)",
            "current_login_email()",
            "current_period(uuid,timestamp with time zone)",
            "current_user_id()",
            "delete_upload(uuid,uuid,timestamp with time zone)",
            "deny_for_credits(uuid,timestamp with time zone,text,integer,jsonb)",
            "deny_payment(text,jsonb)",
            "end_turn(uuid,text,timestamp with time zone,text,jsonb,text)",
            "enter_session(uuid,uuid,timestamp with time zone,timestamp with time zone)",
            "finish_turn(uuid,text,timestamp with time zone,jsonb)",
            "forget_phone()",
            "free_idempotency_key(uuid,text)",
            "free_upload(uuid,uuid,timestamp with time zone,timestamp with time zone,text)",
            "fulfil_order(uuid,timestamp with time zone,jsonb)",
            "keep_longer_parts()",
            "link_files(uuid,text,jsonb)",
            "month_end(timestamp with time zone)",
            "pay_for_turn(uuid,timestamp with time zone,jsonb,record,text,integer)",
            "predict_turn(uuid,uuid,timestamp with time zone,timestamp with time zone,jsonb)",
            "queue_turns(uuid)",
            "rehearse_turn()",
            "reserve_credits(uuid,text,timestamp with time zone,timestamp with time zone,integer,integer,timestamp with time zone)",
            "reserve_upload(uuid,timestamp with time zone,jsonb)",
            "restore_turn(uuid,timestamp with time zone,jsonb,jsonb)",
            "schedule_removal()",
            "sign_in(text,uuid,uuid,text,timestamp with time zone,timestamp with time zone)",
            "spent_by_byok(uuid,timestamp with time zone)",
            "store_turn(uuid,timestamp with time zone,jsonb,text,integer,text,timestamp with time zone)",
            "turn_context(uuid,text,text,integer)",
            "turn_inputs(uuid,uuid,timestamp with time zone,timestamp with time zone,text,text,text)",
            "valid_session(uuid,timestamp with time zone,timestamp with time zone)",
            "withdraw_turn(uuid,timestamp with time zone,text,jsonb)",
            "without_file(jsonb,uuid)",
        ]
    );
}

#[tokio::test]
async fn an_edited_migration_is_refused() {
    let servers = PrivateServers::start().await.unwrap();
    let url = servers.owner_url();
    run(&url).await.unwrap();
    let edited = "update refinery_schema_history set checksum = '1' where version = 1";
    connect(&url).await.batch_execute(edited).await.unwrap();
    let refused = run(&url).await.unwrap_err();
    assert!(
        matches!(&refused, MigrateError::Diverged(name) if name == "V1__identity"),
        "{refused}"
    );
}

/// The statements of a section of `docs/operations.md`.
fn statements(section: &str) -> Vec<String> {
    let page = repository_file("docs/operations.md");
    let (_, from) = page.split_once(&format!("\n## {section}\n")).unwrap();
    let section = from.split("\n## ").next().unwrap();
    let blocks = section.split("```sql\n").skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_documented_statement_gives_one_user_a_plan_after_the_last_period() {
    let [grant] = <[String; 1]>::try_from(statements("Selling plans")).unwrap();
    let servers = PrivateServers::start().await.unwrap();
    let url = as_on_rds(&servers).await;
    run(&url).await.unwrap();
    let operator = connect(&url).await;
    for email in ["ada@example.com", "eve@example.com"] {
        let log_in = format!(
            "begin; select set_config('app.login_email', '{email}', true);
             insert into users values (gen_random_uuid(), '{email}', null, now()); commit"
        );
        operator.batch_execute(&log_in).await.unwrap();
    }
    let superuser = connect(&url.replace("app_admin@", "postgres@")).await;
    let plans = async || {
        let sql = "select string_agg(concat_ws(' ', email, e.plan, e.credits, (ends_at - now())::text), ',' order by ends_at)
                     from users u join entitlements e on e.user_id = u.id";
        superuser.query_one(sql, &[]).await.unwrap().get::<_, Option<String>>(0).unwrap()
    };
    operator.batch_execute(&grant).await.unwrap();
    let once = plans().await;
    assert!(once.starts_with("ada@example.com premium 250 29 days"), "{once}");
    operator.batch_execute(&grant).await.unwrap();
    let twice = plans().await;
    assert!(twice.contains(",ada@example.com premium 250 59 days"), "{twice}");
    // An unknown user is an error.
    let unknown = grant.replace("ada@", "unknown@");
    assert!(operator.batch_execute(&unknown).await.is_err());
}

#[tokio::test]
async fn the_documented_statement_deletes_keys_whose_master_key_is_lost() {
    let [delete] = <[String; 1]>::try_from(statements("Changing secrets")).unwrap();
    let servers = PrivateServers::start().await.unwrap();
    let url = as_on_rds(&servers).await;
    run(&url).await.unwrap();
    let superuser = connect(&url.replace("app_admin@", "postgres@")).await;
    let a_key = "insert into users values (gen_random_uuid(), 'ada@example.com', null, now());
                 insert into data_keys values (gen_random_uuid(), 'lost', '', now());
                 insert into provider_keys (user_id, data_key, nonce, ciphertext, masked, policy, usage_nano_usd, checked_at)
                 select u.id, d.id, 'twelve bytes', '', 'sk-or-...abcd', 'always', 0, now() from users u, data_keys d";
    superuser.batch_execute(a_key).await.unwrap();
    let count = async || {
        let count =
            "select (select count(*) from provider_keys) + (select count(*) from data_keys)";
        superuser.query_one(count, &[]).await.unwrap().get::<_, i64>(0)
    };
    assert_eq!(count().await, 2);
    connect(&url).await.batch_execute(&delete).await.unwrap();
    assert_eq!(count().await, 0);
}
