//! Signs webhooks as Cashfree does.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue};
use sha2::Sha256;
use shared_cashfree::{SIGNATURE_HEADER, TIMESTAMP_HEADER};

pub(crate) fn mac(secret: &str, timestamp: &str, body: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(timestamp.as_bytes());
    mac.update(body);
    mac.finalize().into_bytes().to_vec()
}

pub(crate) fn signature(secret: &str, timestamp: &str, body: &[u8]) -> String {
    STANDARD.encode(mac(secret, timestamp, body))
}

pub(crate) fn headers(timestamp: &str, signature: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(TIMESTAMP_HEADER, HeaderValue::from_str(timestamp).unwrap());
    headers.insert(SIGNATURE_HEADER, HeaderValue::from_str(signature).unwrap());
    headers
}
