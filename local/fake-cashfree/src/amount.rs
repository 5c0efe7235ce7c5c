//! Amounts of money, kept exactly: they are read from the JSON text and written as text, never as floats.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// An amount in paise, hundredths of a rupee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Paise(pub(crate) u64);

impl Paise {
    /// Parses a decimal number of rupees with at most two decimals: `450`, `450.5`, `450.00`.
    pub(crate) fn parse(rupees: &str) -> Option<Self> {
        let (whole, decimals) = rupees.split_once('.').unwrap_or((rupees, "0"));
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !is_digits(whole) || !is_digits(decimals) || decimals.len() > 2 {
            return None;
        }
        let paise = format!("{decimals:0<2}").parse().ok()?;
        whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(paise).map(Self)
    }

    /// Formats rupees with two decimals: `450.00`.
    pub(crate) fn two_decimals(self) -> String {
        format!("{}.{:02}", self.0 / 100, self.0 % 100)
    }

    /// Formats rupees without needless zeros: `450`, `449.5`.
    pub(crate) fn shortest(self) -> String {
        self.two_decimals().trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

/// The JSON value that is written as this text; `null` if the text is no JSON.
pub(crate) fn verbatim(text: impl Into<String>) -> Box<RawValue> {
    RawValue::from_string(text.into()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
