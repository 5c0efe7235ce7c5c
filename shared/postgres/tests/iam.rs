//! IAM authentication: a token instead of a password.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

use local_stack::PrivateServers;
use secrecy::ExposeSecret;
use shared_aws::Aws;
use shared_core::env::Env;
use shared_postgres::{Database, DatabaseConfig, Destructive, migrate};
use testkit::MovableClock;
use tokio_postgres::{Client, NoTls};

#[expect(clippy::disallowed_methods, reason = "the connection's task ends with the test")]
async fn superuser(servers: &PrivateServers) -> Client {
    let (client, connection) = tokio_postgres::connect(&servers.owner_url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Makes the server ask the app's role for a password in clear text, as RDS asks for a token.
async fn asks_for_passwords(servers: &PrivateServers) {
    let owner = superuser(servers).await;
    let file: String = owner.query_one("show hba_file", &[]).await.unwrap().get(0);
    let access = "host all app_user 127.0.0.1/32 password\nhost all all 127.0.0.1/32 trust";
    std::fs::write(file, access).unwrap();
    owner.batch_execute("select pg_reload_conf()").await.unwrap();
}

/// Makes the server accept `token`, as RDS would at the clock's time.
async fn accepts(servers: &PrivateServers, token: &str) {
    let password = format!("alter role app_user password '{token}'");
    superuser(servers).await.batch_execute(&password).await.unwrap();
}

#[tokio::test]
async fn each_connection_signs_a_token_of_its_own() {
    let servers = PrivateServers::start().await.unwrap();
    migrate(&DatabaseConfig::at(&servers.owner_url()), Destructive::Refused).await.unwrap();
    asks_for_passwords(&servers).await;
    let variables = |name: &str| match name {
        "DATABASE_URL" => Some(servers.app_url()),
        "DATABASE_AUTH" => Some("iam".to_owned()),
        "AWS_REGION" => Some("ap-south-1".to_owned()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
        _ => None,
    };
    let env = Env::new(variables);
    let clock = MovableClock::new();
    let database = Database::new(&DatabaseConfig::from_env(&env).unwrap(), clock.clock()).unwrap();
    assert!(database.ping().await.is_err(), "the role has no such password");

    let aws = Aws::from_env(&env).unwrap();
    let port = servers.app_url().rsplit_once(':').unwrap().1.split_once('/').unwrap().0.parse();
    let port = port.unwrap();
    let token = || aws.database_token("127.0.0.1", port, "app_user", clock.clock().now()).unwrap();
    accepts(&servers, token().expose_secret()).await;
    database.ping().await.unwrap();

    // An open connection stays; a new one, twenty minutes later, needs a new token.
    clock.advance(std::time::Duration::from_mins(20));
    let ended = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'app_user'";
    superuser(&servers).await.batch_execute(ended).await.unwrap();
    assert!(database.ping().await.is_err(), "the server still accepts the old token only");
    accepts(&servers, token().expose_secret()).await;
    database.ping().await.unwrap();
}
