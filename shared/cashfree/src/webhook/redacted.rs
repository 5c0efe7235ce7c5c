//! What is kept of a body that is not understood, so that an operator can: without what identifies the buyer, and without
//! any amount passing through a float.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

/// In bytes. A longer body is not kept.
const LONGEST: usize = 64 * 1024;
/// Levels that are kept; deeper values become null.
const DEEPEST: u32 = 32;

/// The body, or null where it is too long. Numbers that are not whole become text, so that each keeps its digits.
pub(super) fn redacted(body: &str) -> Value {
    if body.len() > LONGEST { Value::Null } else { value(body, 0) }
}

fn value(json: &str, level: u32) -> Value {
    let json = json.trim_matches([' ', '\t', '\r', '\n']);
    match json.as_bytes().first() {
        Some(b'{' | b'[') if level == DEEPEST => Value::Null,
        Some(b'{') => object(json, level + 1),
        Some(b'[') => array(json, level + 1),
        Some(b'-' | b'0'..=b'9') => number(json),
        _ => serde_json::from_str(json).unwrap_or(Value::Null),
    }
}

fn object(json: &str, level: u32) -> Value {
    let Ok(fields) = serde_json::from_str::<BTreeMap<String, &RawValue>>(json) else {
        return Value::Null;
    };
    let kept = fields.into_iter().filter(|(name, _)| !identifies_the_buyer(name));
    Value::Object(
        kept.map(|(name, field)| (name, value(field.get(), level))).collect::<Map<_, _>>(),
    )
}

fn array(json: &str, level: u32) -> Value {
    let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(json) else { return Value::Null };
    items.into_iter().map(|item| value(item.get(), level)).collect()
}

fn number(json: &str) -> Value {
    let whole = json.parse::<i64>().ok().filter(|whole| whole.to_string() == json);
    whole.map_or_else(|| Value::String(json.to_owned()), |whole| Value::Number(Number::from(whole)))
}

/// `customer_details` and single fields of it, phone numbers and e-mail addresses of terminals, and how somebody paid (card, UPI
/// id, bank account).
fn identifies_the_buyer(name: &str) -> bool {
    name.starts_with("customer_")
        || name.ends_with("_phone")
        || name.ends_with("_email")
        || name == "payment_method"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_identifies_the_buyer_is_left_out_at_any_depth() {
        let body = r#"{"data":{"customer_details":{"customer_phone":"9908734801"},"settlement":{"id":7,
            "rows":[{"customer_details":null,"utr":"X"},{"customer_email":"a@b.co","terminal_phone":"9908734801"}]},
            "payment_method":{"upi":{"upi_id":"9908734801@ybl"}}},"type":"SETTLEMENT_SUCCESS"}"#;
        let expected = json!({
            "data": { "settlement": { "id": 7, "rows": [{ "utr": "X" }, {}] } },
            "type": "SETTLEMENT_SUCCESS",
        });
        assert_eq!(redacted(body), expected);
    }

    #[test]
    fn numbers_keep_their_digits() {
        let body = r#"[170.00, 1, -5, -0, 12345678901234567890123, 1e2, {"n": 0.10 }]"#;
        let expected =
            json!(["170.00", 1, -5, "-0", "12345678901234567890123", "1e2", { "n": "0.10" }]);
        assert_eq!(redacted(body), expected);
    }

    #[test]
    fn what_is_too_long_or_too_deep_is_not_kept() {
        let long = format!("[\"{}\"]", "x".repeat(LONGEST));
        assert_eq!(redacted(&long), Value::Null);
        let deep = format!("{}1{}", "[".repeat(32_000), "]".repeat(32_000));
        assert_eq!(
            redacted(&deep).to_string(),
            format!("{}null{}", "[".repeat(32), "]".repeat(32))
        );
        // A character that is no text in Rust.
        assert_eq!(redacted(r#"["\ud800", "x"]"#), json!([null, "x"]));
        assert_eq!(redacted(r#"{"\ud800":1}"#), Value::Null);
    }
}
