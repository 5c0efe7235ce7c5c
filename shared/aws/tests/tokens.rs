//! Compares tokens with those of AWS's own signer for Python: botocore 1.44.5 at a fixed time,
//! `generate_db_auth_token` for the database and its `SigV4QueryAuth` for the cache.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use shared_aws::{Aws, TOKEN_LIFETIME, TokenError};
use shared_core::env::Env;

const HOST: &str = "chat.abc123.ap-south-1.rds.amazonaws.com";
const SESSION_TOKEN: &str = "IQoJb3JpZ2luX2VjEKL//////////wEaCmFwLXNvdXRoLTE+abc/def==";
const NOW: &str = "2026-11-22T12:34:56Z";

fn aws(session_token: &str) -> Aws {
    let variable = |name: &str| match name {
        "AWS_REGION" => Some("ap-south-1"),
        "AWS_ACCESS_KEY_ID" => Some("AKIDEXAMPLE"),
        "AWS_SECRET_ACCESS_KEY" => Some("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
        "AWS_SESSION_TOKEN" => Some(session_token),
        _ => None,
    };
    Aws::from_env(&Env::new(|name| variable(name).map(str::to_owned))).unwrap()
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// The parts that `&` joins: the signature does not depend on their order.
fn parts(token: &str) -> BTreeSet<&str> {
    token.split('&').collect()
}

fn parameters(token: &SecretString) -> BTreeMap<String, String> {
    let (_, query) = token.expose_secret().split_once('?').unwrap();
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn the_database_token_equals_botocores() {
    let token = aws(SESSION_TOKEN).database_token(HOST, 5432, "app_user", now()).unwrap();
    let expected = "chat.abc123.ap-south-1.rds.amazonaws.com:5432/?Action=connect&DBUser=app_user\
        &X-Amz-Algorithm=AWS4-HMAC-SHA256\
        &X-Amz-Credential=AKIDEXAMPLE%2F20261122%2Fap-south-1%2Frds-db%2Faws4_request\
        &X-Amz-Date=20261122T123456Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host\
        &X-Amz-Security-Token=IQoJb3JpZ2luX2VjEKL%2F%2F%2F%2F%2F%2F%2F%2F%2F%2FwEaCmFwLXNvdXRoLTE%2Babc%2Fdef%3D%3D\
        &X-Amz-Signature=5ed1b24d7f951d2fecf3c0e7b065499925c1ac6983f3aa427118babd315da276";
    assert_eq!(parts(token.expose_secret()), parts(expected));
}

#[test]
fn the_cache_token_equals_botocores() {
    let token = aws(SESSION_TOKEN).cache_token("chat-cache", "chat-app", now()).unwrap();
    let expected = "chat-cache/?Action=connect&User=chat-app&ResourceType=ServerlessCache\
        &X-Amz-Algorithm=AWS4-HMAC-SHA256\
        &X-Amz-Credential=AKIDEXAMPLE%2F20261122%2Fap-south-1%2Felasticache%2Faws4_request\
        &X-Amz-Date=20261122T123456Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host\
        &X-Amz-Security-Token=IQoJb3JpZ2luX2VjEKL%2F%2F%2F%2F%2F%2F%2F%2F%2F%2FwEaCmFwLXNvdXRoLTE%2Babc%2Fdef%3D%3D\
        &X-Amz-Signature=0e2efca82b86971a0634d0aa10dfe6689a8d84f3e3c91a0042d830d5ef4a4df5";
    assert_eq!(parts(token.expose_secret()), parts(expected));
}

#[test]
fn without_a_session_token_none_is_sent() {
    let token = aws("").cache_token("chat-cache", "chat-app", now()).unwrap();
    let parameters = parameters(&token);
    assert!(!parameters.contains_key("X-Amz-Security-Token"));
    let expected = "494d4a116fd63126356f6e093e0274235e32f175c243e6be9be836ee3465c0c3";
    assert_eq!(parameters["X-Amz-Signature"], expected);
}

#[test]
fn a_users_name_is_escaped() {
    let token = aws("").database_token(HOST, 5432, "a b&c=d+é/~", now()).unwrap();
    let parameters = parameters(&token);
    assert_eq!(parameters["DBUser"], "a%20b%26c%3Dd%2B%C3%A9%2F~");
    let expected = "fd1ee61ba4ce330a628ea8db1d5d6017233a49c0aa67c51dcc95b58babcd269b";
    assert_eq!(parameters["X-Amz-Signature"], expected);
}

#[test]
fn a_token_says_when_it_was_made_and_expires_after_its_lifetime() {
    let later = now() + jiff::SignedDuration::from_secs(1);
    let [early, late] = [now(), later].map(|now| aws("").cache_token("chat-cache", "a", now));
    let [early, late] = [early, late].map(|token| parameters(&token.unwrap()));
    assert_eq!(early["X-Amz-Date"], "20261122T123456Z");
    assert_eq!(late["X-Amz-Date"], "20261122T123457Z");
    assert_ne!(early["X-Amz-Signature"], late["X-Amz-Signature"]);
    assert_eq!(early["X-Amz-Expires"], TOKEN_LIFETIME.as_secs().to_string());
}

#[test]
fn an_invalid_host_is_an_error() {
    let token: Result<SecretString, TokenError> =
        aws("").database_token("not a host", 5432, "app_user", now());
    assert_eq!(token.unwrap_err().to_string(), "an IAM token cannot be signed");
}
