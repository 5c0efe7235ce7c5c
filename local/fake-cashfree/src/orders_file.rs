//! The file that keeps orders between runs.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::order::Order;

/// Reads the orders; none without the file.
pub(crate) fn read(file: &Path) -> io::Result<Vec<Order>> {
    let json = match fs::read(file) {
        Ok(json) => json,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    // Orders that another version has written are forgotten: nobody has paid for them.
    Ok(serde_json::from_slice(&json).unwrap_or_default())
}

/// Writes the orders, whole or not at all.
pub(crate) fn write(file: &Path, orders: &[Order]) -> io::Result<()> {
    let new = file.with_extension("new");
    fs::write(&new, serde_json::to_vec(orders)?)?;
    fs::rename(new, file)
}
