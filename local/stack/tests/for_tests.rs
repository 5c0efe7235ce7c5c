//! The databases, caches and servers that tests use.
#![expect(clippy::unwrap_used, reason = "helpers of tests: unwrapping is how they fail")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use local_stack::{PrivateServers, TestCache, TestDatabase};
use shared_postgres::{DatabaseConfig, Destructive, migrate};
use tokio_postgres::{Error, NoTls, SimpleQueryMessage};

async fn query(url: &str, statement: &str) -> Result<Option<String>, Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let answer = async {
        let answer = client.simple_query(statement).await;
        drop(client);
        answer
    };
    let (answer, _) = tokio::join!(answer, connection);
    Ok(answer?.iter().find_map(|message| {
        if let SimpleQueryMessage::Row(row) = message {
            row.get(0).map(str::to_owned)
        } else {
            None
        }
    }))
}

/// Sends one command in Valkey's inline form, and returns the last line of the response.
fn ask(url: &str, command: &str) -> String {
    let stream = TcpStream::connect(url.trim_start_matches("redis://")).unwrap();
    (&stream).write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).unwrap();
    let lines: Vec<String> = BufReader::new(stream).lines().map(Result::unwrap).collect();
    lines[lines.len() - 2].clone()
}

#[tokio::test]
async fn two_test_databases_do_not_see_each_other() {
    let (one, other) = (TestDatabase::create().await, TestDatabase::create().await);
    query(&one.owner_url(), "create table only_here as select 1").await.unwrap();
    assert!(query(&other.owner_url(), "table only_here").await.is_err());
}

#[tokio::test]
async fn a_test_database_is_migrated_and_open_to_the_app() {
    let database = TestDatabase::create().await;
    let role = query(&database.app_url(), "select current_user").await.unwrap();
    assert_eq!(role.as_deref(), Some("app_user"));
    let users = query(&database.owner_url(), "select count(*) from users").await.unwrap();
    assert_eq!(users.as_deref(), Some("0"));
}

#[tokio::test]
async fn a_dropped_test_database_is_gone() {
    let database = TestDatabase::create().await;
    let url = database.owner_url();
    query(&url, "select 1").await.unwrap();
    drop(database);
    assert!(query(&url, "select 1").await.is_err());
}

/// Creates a database, migrates it and drops it, as every test would without a template to copy.
async fn migrate_another(owner_url: &str) {
    // The name holds the process id, so that other processes can tell whether it is still in use.
    let name = format!("test_{}_migrated", std::process::id());
    let (server, _) = owner_url.rsplit_once('/').unwrap();
    query(owner_url, &format!("create database {name}")).await.unwrap();
    let another = DatabaseConfig::at(&format!("{server}/{name}"));
    migrate(&another, Destructive::Refused).await.unwrap();
    query(owner_url, &format!("drop database {name}")).await.unwrap();
}

async fn time(work: impl Future) -> Duration {
    let began = Instant::now();
    work.await;
    began.elapsed()
}

#[tokio::test]
async fn a_test_database_takes_less_than_half_of_a_migration() {
    let first = TestDatabase::create().await;
    let (mut copied, mut migrated) = (Vec::new(), Vec::new());
    for _ in 0..4 {
        copied.push(time(TestDatabase::create()).await);
        migrated.push(time(migrate_another(&first.owner_url())).await);
    }
    // The shortest: other tests load the machine meanwhile.
    let (copy, migration) = (copied.iter().min().unwrap(), migrated.iter().min().unwrap());
    assert!(*copy < *migration / 2, "{copied:?} {migrated:?}");
}

#[tokio::test]
async fn keys_of_two_slots_are_refused_as_in_production() {
    let cache = TestCache::create().await;
    let (url, prefix) = (cache.cache_url(), cache.key_prefix());
    let apart = ask(url, &format!("MGET {prefix}{{a}}x {prefix}{{b}}x"));
    assert!(apart.starts_with("-CROSSSLOT"), "{apart}");
    let together = ask(url, &format!("DEL {prefix}{{a}}x {prefix}{{a}}y"));
    assert_eq!(together, ":0");
    assert_ne!(TestCache::create().await.key_prefix(), prefix);
}

#[tokio::test]
async fn private_servers_can_be_stopped_and_started() {
    let servers = PrivateServers::start().await.unwrap();
    let (owner_url, cache_url) = (servers.owner_url(), servers.cache_url());
    migrate(&DatabaseConfig::at(&owner_url), Destructive::Refused).await.unwrap();
    assert_eq!(ask(&cache_url, "SET kept value"), "+OK");

    servers.postgres().stop().await;
    assert!(query(&servers.app_url(), "select 1").await.is_err());
    servers.postgres().start().await.unwrap();
    assert!(query(&servers.app_url(), "select 1").await.is_ok());

    servers.cache().stop().await;
    assert!(TcpStream::connect(cache_url.trim_start_matches("redis://")).is_err());
    servers.cache().start().await.unwrap();
    assert_eq!(ask(&cache_url, "GET kept"), "value");

    drop(servers);
    assert!(query(&owner_url, "select 1").await.is_err());
}

#[tokio::test]
async fn a_killed_postgres_can_be_started_again() {
    let servers = PrivateServers::start().await.unwrap();
    let url = servers.owner_url();
    query(&url, "create table kept as select 'a row'").await.unwrap();
    let status = query(&url, "select pg_read_file('postmaster.pid')").await.unwrap().unwrap();
    let killed = Command::new("kill").args(["-9", status.lines().next().unwrap()]).status();
    assert!(killed.unwrap().success());
    while query(&url, "select 1").await.is_ok() {}

    servers.postgres().start().await.unwrap();
    assert_eq!(query(&url, "table kept").await.unwrap().as_deref(), Some("a row"));
}
