//! Percentiles, and the slope of a regression line.

/// The value below which `percent` of `values` lie; 0 if there are none.
pub(crate) fn percentile(values: &[u64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).map_or(0.0, |value| float(*value))
}

/// The slope of the least-squares line through `(x, y)`.
pub(crate) fn slope(points: &[(f64, f64)]) -> f64 {
    let count = float(points.len() as u64);
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let along: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let up: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    up / along
}

/// Converts a count or nanoseconds, which are far below the limit of exact floats.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53: a hundred days in nanoseconds")]
pub(crate) fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(percentile(&values, 50).to_bits(), 50.0_f64.to_bits());
        assert_eq!(percentile(&values, 99).to_bits(), 99.0_f64.to_bits());
        assert_eq!(percentile(&[7], 99).to_bits(), 7.0_f64.to_bits());
        assert_eq!(percentile(&[], 50).to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn the_slope_of_a_line_is_its_own() {
        let slope = slope(&[(0.0, 1.0), (4.0, 9.0), (10.0, 21.0)]);
        assert!((slope - 2.0).abs() < 1e-9);
    }
}
