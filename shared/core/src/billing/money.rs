//! Amounts of money, as whole billionths of a US dollar.
//!
//! Models are priced by the millionth of a dollar per token and less; cents would round most answers
//! to nothing, and floats would not add up.

/// Billionths in a dollar.
const PER_USD: f64 = 1e9;

/// From US dollars, rounded. Saturates at nine billion dollars.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float too large for i64 becomes the largest one, and NaN becomes 0"
)]
pub fn nano_usd(usd: f64) -> i64 {
    (usd * PER_USD).round() as i64
}

/// In US dollars, for people and for JSON.
#[expect(
    clippy::cast_precision_loss,
    reason = "exact below nine million dollars, and to a billionth of the amount above"
)]
pub fn usd(nano_usd: i64) -> f64 {
    nano_usd as f64 / PER_USD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_round_trip() {
        for dollars in [0.0, 0.01, 0.0012, 19.99, 74.5, 100_000.0, -0.25] {
            assert_eq!(usd(nano_usd(dollars)).to_bits(), f64::to_bits(dollars), "{dollars}");
        }
    }

    #[test]
    fn an_amount_is_rounded_to_a_billionth() {
        assert_eq!(nano_usd(0.000_000_001_4), 1);
        assert_eq!(nano_usd(0.000_000_001_6), 2);
    }

    #[test]
    fn nan_becomes_zero_and_infinity_saturates() {
        assert_eq!((nano_usd(f64::NAN), nano_usd(f64::INFINITY)), (0, i64::MAX));
    }
}
