//! The first bytes of a file, against the type that was declared.

use shared_core::uploads::{FileKind, FileRefusal, FileType};

/// Checks that a file begins as its type does. A text type has no signature of its own, but must not have another's.
pub(super) fn check(declared: FileType, bytes: &[u8]) -> Result<(), FileRefusal> {
    match (declared.kind(), found(bytes)) {
        (FileKind::Text, None) => Ok(()),
        (FileKind::Image | FileKind::Pdf, Some((found, _))) if found == declared.as_str() => Ok(()),
        (_, Some((_, is))) => Err(FileRefusal::NotAsDeclared(is)),
        (_, None) => Err(FileRefusal::NotAsDeclared("it does not begin as a file of that type")),
    }
}

/// The type that the first bytes name, and the words for it.
fn found(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let is_webp = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
    Some(if bytes.starts_with(b"\xff\xd8\xff") {
        ("image/jpeg", "it is a JPEG image")
    } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        ("image/png", "it is a PNG image")
    } else if is_webp {
        ("image/webp", "it is a WebP image")
    } else if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
        ("image/gif", "it is a GIF image")
    } else if bytes.starts_with(b"%PDF-") {
        ("application/pdf", "it is a PDF")
    } else if bytes.starts_with(b"PK\x03\x04") {
        ("application/zip", "it is a ZIP archive, or a document in one")
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_begins_as_its_type_does() {
        let starts: [&[u8]; 5] = [
            b"\xff\xd8\xff\xe0",
            b"\x89PNG\r\n\x1a\n",
            b"RIFF\0\0\0\0WEBP",
            b"GIF89a",
            b"%PDF-1.7",
        ];
        let types = ["image/jpeg", "image/png", "image/webp", "image/gif", "application/pdf"];
        for (is, start) in types.into_iter().zip(starts) {
            for declared in FileType::all() {
                let checked = check(declared, start);
                assert_eq!(checked.is_ok(), declared.as_str() == is, "{is} as {declared:?}");
            }
        }
        let text = FileType::parse("text/html").unwrap();
        assert_eq!(check(text, b"<!doctype html>"), Ok(()));
    }
}
