//! Which signatures are accepted.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE};
use http::{HeaderMap, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use shared_cashfree::{
    Freshness, SIGNATURE_HEADER, SignatureError, TIMESTAMP_HEADER, WebhookSecrets,
};
use shared_core::env::Env;

use crate::signed::{headers, mac, signature};

const SECRET: &str = "cfsk_c0ffee_new";
const TIMESTAMP: &str = "1746427759733";
const BODY: &[u8] = br#"{"data":{"order":{"order_amount":170.00}},"type":"X"}"#;

fn at(millisecond: i64) -> Timestamp {
    Timestamp::from_millisecond(millisecond).unwrap()
}

fn now() -> Timestamp {
    at(1_746_427_759_733)
}

fn verify(headers: &HeaderMap, body: &[u8]) -> Result<Freshness, SignatureError> {
    WebhookSecrets::new([SECRET]).verify(headers, body, now())
}

/// The verdict on a signature header.
fn verdict(signature: &str) -> Result<Freshness, SignatureError> {
    verify(&headers(TIMESTAMP, signature), BODY)
}

#[test]
fn a_signature_over_timestamp_and_body_is_accepted() {
    assert_eq!(verdict(&signature(SECRET, TIMESTAMP, BODY)), Ok(Freshness::Fresh));
    for body in [&b""[..], b"\xff\xfe\x00", "{\"name\":\"\u{1f600} é\"}".as_bytes()] {
        let headers = headers(TIMESTAMP, &signature(SECRET, TIMESTAMP, body));
        assert_eq!(verify(&headers, body), Ok(Freshness::Fresh));
    }
}

#[test]
fn a_changed_body_or_timestamp_is_refused() {
    let signature = signature(SECRET, TIMESTAMP, BODY);
    let signed = headers(TIMESTAMP, &signature);
    let text = str::from_utf8(BODY).unwrap();
    for body in [
        text.replace("170.00", "170.0"),
        text.replace("170", "171"),
        text.replace(':', ": "),
        format!("{text}\n"),
        format!(" {text}"),
        String::new(),
    ] {
        assert_eq!(verify(&signed, body.as_bytes()), Err(SignatureError::Mismatch), "{body:?}");
    }
    for timestamp in ["1746427759734", "1746427759", "01746427759733"] {
        assert!(verify(&headers(timestamp, &signature), BODY).is_err(), "{timestamp}");
    }
    // A digit that moves from the timestamp to the body leaves the signed bytes as they were.
    let moved = [b"3", BODY].concat();
    assert_eq!(verify(&headers("174642775973", &signature), &moved), Ok(Freshness::Stale));
    assert_eq!(mac(SECRET, "174642775973", &moved), mac(SECRET, TIMESTAMP, BODY));
}

#[test]
fn only_padded_base64_of_the_standard_alphabet_is_a_signature() {
    // Its Base64 has both characters in which the alphabets differ.
    let timestamp = (1_746_427_759_733_u64..1_746_427_760_733)
        .map(|timestamp| timestamp.to_string())
        .find(|timestamp| {
            let signature = signature(SECRET, timestamp, BODY);
            signature.contains('+') && signature.contains('/')
        })
        .unwrap();
    let bytes = mac(SECRET, &timestamp, BODY);
    let right = signature(SECRET, &timestamp, BODY);
    let verdict = |signature: &str| verify(&headers(&timestamp, signature), BODY);
    assert_eq!(verdict(&right), Ok(Freshness::Fresh));
    // The last character before the padding carries two unused bits.
    let last = char::from(right.as_bytes()[42] + 1);
    for wrong in [
        hex::encode(&bytes),
        URL_SAFE.encode(&bytes),
        STANDARD_NO_PAD.encode(&bytes),
        format!("{right}="),
        format!("{right} "),
        format!(" {right}"),
        format!("{right}\t"),
        format!("{right}A"),
        format!("\"{right}\""),
        format!("sha256={right}"),
        format!("{}{last}=", &right[..42]),
        right[1..].to_owned(),
        "=".repeat(44),
        "A".repeat(44),
        String::new(),
    ] {
        assert_eq!(verdict(&wrong), Err(SignatureError::Encoding), "{wrong:?}");
    }
    // A header cannot hold a line break.
    assert!(HeaderValue::from_str(&format!("{right}\n")).is_err());
    let others = signature("cfsk_other", &timestamp, BODY);
    for wrong in [others, format!("{}=", "A".repeat(43))] {
        assert_eq!(verdict(&wrong), Err(SignatureError::Mismatch), "{wrong:?}");
    }
}

#[test]
fn each_header_has_to_be_there_once() {
    let right = headers(TIMESTAMP, &signature(SECRET, TIMESTAMP, BODY));
    for name in [SIGNATURE_HEADER, TIMESTAMP_HEADER] {
        let (mut missing, mut doubled) = (right.clone(), right.clone());
        missing.remove(name);
        doubled.append(name, right[name].clone());
        for headers in [missing, doubled] {
            assert_eq!(verify(&headers, BODY), Err(SignatureError::Headers), "{name}");
        }
    }
    assert_eq!(verify(&HeaderMap::new(), BODY), Err(SignatureError::Headers));
}

#[test]
fn a_timestamp_has_10_to_13_digits() {
    for timestamp in [
        "",
        "174642775",
        "17464277597330",
        "1746427759.33",
        "-746427759733",
        "+746427759733",
        " 746427759733",
        "2025-05-05T06",
        "174642775973a",
    ] {
        // Signed as it is: its form alone is refused.
        let headers = headers(timestamp, &signature(SECRET, timestamp, BODY));
        assert_eq!(verify(&headers, BODY), Err(SignatureError::Timestamp), "{timestamp:?}");
    }
    let mut headers = headers(TIMESTAMP, &signature(SECRET, TIMESTAMP, BODY));
    let arabic = HeaderValue::from_bytes("٤٥٠٤٥٠".as_bytes()).unwrap();
    headers.insert(TIMESTAMP_HEADER, arabic);
    assert_eq!(verify(&headers, BODY), Err(SignatureError::Timestamp));
}

#[test]
fn a_signature_is_stale_after_five_minutes_in_either_direction() {
    let secrets = WebhookSecrets::new([SECRET]);
    let minutes = SignedDuration::from_mins;
    let verdict = |timestamp: &str, now| {
        let headers = headers(timestamp, &signature(SECRET, timestamp, BODY));
        secrets.verify(&headers, BODY, now).unwrap()
    };
    let millisecond = SignedDuration::from_millis(1);
    for (now, freshness) in [
        (now() + minutes(5), Freshness::Fresh),
        (now() - minutes(5), Freshness::Fresh),
        (now() + minutes(5) + millisecond, Freshness::Stale),
        (now() - minutes(5) - millisecond, Freshness::Stale),
    ] {
        assert_eq!(verdict(TIMESTAMP, now), freshness, "{now}");
    }
    assert_eq!(verdict("1746427759", now()), Freshness::Fresh);
    assert_eq!(verdict("1746427000", now()), Freshness::Stale);
    // No second or millisecond of 11 or 12 digits is near the present.
    for timestamp in ["17464277597", "174642775973", "99999999999", "999999999999"] {
        assert_eq!(verdict(timestamp, now()), Freshness::Stale, "{timestamp}");
    }
    for timestamp in ["0000000000", "9999999999999", "0000000000000"] {
        assert_eq!(verdict(timestamp, now()), Freshness::Stale, "{timestamp}");
    }
}

fn secrets(webhook: &str, client: &str) -> WebhookSecrets {
    WebhookSecrets::from_env(&Env::new(|name| match name {
        "CASHFREE_WEBHOOK_SECRETS" => Some(webhook.to_owned()),
        "CASHFREE_CLIENT_SECRET" => Some(client.to_owned()),
        _ => None,
    }))
    .unwrap()
}

#[test]
fn during_a_rotation_each_secret_is_accepted() {
    let secrets = secrets("cfsk_c0ffee_new, cfsk_c0ffee_old", "cfsk_c0ffee_api");
    let verdict = |secret| {
        let headers = headers(TIMESTAMP, &signature(secret, TIMESTAMP, BODY));
        secrets.verify(&headers, BODY, now())
    };
    for secret in ["cfsk_c0ffee_new", "cfsk_c0ffee_old", "cfsk_c0ffee_api"] {
        assert_eq!(verdict(secret), Ok(Freshness::Fresh), "{secret}");
    }
    for secret in ["cfsk_c0ffee_older", "cfsk_c0ffee_new, cfsk_c0ffee_old", "CFSK_C0FFEE_NEW", ""] {
        assert_eq!(verdict(secret), Err(SignatureError::Mismatch), "{secret}");
    }
    assert!(!format!("{secrets:?}").contains("c0ffee"), "{secrets:?}");
}

#[test]
fn an_empty_secret_is_none() {
    let signed = headers(TIMESTAMP, &signature("", TIMESTAMP, BODY));
    for webhook in ["", ",", " , ,", "  "] {
        let none = secrets(webhook, "").verify(&signed, BODY, now());
        assert_eq!(none, Err(SignatureError::NoSecret), "{webhook:?}");
        let one = secrets(webhook, SECRET).verify(&signed, BODY, now());
        assert_eq!(one, Err(SignatureError::Mismatch), "{webhook:?}");
    }
    let unset = WebhookSecrets::from_env(&Env::new(|_| None)).unwrap();
    assert_eq!(unset.verify(&signed, BODY, now()), Err(SignatureError::NoSecret));
}

#[test]
fn a_refusal_says_nothing_of_what_was_sent() {
    for error in [
        SignatureError::NoSecret,
        SignatureError::Headers,
        SignatureError::Timestamp,
        SignatureError::Encoding,
        SignatureError::Mismatch,
    ] {
        assert!(error.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        assert!(!error.to_string().is_empty());
    }
}
