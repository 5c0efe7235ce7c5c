//! PDF (ISO 32000-2): not decoded, only counted. Models read it as it was sent.
//!
//! The objects are found by reading the file from its beginning to its end, as programs that repair a PDF do, and not by its
//! cross-reference table: many files have a wrong one. A library that loads whole documents was rejected: each limits the size of
//! one decompressed stream, but none their number, and a file of 10 MiB has room for thousands.

mod objects;
mod pages;
mod syntax;

use shared_core::uploads::{
    FileForm, FileRefusal, FileType, InspectedFile, UnreadableFile, pdf_tokens,
};

use self::objects::Objects;
use super::deadline::Deadline;
use super::{Accepted, Kept};

const END: &[u8] = b"%%EOF";

pub(super) fn inspect(
    declared: FileType,
    bytes: &[u8],
    deadline: Deadline,
) -> Result<Accepted, FileRefusal> {
    if !is_complete(bytes) {
        return Err(UnreadableFile::Damaged.into());
    }
    let mut objects = Objects::read(bytes, deadline)?;
    if objects.is_encrypted() {
        return Err(UnreadableFile::Encrypted.into());
    }
    let pages = pages::count(&mut objects)?;
    let media_type = declared.as_str();
    Ok(Accepted {
        file: InspectedFile {
            media_type,
            dimensions: None,
            pages: Some(pages),
            model_media_type: media_type,
            model_bytes: bytes.len() as u64,
            tokens: pdf_tokens(pages),
        },
        forms: vec![(FileForm::Model, Kept::Original { media_type })],
    })
}

/// Whether only white space follows the last end marker: anything else was appended, or the file was cut.
fn is_complete(bytes: &[u8]) -> bool {
    let last = bytes.iter().rposition(|byte| !syntax::is_space(*byte));
    last.is_some_and(|last| bytes[..=last].ends_with(END))
}
