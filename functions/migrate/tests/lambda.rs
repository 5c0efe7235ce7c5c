//! The built binary on Lambda: CloudFormation's requests, and the responses.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode};
use fake_aws::{FakeAws, Trouble};
use local_stack::PrivateServers;
use serde_json::{Value, json};
use testkit::{Function, Rie, event_json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

const BINARY: &str = env!("CARGO_BIN_EXE_migrate");

/// A fake S3, to which responses to CloudFormation are uploaded.
#[derive(Clone, Default)]
struct Answers(Arc<Mutex<Received>>);

#[derive(Default)]
struct Received {
    /// Failed uploads before S3 takes a response.
    failures: usize,
    answers: Vec<Value>,
}

impl Answers {
    async fn listen(&self, server: &mut JoinSet<()>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url =
            format!("http://{}/answer?X-Amz-Signature=example", listener.local_addr().unwrap());
        let answers = self.clone();
        let put = move |method: Method, headers: HeaderMap, body: Bytes| async move {
            assert_eq!(method, Method::PUT);
            assert_eq!(headers["content-type"], "", "the URL is signed for an empty type");
            let mut received = answers.0.lock().unwrap();
            if received.failures > 0 {
                received.failures -= 1;
                return StatusCode::SERVICE_UNAVAILABLE;
            }
            received.answers.push(serde_json::from_slice(&body).unwrap());
            StatusCode::OK
        };
        let app = Router::new().fallback(put);
        server.spawn(async { axum::serve(listener, app).await.unwrap() });
        url
    }

    fn last(&self) -> Value {
        self.0.lock().unwrap().answers.pop().unwrap()
    }
}

/// An AWS account with an unmigrated database.
struct Account {
    servers: PrivateServers,
    aws: FakeAws,
    answers: Answers,
    url: String,
    _server: JoinSet<()>,
}

impl Account {
    async fn new() -> Self {
        let (answers, mut server) = (Answers::default(), JoinSet::new());
        let url = answers.listen(&mut server).await;
        let servers = PrivateServers::start().await.unwrap();
        let aws = FakeAws::start().await.unwrap();
        aws.put_cache("chat", "available", ("chat.example", 6379));
        aws.put_secret("rds!db-1", r#"{"username":"postgres","password":"any"}"#);
        Self { servers, aws, answers, url, _server: server }
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = self.aws.variables().to_vec();
        let url = self.servers.owner_url().replace("postgres@", "");
        variables.extend([
            ("DATABASE_URL", url),
            ("DATABASE_OWNER", "secret:rds!db-1".to_owned()),
            ("CACHE_NAME", "chat".to_owned()),
        ]);
        variables
    }

    /// An event whose response comes to the fake S3.
    fn event(&self, name: &str) -> String {
        let mut event: Value = serde_json::from_str(&event_json(name)).unwrap();
        event["ResponseURL"] = json!(self.url);
        event.to_string()
    }

    async fn tables(&self) -> i64 {
        let (client, connection) =
            tokio_postgres::connect(&self.servers.owner_url(), tokio_postgres::NoTls)
                .await
                .unwrap();
        let tables = "select count(*) from pg_tables where schemaname = 'public'";
        tokio::select! {
            row = client.query_one(tables, &[]) => row.unwrap().get(0),
            _ = connection => unreachable!("the connection is as long as its client"),
        }
    }
}

#[tokio::test]
async fn a_stack_is_created_updated_and_deleted() {
    let account = Account::new().await;
    let mut rie = Rie::start(BINARY, &account.variables()).await;

    rie.invoke(account.event("migrate-create")).await;
    let answer = account.answers.last();
    assert_eq!(answer["Status"], "SUCCESS", "{answer}");
    let asked: Value = serde_json::from_str(&event_json("migrate-create")).unwrap();
    for field in ["StackId", "RequestId", "LogicalResourceId"] {
        assert_eq!(answer[field], asked[field]);
    }
    assert_eq!(answer["PhysicalResourceId"], "schema");
    assert!(answer["Data"]["applied"].as_u64() >= Some(2), "{answer}");
    assert_eq!(answer["Data"]["cache"], "available at chat.example:6379");
    let tables = account.tables().await;
    assert!(tables > 5, "{tables}");

    rie.invoke(account.event("migrate-update")).await;
    let answer = account.answers.last();
    assert_eq!((&answer["Status"], &answer["Data"]["applied"]), (&json!("SUCCESS"), &json!(0)));
    // The same id as before: a new one would be a new resource, and the old one would be deleted.
    assert_eq!(answer["PhysicalResourceId"], "schema");

    rie.invoke(account.event("migrate-delete")).await;
    assert_eq!(account.answers.last()["Status"], "SUCCESS");
    assert_eq!(account.tables().await, tables, "the users' data stays");
}

#[tokio::test]
async fn an_operator_may_invoke_it_and_gets_the_report() {
    let account = Account::new().await;
    let mut rie = Rie::start(BINARY, &account.variables()).await;
    let report: Value = serde_json::from_slice(&rie.invoke(event_json("migrate")).await).unwrap();
    assert_eq!(report["applied"][0], "V1__identity");
    assert_eq!(report["schemaHash"], shared_postgres::schema_hash());
    let error = rie.invoke(r#"{"AllowDestructive":"perhaps"}"#).await;
    assert!(String::from_utf8_lossy(&error).contains("has to be true or false"), "{error:?}");
}

#[tokio::test]
async fn a_failure_is_reported_to_cloudformation_which_would_wait_an_hour() {
    let account = Account::new().await;
    let mut rie = Rie::start(BINARY, &account.variables()).await;

    account.aws.script(1, &Trouble::Denied);
    account.answers.0.lock().unwrap().failures = 2;
    rie.invoke(account.event("migrate-create")).await;
    let answer = account.answers.last();
    assert_eq!((&answer["Status"], &answer["Data"]), (&json!("FAILED"), &json!(null)));
    let reason = answer["Reason"].as_str().unwrap();
    assert!(reason.contains("DATABASE_OWNER"), "{reason}");
    assert!(rie.log().contains(r#""MigrationFailed":1.0"#), "{}", rie.log());

    let nonsense = account.event("migrate-update").replace("\"false\"", "\"perhaps\"");
    rie.invoke(nonsense).await;
    let reason = account.answers.last()["Reason"].to_string();
    assert!(reason.contains("has to be true or false"), "{reason}");

    account.servers.postgres().stop().await;
    rie.invoke(account.event("migrate-create")).await;
    let reason = account.answers.last()["Reason"].to_string();
    assert!(reason.contains("database"), "{reason}");

    account.servers.postgres().start().await.unwrap();
    rie.invoke(account.event("migrate-create")).await;
    assert_eq!(account.answers.last()["Status"], "SUCCESS", "the retry succeeds");
}

#[tokio::test]
async fn the_template_sets_every_variable_that_the_function_reads() {
    Function::assert_starts_as_deployed(BINARY, "MigrateFunction").await;
}

#[tokio::test]
async fn outside_lambda_the_start_fails_and_names_make_dev() {
    let complaint = Function::start_alone(BINARY, &[]).complaint().await;
    assert!(complaint.contains("make dev"), "{complaint}");
}
