//! Phone numbers of buyers. The payment provider requires one for each order.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

/// Digits of an Indian number without its country code.
const NATIONAL: usize = 10;
/// Digits of a number with `+` and its country code
/// ([E.164](https://www.itu.int/rec/T-REC-E.164) allows up to 15).
const INTERNATIONAL: std::ops::RangeInclusive<usize> = 8..=15;

/// A well-formed phone number.
#[derive(Clone)]
pub struct Phone(SecretString);

/// The text is not a phone number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a phone number has {NATIONAL} digits, or begins with + and has {} to {}", INTERNATIONAL.start(), INTERNATIONAL.end())]
pub struct InvalidPhone;

impl Phone {
    /// Accepts 10 digits, or `+` and 8 to 15; ignores the spaces and hyphens that people write between them.
    pub fn parse(raw: &str) -> Result<Self, InvalidPhone> {
        if raw.len() > 40 {
            return Err(InvalidPhone);
        }
        let phone: String = raw.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        let (digits, has_length) = match phone.strip_prefix('+') {
            Some(digits) => (digits, INTERNATIONAL.contains(&digits.len())),
            None => (&*phone, phone.len() == NATIONAL),
        };
        if has_length && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            Ok(Self(phone.into()))
        } else {
            Err(InvalidPhone)
        }
    }

    /// The number: for the payment provider and for encryption, never for a log or a response.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// Redacted.
impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phone")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_accepted_as_people_write_it() {
        for (raw, phone) in [
            ("9908734801", "9908734801"),
            ("99087 34801", "9908734801"),
            (" 990-873-4801 ", "9908734801"),
            ("+91 99087 34801", "+919908734801"),
            ("+12345678", "+12345678"),
            ("+123456789012345", "+123456789012345"),
        ] {
            assert_eq!(Phone::parse(raw).unwrap().expose(), phone, "{raw}");
        }
    }

    #[test]
    fn anything_else_is_refused_without_being_repeated() {
        for raw in [
            "",
            "+",
            "990873480",
            "99087348011",
            "+1234567",
            "+1234567890123456",
            "(990) 8734801",
            "990873480a",
            "٩٩٠٨٧٣٤٨٠١",
            "9908734801;drop",
            "++919908734801",
            "99+08734801",
        ] {
            let error = Phone::parse(raw).unwrap_err().to_string();
            assert!(error.contains("10 digits"), "{error}");
        }
        assert!(Phone::parse(&" ".repeat(41)).is_err());
    }

    #[test]
    fn debug_output_redacts_the_number() {
        assert_eq!(format!("{:?}", Phone::parse("9908734801").unwrap()), "Phone");
    }
}
