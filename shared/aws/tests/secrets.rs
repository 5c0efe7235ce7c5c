//! Secrets, fetched by the real SDK from a server on loopback.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::time::Duration;

use fake_aws::{FakeAws, Trouble};
use secrecy::ExposeSecret;
use shared_aws::{Aws, Secrets, SecretsError, references};
use shared_core::env::Env;
use tokio::time::Instant;

fn account(fake: &FakeAws) -> Aws {
    let variables = fake.variables();
    let found = |name: &str| variables.iter().find(|(key, _)| *key == name);
    Aws::from_env(&Env::new(|name| found(name).map(|(_, value)| value.clone()))).unwrap()
}

/// The secrets of a process with these variables.
async fn fetch(fake: &FakeAws, variables: &[(&str, &str)]) -> Result<Secrets, SecretsError> {
    let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    Secrets::fetch(&account(fake), &references(variables).unwrap()).await
}

async fn complaint(fake: &FakeAws, variable: &str, value: &str) -> String {
    fetch(fake, &[(variable, value)]).await.unwrap_err().to_string()
}

fn value<'a>(secrets: &'a Secrets, variable: &str) -> &'a str {
    secrets.get(variable).unwrap().expose_secret()
}

#[tokio::test]
async fn all_variables_are_resolved_in_one_call() {
    let fake = FakeAws::start().await.unwrap();
    let keys = fake.put_secret("chat/session-keys", "k1:abc");
    let owner =
        fake.put_secret("rds!db-1", r#"{"username":"owner","password":"pa ss","port":5432}"#);
    fake.put_secret("chat/pepper", "pepper");
    let partial = keys.strip_suffix("-AbCdEf").unwrap();
    let secrets = fetch(
        &fake,
        &[
            ("APP_ORIGIN", "https://chat.example.com"),
            ("BY_NAME", "secret:chat/pepper"),
            ("BY_ARN", &format!("secret:{keys}")),
            ("BY_PARTIAL_ARN", &format!("secret:{partial}")),
            ("WHOLE", &format!("secret:{owner}")),
            ("FIELD", &format!("secret:{owner}#password")),
            ("NUMBER", "secret:rds!db-1#port"),
        ],
    )
    .await
    .unwrap();
    assert_eq!(value(&secrets, "BY_NAME"), "pepper");
    assert_eq!(value(&secrets, "BY_ARN"), "k1:abc");
    assert_eq!(value(&secrets, "BY_PARTIAL_ARN"), "k1:abc");
    assert!(value(&secrets, "WHOLE").starts_with(r#"{"username""#));
    assert_eq!(value(&secrets, "FIELD"), "pa ss");
    assert_eq!(value(&secrets, "NUMBER"), "5432");
    assert!(secrets.get("APP_ORIGIN").is_none());

    let calls = fake.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!((&*calls[0].operation, &*calls[0].region), ("BatchGetSecretValue", "ap-south-1"));
    // Each secret once, though two variables refer to one of them.
    assert_eq!(calls[0].parameters["SecretIdList"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn without_a_reference_there_is_no_call() {
    let fake = FakeAws::start().await.unwrap();
    fetch(&fake, &[("APP_ORIGIN", "https://chat.example.com")]).await.unwrap();
    assert_eq!(fake.calls(), []);
}

#[tokio::test]
async fn more_secrets_than_one_call_holds_are_fetched_by_several() {
    let fake = FakeAws::start().await.unwrap();
    let variables: Vec<(String, String)> = (0..41)
        .map(|number| {
            fake.put_secret(&format!("secret-{number}"), &format!("value {number}"));
            (format!("VARIABLE_{number}"), format!("secret:secret-{number}"))
        })
        .collect();
    let borrowed: Vec<_> = variables.iter().map(|(name, value)| (&**name, &**value)).collect();
    let secrets = fetch(&fake, &borrowed).await.unwrap();
    for number in 0..41 {
        assert_eq!(value(&secrets, &format!("VARIABLE_{number}")), format!("value {number}"));
    }
    assert_eq!(fake.calls().len(), 3);
}

#[tokio::test]
async fn a_name_that_looks_like_the_start_of_another_is_not_mistaken_for_it() {
    let fake = FakeAws::start().await.unwrap();
    fake.put_secret("key", "right");
    fake.put_secret("key-AbCdEf", "wrong");
    let secrets = fetch(&fake, &[("A", "secret:key-AbCdEf"), ("B", "secret:key")]).await.unwrap();
    assert_eq!((value(&secrets, "A"), value(&secrets, "B")), ("wrong", "right"));
}

#[tokio::test]
async fn an_unresolved_secret_is_reported_with_its_variable() {
    let fake = FakeAws::start().await.unwrap();
    fake.put_forbidden_secret("forbidden");
    fake.put_secret("text", "hunter2");
    fake.put_secret("json", r#"{"password":"hunter2","list":["hunter2"]}"#);
    fake.put_binary_secret("bytes", b"hunter2");
    for (reference, problem) in [
        ("missing", "the secret missing, which does not exist"),
        ("forbidden", "the secret forbidden, which the function may not read"),
        ("text#password", "the secret text, which holds no JSON object"),
        ("json#user", "the secret json, which has no field \"user\""),
        ("json#list", "the secret json, whose field \"list\" is no text"),
        ("bytes", "the secret bytes, which holds bytes"),
    ] {
        let error = complaint(&fake, "LOGIN_PEPPER", &format!("secret:{reference}")).await;
        assert!(error.starts_with(&format!("LOGIN_PEPPER refers to {problem}")), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn one_unresolved_secret_is_an_error_beside_resolved_ones() {
    let fake = FakeAws::start().await.unwrap();
    fake.put_secret("there", "hunter2");
    let error = fetch(&fake, &[("A", "secret:there"), ("B", "secret:gone")]).await.unwrap_err();
    assert_eq!(error.to_string(), "B refers to the secret gone, which does not exist");
}

#[tokio::test]
async fn a_denied_call_names_the_permission_that_is_missing() {
    let fake = FakeAws::start().await.unwrap();
    fake.script(1, &Trouble::Denied);
    let error = fetch(&fake, &[("A", "secret:a"), ("B", "secret:b#c")]).await.unwrap_err();
    let error = error.to_string();
    assert!(error.contains("AccessDeniedException") && error.contains("A, B"), "{error}");
    assert!(error.contains("secretsmanager:BatchGetSecretValue"), "{error}");
    assert_eq!(fake.calls().len(), 1);
}

#[tokio::test]
async fn throttled_and_failed_calls_are_retried_twice_at_most() {
    let fake = FakeAws::start().await.unwrap();
    fake.put_secret("a", "value");
    fake.script(1, &Trouble::Throttled);
    fake.script(1, &Trouble::Broken);
    let secrets = fetch(&fake, &[("A", "secret:a")]).await.unwrap();
    assert_eq!(value(&secrets, "A"), "value");
    assert_eq!(fake.calls().len(), 3);

    fake.script(9, &Trouble::Broken);
    let error = complaint(&fake, "A", "secret:a").await;
    assert!(error.contains("InternalServiceError, status 500"), "{error}");
    assert_eq!(fake.calls().len(), 6);
}

// The clock is paused: the wait is virtual, and a busy machine adds nothing to it.
#[tokio::test(start_paused = true)]
async fn a_timeout_comes_within_six_seconds() {
    let fake = FakeAws::start().await.unwrap();
    fake.script(9, &Trouble::Slow(Duration::from_mins(1)));
    let began = Instant::now();
    let error = complaint(&fake, "A", "secret:a").await;
    assert!(error.contains("Secrets Manager: no answer in time"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_unreadable_response_is_redacted() {
    for (status, body) in [(200, r#"{"SecretValues":[{"SecretString":"hunter2"#), (400, "hunter2")]
    {
        let fake = FakeAws::start().await.unwrap();
        fake.script(9, &Trouble::Answer { status, body: body.to_owned() });
        let error = fetch(&fake, &[("A", "secret:a")]).await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.contains(&format!("status {status}")), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_reported() {
    let fake = FakeAws::start().await.unwrap();
    let aws = account(&fake);
    drop(fake);
    tokio::task::yield_now().await;
    let references = references([("A".into(), "secret:a".into())]).unwrap();
    let error = Secrets::fetch(&aws, &references).await.unwrap_err().to_string();
    assert!(error.contains("cannot be reached: connection refused"), "{error}");
}

#[tokio::test]
async fn debug_output_redacts_secrets() {
    let fake = FakeAws::start().await.unwrap();
    fake.put_secret("pepper", "hunter2");
    let secrets = fetch(&fake, &[("LOGIN_PEPPER", "secret:pepper")]).await.unwrap();
    assert_eq!(format!("{secrets:?}"), r#"{"LOGIN_PEPPER"}"#);
}
