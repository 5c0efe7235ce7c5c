//! Amounts of Indian rupees, in whole paise: exact, because no float is ever involved.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The currency of all prices (ISO 4217).
pub const CURRENCY: &str = "INR";

/// Longest decimal text that is read, in characters.
const LONGEST: usize = 24;

/// An amount in paise, a hundredth of an Indian rupee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Paise(i64);

impl Paise {
    /// An amount of so many paise.
    pub const fn new(paise: i64) -> Self {
        Self(paise)
    }

    /// The amount in paise.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Parses rupees as decimal text: `450`, `450.0` and `450.00` are the same amount. `None` for anything else, such as
    /// a fraction of a paisa, a sign or an exponent.
    pub fn parse(rupees: &str) -> Option<Self> {
        let (whole, fraction) = rupees.split_once('.').unwrap_or((rupees, "0"));
        let is_number =
            |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        if rupees.len() > LONGEST || !is_number(whole) || !is_number(fraction) {
            return None;
        }
        // Trailing zeros do not change the amount.
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 2 {
            return None;
        }
        let paise: i64 = format!("{fraction:0<2}").parse().ok()?;
        let whole: i64 = whole.parse().ok()?;
        whole.checked_mul(100)?.checked_add(paise).map(Self)
    }
}

/// In rupees, with two digits after the point.
impl fmt::Display for Paise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sign, paise) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        write!(f, "{sign}{}.{:02}", paise / 100, paise % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_the_same_however_many_zeros_it_is_written_with() {
        for text in ["450", "450.0", "450.00", "450.000", "0450.00"] {
            assert_eq!(Paise::parse(text), Some(Paise(45_000)), "{text}");
        }
        for (text, paise) in [("0.01", 1), ("0.1", 10), ("1", 100), ("170.05", 17_005), ("0", 0)] {
            assert_eq!(Paise::parse(text), Some(Paise(paise)), "{text}");
        }
    }

    #[test]
    fn what_is_no_whole_number_of_paise_is_no_amount() {
        let huge = "9".repeat(20);
        for text in [
            "", ".", "1.", ".5", "449.995", "450.001", "-450", "+450", "4.5e2", "4,50", " 450",
            "450 ", "0x1", "NaN", "٤٥٠", "1.2.3", &huge,
        ] {
            assert_eq!(Paise::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_amount_is_shown_with_two_digits() {
        for (paise, text) in
            [(45_000, "450.00"), (17_005, "170.05"), (1, "0.01"), (0, "0.00"), (-5, "-0.05")]
        {
            assert_eq!(Paise(paise).to_string(), text);
        }
    }
}
