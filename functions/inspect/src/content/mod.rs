//! What a file contains, and what is kept of it.
//!
//! ```text
//! bytes ──▶ signature ──▶ not a ZIP as well ──▶ image: header ▶ limits ▶ decode ▶ sRGB, upright ▶ encode: View, Model, Thumb
//!                                            ├▶ PDF:   objects ▶ not encrypted ▶ pages            ▶ as sent: Model
//!                                            └▶ text:  UTF-8 or UTF-16 ▶ no control characters    ▶ UTF-8: View, Model
//! ```
//!
//! An image is never kept as it was sent: metadata, trailing bytes, and whatever else a decoder ignores end here.

mod deadline;
mod images;
mod pdf;
mod signature;
mod text;
mod zip;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use shared_core::uploads::{
    FileForm, FileKind, FileRefusal, FileType, InspectedFile, UnreadableFile,
};

use self::deadline::Deadline;

/// How long a file may take to decode. 40 megapixels take up to 0.5 s on a core of a development machine, and the time on a
/// core of Lambda is not measured yet.
///
/// JPEG, PNG and GIF decoders read as they decode, and are stopped within it. WebP's reads a lossy image as a whole first: its
/// time is limited by the number of pixels.
pub const DECODE_WITHIN: Duration = Duration::from_secs(1);

/// A file that is accepted, and what is kept of it.
#[derive(Debug)]
pub struct Accepted {
    /// What inspection found.
    pub file: InspectedFile,
    /// The forms to keep, each once.
    pub forms: Vec<(FileForm, Kept)>,
}

/// The bytes of one form.
#[derive(Debug, PartialEq, Eq)]
pub enum Kept {
    /// The file as it was sent: copied within object storage, not uploaded again.
    Original {
        /// Its `content-type`.
        media_type: &'static str,
    },
    /// Encoded anew.
    Encoded {
        /// The bytes.
        bytes: Vec<u8>,
        /// Their `content-type`.
        media_type: &'static str,
    },
}

/// Inspects the content of a file of the declared type, on the calling thread.
///
/// Takes up to `decode_within` to decode it, and about as long again to encode what is kept. A decoder that panics has met a
/// damaged file.
pub fn inspect_content(
    declared: FileType,
    bytes: &[u8],
    decode_within: Duration,
) -> Result<Accepted, FileRefusal> {
    let deadline = Deadline::after(decode_within);
    caught(|| inspect(declared, bytes, deadline))
}

/// Nothing that a panic leaves behind is used again.
fn caught<T>(inspect: impl FnOnce() -> Result<T, FileRefusal>) -> Result<T, FileRefusal> {
    catch_unwind(AssertUnwindSafe(inspect)).unwrap_or(Err(UnreadableFile::Damaged.into()))
}

fn inspect(declared: FileType, bytes: &[u8], deadline: Deadline) -> Result<Accepted, FileRefusal> {
    if bytes.is_empty() {
        return Err(FileRefusal::NotAsDeclared("it is empty"));
    }
    signature::check(declared, bytes)?;
    if zip::is_archive(bytes) {
        return Err(FileRefusal::NotAsDeclared("it is a ZIP archive as well"));
    }
    match declared.kind() {
        FileKind::Image => Ok(images::inspect(declared, bytes, deadline)?),
        FileKind::Pdf => Ok(pdf::inspect(declared, bytes, deadline)?),
        FileKind::Text => text::inspect(declared, bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoder_that_panics_has_met_a_damaged_file() {
        let panics: fn() -> Result<(), FileRefusal> = || panic!("a decoder's own error");
        assert_eq!(caught(panics), Err(UnreadableFile::Damaged.into()));
        assert_eq!(caught(|| Ok(7)), Ok(7));
    }
}
