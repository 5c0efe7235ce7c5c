//! Reads fields of JSON objects as Cashfree writes them: its ids are numbers in one version and text in another, and
//! its amounts are numbers that no float may touch.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::value::RawValue;

/// Longest id or word, in characters.
const LONGEST_WORD: usize = 64;
/// Longest amount, in characters.
const LONGEST_AMOUNT: usize = 32;

/// A JSON object whose values are read when asked for. Of a repeated name, the last value counts, as in other parsers.
pub(crate) struct Object<'a>(BTreeMap<String, &'a RawValue>);

/// The named field is missing, or not of the form that it has to have. Holds no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable(pub(crate) &'static str);

type Read<T> = Result<T, Unreadable>;

impl<'a> Object<'a> {
    /// `None` for any other JSON, and for what is no JSON.
    pub(crate) fn parse(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok().map(Self)
    }

    /// A field that is there and not null.
    fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).map(|raw| raw.get()).filter(|raw| *raw != "null")
    }

    pub(crate) fn object(&self, name: &'static str) -> Read<Self> {
        self.raw(name).and_then(Self::parse).ok_or(Unreadable(name))
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.raw(name).and_then(|raw| serde_json::from_str(raw).ok())
    }

    /// An id: a number, of which the digits are kept, or a [word](is_word).
    pub(crate) fn id(&self, name: &'static str) -> Read<String> {
        let id = match self.raw(name) {
            Some(raw) if raw.bytes().all(|byte| byte.is_ascii_digit()) => Some(raw.to_owned()),
            _ => self.text(name),
        };
        id.filter(|id| is_word(id)).ok_or(Unreadable(name))
    }

    /// An id that may be absent, but not unreadable.
    pub(crate) fn optional_id(&self, name: &'static str) -> Read<Option<String>> {
        self.raw(name).map(|_| self.id(name)).transpose()
    }

    /// A value of an enumeration, such as a status or a currency.
    pub(crate) fn word(&self, name: &'static str) -> Read<String> {
        self.text(name).filter(|word| is_word(word)).ok_or(Unreadable(name))
    }

    /// An amount, as a number or as the text of one. Its decimal text is kept as it is written.
    pub(crate) fn amount(&self, name: &'static str) -> Read<String> {
        let raw = self.raw(name).ok_or(Unreadable(name))?;
        let amount = if is_number(raw) { Some(raw.to_owned()) } else { self.text(name) };
        amount
            .filter(|amount| amount.len() <= LONGEST_AMOUNT && is_number(amount))
            .ok_or(Unreadable(name))
    }

    pub(crate) fn time(&self, name: &str) -> Option<Timestamp> {
        self.text(name)?.parse().ok()
    }
}

/// Whether it is 1 to 64 letters, digits, `-` or `_`: safe in a log, in a key and in a URL.
fn is_word(text: &str) -> bool {
    let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=LONGEST_WORD).contains(&text.len()) && text.bytes().all(is_safe)
}

/// Whether the text is a number of JSON, to its last character.
fn is_number(text: &str) -> bool {
    let begins_one = text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    begins_one && serde_json::from_str::<&RawValue>(text).is_ok_and(|raw| raw.get() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_number_or_text_of_safe_characters() {
        let id = |json: &str| Object::parse(json).unwrap().id("id").ok();
        let longest = "9".repeat(64);
        for (json, expected) in [
            (r#"{"id":1453002795}"#, Some("1453002795")),
            (r#"{"id":"1453002795"}"#, Some("1453002795")),
            (
                r#"{"id":12345678901234567890123456789012345678901234567890}"#,
                Some("12345678901234567890123456789012345678901234567890"),
            ),
            (r#"{"id": "t3c_01-x" }"#, Some("t3c_01-x")),
            (&format!(r#"{{"id":{longest}}}"#), Some(&longest)),
            (&format!(r#"{{"id":{longest}9}}"#), None),
            (&format!(r#"{{"id":"{longest}9"}}"#), None),
            (r#"{"id":"a b"}"#, None),
            (r#"{"id":"a#b"}"#, None),
            (r#"{"id":"é"}"#, None),
            (r#"{"id":""}"#, None),
            (r#"{"id":1.5}"#, None),
            (r#"{"id":-1}"#, None),
            (r#"{"id":1e5}"#, None),
            (r#"{"id":null}"#, None),
            (r#"{"id":{}}"#, None),
            ("{}", None),
        ] {
            assert_eq!(id(json).as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn an_optional_id_may_be_absent_but_not_unreadable() {
        let id = |json: &str| Object::parse(json).unwrap().optional_id("id");
        assert_eq!(id("{}"), Ok(None));
        assert_eq!(id(r#"{"id":null}"#), Ok(None));
        assert_eq!(id(r#"{"id":7}"#), Ok(Some("7".to_owned())));
        assert_eq!(id(r#"{"id":"a b"}"#), Err(Unreadable("id")));
    }

    #[test]
    fn an_amount_keeps_its_text() {
        let amount = |json: &str| Object::parse(json).unwrap().amount("n").ok();
        for (json, expected) in [
            (r#"{"n":170.00}"#, Some("170.00")),
            (r#"{"n":"170.00"}"#, Some("170.00")),
            (r#"{"n": 450 }"#, Some("450")),
            (r#"{"n":449.995}"#, Some("449.995")),
            (r#"{"n":0.1000000000000000055511151}"#, Some("0.1000000000000000055511151")),
            (r#"{"n":4.5e2}"#, Some("4.5e2")),
            (r#"{"n":-1}"#, Some("-1")),
            (r#"{"n":"\u0031"}"#, Some("1")),
            (r#"{"n":123456789012345678901234567890.123}"#, None),
            (r#"{"n":"1,000"}"#, None),
            (r#"{"n":" 1"}"#, None),
            (r#"{"n":"1\n"}"#, None),
            (r#"{"n":"\"1\""}"#, None),
            (r#"{"n":""}"#, None),
            (r#"{"n":"true"}"#, None),
            (r#"{"n":true}"#, None),
            (r#"{"n":[1]}"#, None),
            (r#"{"n":null}"#, None),
            ("{}", None),
        ] {
            assert_eq!(amount(json).as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn a_time_has_any_offset() {
        let time = |json: &str| Object::parse(json).unwrap().time("at").map(|at| at.to_string());
        let expected = Some("2025-01-15T06:50:29Z".to_owned());
        assert_eq!(time(r#"{"at":"2025-01-15T12:20:29+05:30"}"#), expected);
        assert_eq!(time(r#"{"at":"2025-01-15T06:50:29Z"}"#), expected);
        assert_eq!(time(r#"{"at":"yesterday"}"#), None);
        assert_eq!(time(r#"{"at":1746427759733}"#), None);
    }

    #[test]
    fn only_an_object_is_one() {
        for json in ["[]", r#"["id",1]"#, "1", "null", "{", "{}{}", ""] {
            assert!(Object::parse(json).is_none(), "{json}");
        }
        let nested = format!(r#"{{"a":{}{},"id":1}}"#, "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(Object::parse(&nested).unwrap().id("id").unwrap(), "1");
    }
}
