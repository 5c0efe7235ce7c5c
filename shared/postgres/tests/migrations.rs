//! Migrating: by whom, how often, and what is refused.

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

/// How RDS's first user finds things: it owns the database and may make roles, and is no superuser.
/// And there is a role whose members log in with a token.
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
    assert_eq!(migrated.applied.first().unwrap(), "V1__accounts_and_chats");
    assert_eq!(migrated.applied.last(), migrated.version.as_ref());

    let members = "select string_agg(rolname, ' ' order by rolname) from pg_roles
                    where rolname <> 'app_admin' and pg_has_role(oid, 'rds_iam', 'member') and not rolsuper";
    let owner = connect(&url).await;
    let members: String = owner.query_one(members, &[]).await.unwrap().get(0);
    assert_eq!(members, "app_job app_user rds_iam");

    // The first plans are made before there is anything in the tables, and connections keep them.
    let plan = "explain select parts from messages where id = 'q2dXzYk3vN8aLm0P'";
    let plan: String = owner.query(plan, &[]).await.unwrap()[0].get(0);
    assert!(plan.starts_with("Index Scan"), "{plan}");
}

#[tokio::test]
async fn two_at_once_and_another_later_apply_everything_once() {
    let servers = PrivateServers::start().await.unwrap();
    let url = as_on_rds(&servers).await;
    let (one, other) = tokio::join!(run(&url), run(&url));
    let (one, other) = (one.unwrap(), other.unwrap());
    assert!(one.applied.is_empty() != other.applied.is_empty(), "{one:?} {other:?}");
    assert_eq!(one.version, other.version);
    let later = run(&url).await.unwrap();
    assert_eq!(later, Migrated { applied: vec![], version: one.version });
}

#[tokio::test]
async fn a_program_that_was_rolled_back_leaves_the_newer_schema_alone() {
    let servers = PrivateServers::start().await.unwrap();
    let url = servers.owner_url();
    run(&url).await.unwrap();
    let owner = connect(&url).await;
    owner
        .batch_execute(
            "insert into refinery_schema_history (version, name, applied_on, checksum)
             values (9999, 'of_the_next_release', '2025-11-22T00:00:00Z', '1')",
        )
        .await
        .unwrap();
    let migrated = run(&url).await.unwrap();
    assert_eq!(migrated.applied, Vec::<String>::new());
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

/// Each is one transaction, and holds what it has until its end. A turn that ends goes from the one table to
/// the other.
#[tokio::test]
async fn none_holds_up_messages_and_turns_at_once() {
    let servers = PrivateServers::start().await.unwrap();
    let owner = connect(&servers.owner_url()).await;
    let held_up = "
        select coalesce(string_agg(distinct relation::regclass::text, ' '), '')
          from pg_locks
         where pid = pg_backend_pid()
           and relation in (select oid from pg_class where relname in ('messages', 'turns'))
           and mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')";
    let mut fifth_and_sixth = Vec::new();
    for (version, sql) in migrations() {
        owner.batch_execute(&format!("begin; {sql}")).await.unwrap();
        let held_up: String = owner.query_one(held_up, &[]).await.unwrap().get(0);
        owner.batch_execute("commit").await.unwrap();
        // The third makes `turns`, which nobody used before.
        assert!(version == 3 || !held_up.contains(' '), "V{version}: {held_up}");
        if (5..=6).contains(&version) {
            fifth_and_sixth.push(held_up);
        }
    }
    assert_eq!(fifth_and_sixth, ["turns", "messages"]);
}

#[tokio::test]
async fn an_edited_migration_is_refused() {
    let servers = PrivateServers::start().await.unwrap();
    let url = servers.owner_url();
    run(&url).await.unwrap();
    let edited = "update refinery_schema_history set checksum = '1' where version = 1";
    connect(&url).await.batch_execute(edited).await.unwrap();
    assert!(matches!(run(&url).await, Err(MigrateError::Run(_))));
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
async fn the_operators_statements_give_one_person_a_plan_and_take_it_back() {
    let [give, take] = <[String; 2]>::try_from(statements("Models and plans")).unwrap();
    let (who, insert) = give.split_once("insert into").unwrap();
    assert!(insert.trim_end().ends_with("commit;"), "{insert}");
    let take = format!("{who}{take}commit;");

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
        let sql = "select string_agg(concat_ws(' ', email, plan, credits), ',')
                     from users u, current_period(u.id, now())";
        superuser.query_one(sql, &[]).await.unwrap().get::<_, Option<String>>(0)
    };
    operator.batch_execute(&give).await.unwrap();
    assert_eq!(plans().await.as_deref(), Some("ada@example.com premium 250"));
    operator.batch_execute(&give.replace("ada@", "eve@")).await.unwrap();
    operator.batch_execute(&take).await.unwrap();
    assert_eq!(plans().await.as_deref(), Some("eve@example.com premium 250"));
    // Who does not exist is given nothing.
    let nobody = give.replace("ada@", "nobody@");
    assert!(operator.batch_execute(&nobody).await.is_err());
}

#[tokio::test]
async fn the_operators_statement_forgets_keys_that_nobody_can_read() {
    let [forget] = <[String; 1]>::try_from(statements("Changing secrets")).unwrap();
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
    connect(&url).await.batch_execute(&forget).await.unwrap();
    assert_eq!(count().await, 0);
}
