//! Figures in the operator's tables.

use serde::de::{Deserialize, Deserializer, Error};

/// A figure of which 0 would mean "never", and is a slip of the pen.
pub(crate) fn positive<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default + PartialEq,
{
    let figure = T::deserialize(deserializer)?;
    if figure == T::default() { Err(D::Error::custom("has to be at least 1")) } else { Ok(figure) }
}
