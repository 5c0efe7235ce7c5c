//! Compares the verification of webhooks with that of Cashfree's own SDK (`tests/cashfree-sdk`), on generated bodies.

#![expect(clippy::unwrap_used, reason = "helpers of tests stop where something breaks")]

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::Sha256;
use shared_cashfree::{SIGNATURE_HEADER, TIMESTAMP_HEADER, WebhookSecrets};
use testkit::{NpmProject, output_text};

const CASES: usize = 1_000;

/// A webhook, and our verdict on it.
#[derive(Serialize, Clone, Debug)]
#[serde(rename_all = "camelCase")]
struct Case {
    body: String,
    timestamp: String,
    signature: String,
    secret: String,
    is_accepted: bool,
}

#[derive(Clone, Copy, Debug)]
enum Tampering {
    None,
    Body,
    Reserialised,
    Timestamp,
    Secret,
    Hexadecimal,
    UrlAlphabet,
    LineBreak,
    Separator,
}

#[test]
fn the_sdk_and_this_product_accept_the_same_webhooks() {
    // The same cases in each run.
    let mut runner = TestRunner::deterministic();
    let strategy = cases();
    let cases: Vec<Case> =
        (0..CASES).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect();
    let accepted = cases.iter().filter(|case| case.is_accepted).count();
    assert!((CASES / 4..CASES * 3 / 4).contains(&accepted), "{accepted} accepted");

    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("signed-webhooks.json");
    fs::write(&file, serde_json::to_vec(&cases).unwrap()).unwrap();
    let compared = NpmProject::installed("tests/cashfree-sdk")
        .test([("CASES", file.to_str().unwrap().to_owned())]);
    assert!(compared.status.success(), "{}", output_text(&compared));
}

fn cases() -> impl Strategy<Value = Case> {
    let tampering = prop_oneof![
        4 => Just(Tampering::None),
        1 => Just(Tampering::Body),
        1 => Just(Tampering::Reserialised),
        1 => Just(Tampering::Timestamp),
        1 => Just(Tampering::Secret),
        1 => Just(Tampering::Hexadecimal),
        1 => Just(Tampering::UrlAlphabet),
        1 => Just(Tampering::LineBreak),
        1 => Just(Tampering::Separator),
    ];
    let timestamp = prop_oneof![3 => "1[0-9]{12}", 1 => "1[0-9]{9}"];
    let secret =
        prop_oneof![3 => "cfsk_[a-z0-9]{20,40}", 1 => "[!-+\\--~]{1,80}", 1 => "ключ[а-я]{1,40}"];
    (bodies(), timestamp, secret, tampering).prop_map(|(body, timestamp, secret, tampering)| {
        judged(tampered(body, timestamp, secret, tampering))
    })
}

fn tampered(body: String, timestamp: String, secret: String, tampering: Tampering) -> Case {
    let mac = mac(&secret, &[timestamp.as_bytes(), body.as_bytes()]);
    let signature = STANDARD.encode(&mac);
    let case = Case { body, timestamp, signature, secret, is_accepted: false };
    match tampering {
        Tampering::None => case,
        Tampering::Body => Case { body: format!("{} ", case.body), ..case },
        Tampering::Reserialised => {
            let parsed: Value = serde_json::from_str(&case.body).unwrap();
            Case { body: parsed.to_string(), ..case }
        }
        Tampering::Timestamp => Case { timestamp: case.timestamp.replacen('1', "2", 1), ..case },
        Tampering::Secret => Case { secret: format!("{}x", case.secret), ..case },
        Tampering::Hexadecimal => Case { signature: hex::encode(&mac), ..case },
        Tampering::UrlAlphabet => Case { signature: URL_SAFE.encode(&mac), ..case },
        Tampering::LineBreak => Case { signature: format!("{}\n", case.signature), ..case },
        Tampering::Separator => {
            let signed = [case.timestamp.as_bytes(), b".", case.body.as_bytes()];
            Case { signature: STANDARD.encode(self::mac(&case.secret, &signed)), ..case }
        }
    }
}

fn mac(secret: &str, message: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    for part in message {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

fn judged(case: Case) -> Case {
    // What cannot be a header does not arrive as one.
    let is_accepted = HeaderValue::from_str(&case.signature).is_ok_and(|signature| {
        let mut headers = HeaderMap::new();
        headers.insert(TIMESTAMP_HEADER, case.timestamp.parse().unwrap());
        headers.insert(SIGNATURE_HEADER, signature);
        let secrets = WebhookSecrets::new([&*case.secret]);
        secrets.verify(&headers, case.body.as_bytes(), Timestamp::UNIX_EPOCH).is_ok()
    });
    Case { is_accepted, ..case }
}

/// JSON as no serialiser would print it: with zeros at the end of numbers, needless escapes, and space anywhere.
fn bodies() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("170.00".to_owned()),
        "(true|false)",
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?",
        any::<String>().prop_map(|text| json!(text).to_string()),
        "\"(\\\\u[0-9a-c][0-9a-f]{3}|\\\\[\"\\\\/bfnrt]|[a-z]|é|€|😀){0,20}\"",
    ];
    let space = "[ \\t\\r\\n]{0,2}";
    let spaced = (space, scalar, space).prop_map(|(before, json, after)| before + &json + &after);
    let value = spaced.prop_recursive(4, 40, 6, |inner| {
        let name = any::<String>().prop_map(|name| json!(name).to_string());
        let field = (name, inner.clone()).prop_map(|(name, value)| format!("{name}:{value}"));
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(field, 0..6)
                .prop_map(|fields| format!("{{{}}}", fields.join(","))),
        ]
    });
    (value, space).prop_map(|(data, space)| {
        format!("{{{space}\"data\":{data},{space}\"type\":\"PAYMENT_SUCCESS_WEBHOOK\"{space}}}")
    })
}
