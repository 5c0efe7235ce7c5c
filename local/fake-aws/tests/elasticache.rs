//! `ElastiCache`'s API, driven by AWS's SDK.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::io::{Read, Write};
use std::net::TcpStream;

use aws_sdk_elasticache::config::Region;
use aws_sdk_elasticache::error::ProvideErrorMetadata;
use aws_sdk_elasticache::operation::describe_serverless_caches::DescribeServerlessCachesOutput;
use aws_sdk_elasticache::{Client, Config};
use fake_aws::{FakeAws, Trouble};
use shared_aws::{Aws, AwsError};
use shared_core::env::Env;

fn account(fake: &FakeAws) -> Aws {
    let variables = fake.variables();
    let found = |name: &str| variables.iter().find(|(key, _)| *key == name);
    let env = Env::new(|name| found(name).map(|(_, value)| value.clone()));
    Aws::from_env(&env).unwrap()
}

fn client(fake: &FakeAws) -> Client {
    Client::new(account(fake).sdk_config())
}

async fn describe(client: &Client, name: &str) -> Result<DescribeServerlessCachesOutput, AwsError> {
    let asked = client.describe_serverless_caches().serverless_cache_name(name);
    asked.send().await.map_err(|error| AwsError::new("ElastiCache", &error))
}

#[tokio::test]
async fn a_cache_is_described() {
    let fake = FakeAws::start().await.unwrap();
    fake.put_cache("other", "deleting", ("other.example.com", 6379));
    fake.put_cache("chat", "available", ("chat.example.com", 6379));
    let found = describe(&client(&fake), "chat").await.unwrap();
    let [cache] = found.serverless_caches() else { panic!("{found:?}") };
    assert_eq!((cache.serverless_cache_name(), cache.status()), (Some("chat"), Some("available")));
    let endpoint = cache.endpoint().unwrap();
    assert_eq!((endpoint.address(), endpoint.port()), (Some("chat.example.com"), Some(6379)));
    let arn = "arn:aws:elasticache:ap-south-1:111122223333:serverlesscache:chat";
    assert_eq!(cache.arn(), Some(arn));

    let [call] = &fake.calls()[..] else { panic!("{:?}", fake.calls()) };
    assert_eq!((&*call.operation, &*call.region), ("DescribeServerlessCaches", "ap-south-1"));
    assert_eq!(call.parameters["ServerlessCacheName"], "chat");
}

#[tokio::test]
async fn without_a_name_all_caches_are_described() {
    let fake = FakeAws::start().await.unwrap();
    fake.put_cache("a", "available", ("a.example.com", 6379));
    fake.put_cache("b", "creating", ("b.example.com", 6379));
    let found = client(&fake).describe_serverless_caches().send().await.unwrap();
    let names: Vec<_> = found.serverless_caches().iter().map(|cache| cache.status()).collect();
    assert_eq!(names, [Some("available"), Some("creating")]);
}

#[tokio::test]
async fn an_unknown_cache_is_the_sdks_own_error() {
    let fake = FakeAws::start().await.unwrap();
    let asked = client(&fake).describe_serverless_caches().serverless_cache_name("gone");
    let error = asked.send().await.unwrap_err().into_service_error();
    assert!(error.is_serverless_cache_not_found_fault(), "{error:?}");
    assert_eq!(error.message(), Some("Serverless Cache gone not found."));
    assert_eq!(fake.calls().len(), 1);
}

#[tokio::test]
async fn a_denied_call_is_not_retried_but_throttled_and_failed_ones_are() {
    let fake = FakeAws::start().await.unwrap();
    fake.put_cache("chat", "available", ("chat.example.com", 6379));
    let client = client(&fake);
    fake.script(1, &Trouble::Denied);
    assert_eq!(describe(&client, "chat").await.unwrap_err().code(), Some("AccessDenied"));
    assert_eq!(fake.calls().len(), 1);
    for trouble in [Trouble::Throttled, Trouble::Broken] {
        fake.script(1, &trouble);
        describe(&client, "chat").await.unwrap();
    }
    assert_eq!(fake.calls().len(), 5);
    fake.script(3, &Trouble::Throttled);
    assert_eq!(describe(&client, "chat").await.unwrap_err().code(), Some("Throttling"));
}

#[tokio::test]
async fn an_unsigned_request_is_refused() {
    let fake = FakeAws::start().await.unwrap();
    fake.put_cache("chat", "available", ("chat.example.com", 6379));
    let unsigned = Config::builder()
        .region(Region::new("ap-south-1"))
        .endpoint_url(fake.url())
        .http_client(account(&fake).sdk_config().http_client().unwrap())
        .allow_no_auth()
        .build();
    let refusal = describe(&Client::from_conf(unsigned), "chat").await.unwrap_err();
    assert_eq!(refusal.code(), Some("MissingAuthenticationToken"));
    assert_eq!(fake.calls()[0].region, "");
}

/// Sends a raw request, for what the SDK cannot be made to send.
fn send(address: &str, authorization: &str) -> String {
    let body = "Action=DescribeServerlessCaches";
    let head = format!("POST / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    let signed = format!("x-amz-date: 20261122T123456Z\r\nauthorization: {authorization}\r\n");
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{head}{signed}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test]
async fn a_signature_for_another_service_or_in_another_form_is_refused() {
    let fake = FakeAws::start().await.unwrap();
    let address = fake.url().strip_prefix("http://").unwrap().to_owned();
    let signed = |date: &str, service: &str, signature: &str| {
        format!(
            "AWS4-HMAC-SHA256 Credential=AKID/{date}/ap-south-1/{service}/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature={signature}"
        )
    };
    let signature = "0".repeat(64);
    for (authorization, outcome) in [
        (signed("20261122", "elasticache", &signature), "200 OK"),
        (signed("20261122", "rds", &signature), "SignatureDoesNotMatch"),
        (signed("20261121", "elasticache", &signature), "MissingAuthenticationToken"),
        (signed("20261122", "elasticache", "0"), "MissingAuthenticationToken"),
        ("Bearer 0".to_owned(), "MissingAuthenticationToken"),
    ] {
        let (address, sent) = (address.clone(), authorization.clone());
        let answer = tokio::task::spawn_blocking(move || send(&address, &sent)).await.unwrap();
        assert!(answer.contains(outcome), "{authorization}: {answer}");
    }
}
