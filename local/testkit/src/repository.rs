//! The files of this repository.

use std::fs;
use std::path::{Path, PathBuf};

/// The root of the checkout that this crate was compiled in.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The text of a file, by its path relative to the root.
///
/// # Panics
///
/// If the file does not exist or is not text.
pub fn repository_file(path: impl AsRef<Path>) -> String {
    let path = repository().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
