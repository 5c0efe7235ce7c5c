//! Polyglots: a ZIP archive is found by its end, so that any file can be one as well (a JAR behind a GIF, an archive in a PDF).

use memchr::memmem;

/// Signature of the end-of-central-directory record (APPNOTE.TXT, 4.3.16).
const END_RECORD: &[u8] = b"PK\x05\x06";
/// Length of that record, in bytes, with a comment of length zero.
const RECORD_BYTES: usize = 22;
/// The record, and the longest comment, in bytes.
const SEARCHED_BYTES: usize = RECORD_BYTES + u16::MAX as usize;

/// Whether programs that read ZIP archives open this file: a record whose comment reaches to the end, or is followed only by
/// white space and padding, which many of them skip.
pub(super) fn is_archive(bytes: &[u8]) -> bool {
    let tail = &bytes[bytes.len().saturating_sub(SEARCHED_BYTES)..];
    memmem::find_iter(tail, END_RECORD).any(|at| ends_file(&tail[at..]))
}

fn ends_file(record: &[u8]) -> bool {
    let Some(&[low, high]) = record.get(RECORD_BYTES - 2..RECORD_BYTES) else { return false };
    let end = RECORD_BYTES + usize::from(u16::from_le_bytes([low, high]));
    let is_padding = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
    record.get(end..).is_some_and(|after| after.iter().all(is_padding))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(comment_length: u16) -> Vec<u8> {
        let mut record = END_RECORD.to_vec();
        record.extend([0; 16]);
        record.extend(comment_length.to_le_bytes());
        record
    }

    #[test]
    fn an_archive_is_found_by_its_end() {
        let comment = vec![b'x'; u16::MAX as usize];
        assert!(is_archive(&record(0)));
        assert!(is_archive(&[b"GIF89a".to_vec(), record(0), b"\n\0".to_vec()].concat()));
        assert!(is_archive(&[b"%PDF-1.7".to_vec(), record(u16::MAX), comment].concat()));
    }

    #[test]
    fn other_bytes_are_not() {
        for bytes in [
            Vec::new(),
            b"PK".to_vec(),
            END_RECORD.to_vec(),
            record(1),
            [record(0), b"more".to_vec()].concat(),
            [record(0), vec![b'x'; SEARCHED_BYTES]].concat(),
        ] {
            assert!(!is_archive(&bytes), "{} bytes", bytes.len());
        }
    }
}
