//! Planted values, and the encodings in which they are searched for.

use std::fmt::Write;

use base64::Engine as _;
use base64::alphabet::{self, Alphabet};
use base64::engine::{GeneralPurpose, general_purpose::NO_PAD};

/// The number of bytes searched for, from the middle of a value: a truncated leak counts, and the ends of a
/// key are shown on purpose.
const CORE: usize = 24;
/// Values shorter than this, such as codes, occur by chance within times and ids, and count only as a word
/// of their own.
const SHORT: usize = 8;

const PLAIN: &str = "plain text";

/// A planted value.
pub(crate) struct Planted {
    pub(crate) name: &'static str,
    /// The name of each encoding, and the value in it.
    forms: Vec<(&'static str, String)>,
}

impl Planted {
    pub(crate) fn text(name: &'static str, value: &str) -> Self {
        let core = core(value.as_bytes());
        let mut planted = Self::bytes(name, core);
        planted.forms.push((PLAIN, String::from_utf8(core.to_vec()).unwrap()));
        planted
    }

    pub(crate) fn bytes(name: &'static str, value: &[u8]) -> Self {
        let core = core(value);
        let decimals: Vec<_> = core.iter().map(u8::to_string).collect();
        let mut forms = vec![
            ("hex", hex(core)),
            ("upper-case hex", hex(core).to_uppercase()),
            ("a list of bytes", decimals.join(", ")),
            ("a dense list of bytes", decimals.join(",")),
        ];
        for alphabet in [alphabet::STANDARD, alphabet::URL_SAFE] {
            forms.extend((0..3).map(|before| ("base64", base64_inside(core, before, &alphabet))));
        }
        Self { name, forms }
    }

    pub(crate) fn is_in(&self, text: &str) -> bool {
        self.found(text).is_some()
    }

    /// The first encoding in which it occurs, with the line around it.
    fn found(&self, text: &str) -> Option<String> {
        self.forms.iter().find_map(|(form, value)| {
            let stands_alone = |at: usize| {
                let joins = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.';
                let before = at.checked_sub(1).map(|at| text.as_bytes()[at]);
                let after = text.as_bytes().get(at + value.len()).copied();
                !before.is_some_and(joins) && !after.is_some_and(joins)
            };
            let mut places = text.match_indices(value.as_str()).map(|(at, _)| at);
            let by_chance = *form == PLAIN && value.len() < SHORT;
            let at = places.find(|at| !by_chance || stands_alone(*at))?;
            let line = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
            let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
            Some(format!("{} in {form}: {}", self.name, &text[line..end]))
        })
    }
}

/// Fails with every value that is found.
pub(crate) fn assert_absent(planted: &[Planted], place: &str, text: &str) {
    let found: Vec<_> = planted.iter().filter_map(|value| value.found(text)).collect();
    assert!(found.is_empty(), "in {place}:\n{}", found.join("\n"));
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut digits, byte| {
        write!(digits, "{byte:02x}").unwrap();
        digits
    })
}

fn core(value: &[u8]) -> &[u8] {
    let cut = value.len().saturating_sub(CORE) / 2;
    &value[cut..value.len() - cut]
}

/// The base64 characters of `value` inside something longer, with `before` bytes in front of it, modulo 3.
/// Characters that encode neighbouring bytes as well are left out.
fn base64_inside(value: &[u8], before: usize, alphabet: &Alphabet) -> String {
    let padded = [&[0, 0][..before], value].concat();
    let text = GeneralPurpose::new(alphabet, NO_PAD).encode(&padded);
    let whole = padded.len() * 8 / 6;
    text[(before * 8).div_ceil(6)..whole].to_owned()
}

#[test]
fn a_value_is_found_within_a_longer_text_in_every_encoding() {
    let (key, code) = (Planted::text("a key", "sk-or-v1-0123456789abcdef?>~"), "493817");
    let code = Planted::text("a code", code);
    for (planted, value) in [(&key, "sk-or-v1-0123456789abcdef?>~"), (&code, "493817")] {
        for before in ["", "a", "ab", "abc"] {
            for after in ["", "x", "xy", "xyz"] {
                let whole = format!("{before} {value} {after}");
                let bytes = whole.as_bytes();
                for engine in [alphabet::STANDARD, alphabet::URL_SAFE] {
                    let encoded = GeneralPurpose::new(&engine, NO_PAD).encode(bytes);
                    assert!(planted.is_in(&encoded), "{encoded}");
                }
                let [hex, debug] = [hex(bytes), format!("{bytes:?}")];
                for text in [&whole, &hex, &hex.to_uppercase(), &debug] {
                    assert!(planted.is_in(text), "{text}");
                }
            }
        }
    }
}

#[test]
fn a_value_is_not_found_where_it_is_not() {
    let (key, code) = (Planted::text("a key", "sk-or-v1-0123456789abcdef"), "493817");
    for text in ["", "sk-or-v1-0123...cdef", "c2stb3ItdjE", "115, 107, 45"] {
        assert!(!key.is_in(text), "{text}");
    }
    let code = Planted::text("a code", code);
    for text in ["1493817", "00.493817+00", "a493817b", "2026-11-23 03:11:25.493817+00"] {
        assert!(!code.is_in(text), "{text}");
    }
}
