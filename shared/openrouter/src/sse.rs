//! Incremental parser of server-sent events (SSE).
//!
//! Fed with bytes as they arrive, it emits the data of each complete event. Lines may end in LF, CR or CRLF,
//! and a chunk may end anywhere, inside a character or between CR and LF ([WHATWG HTML
//! §9.2.6](https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation)). A
//! line that arrives whole is parsed in place, without buffering it.

/// Maximum size of an event in bytes; no model sends larger ones.
const LARGEST_EVENT: usize = 8 * 1024 * 1024;

/// An event exceeds the maximum size: the stream is not one of server-sent events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is larger than {LARGEST_EVENT} bytes")]
pub struct Overlong;

/// Splits a stream of bytes into events.
#[derive(Debug, Default)]
pub struct SseParser {
    /// The beginning of an incomplete line.
    line: Vec<u8>,
    /// The data lines of the current event.
    data: Vec<u8>,
    has_data: bool,
    /// The last byte was a CR, so an LF now belongs to it.
    after_cr: bool,
}

impl SseParser {
    /// Parses `bytes` and calls `event` with the data of each event that they complete.
    pub fn feed(&mut self, mut bytes: &[u8], mut event: impl FnMut(&[u8])) -> Result<(), Overlong> {
        while let Some(first) = bytes.first() {
            if std::mem::take(&mut self.after_cr) && *first == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                self.line.extend_from_slice(bytes);
                break;
            };
            self.after_cr = bytes[end] == b'\r';
            let rest = &bytes[end + 1..];
            if self.line.is_empty() {
                self.line_ended(&bytes[..end], &mut event);
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(&bytes[..end]);
                self.line_ended(&line, &mut event);
                line.clear();
                self.line = line;
            }
            bytes = rest;
        }
        if self.line.len() + self.data.len() > LARGEST_EVENT { Err(Overlong) } else { Ok(()) }
    }

    fn line_ended(&mut self, line: &[u8], event: &mut impl FnMut(&[u8])) {
        if line.is_empty() {
            if std::mem::take(&mut self.has_data) {
                event(&self.data);
                self.data.clear();
            }
            return;
        }
        // Comments begin with a colon; they and other fields (event, id, retry) are ignored.
        let Some(value) =
            line.strip_prefix(b"data").filter(|rest| rest.is_empty() || rest[0] == b':')
        else {
            return;
        };
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        if std::mem::replace(&mut self.has_data, true) {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(pieces: &[&[u8]]) -> Vec<String> {
        let mut parser = SseParser::default();
        let mut events = Vec::new();
        for piece in pieces {
            parser
                .feed(piece, |data| events.push(String::from_utf8_lossy(data).into_owned()))
                .unwrap();
        }
        events
    }

    #[test]
    fn comments_and_other_fields_are_ignored() {
        let body = b": OPENROUTER PROCESSING\n\nevent: x\nid: 1\nretry: 5\ndata: a\n\ndatax: b\n\n";
        assert_eq!(events(&[body]), ["a"]);
    }

    #[test]
    fn lines_may_end_in_lf_cr_or_crlf() {
        for body in
            ["data: a\n\ndata: b\n\n", "data: a\r\rdata: b\r\r", "data: a\r\n\r\ndata: b\r\n\r\n"]
        {
            assert_eq!(events(&[body.as_bytes()]), ["a", "b"], "{body:?}");
        }
    }

    #[test]
    fn several_data_lines_are_one_event() {
        assert_eq!(events(&[b"data: a\ndata:b\ndata\n\n"]), ["a\nb\n"]);
    }

    #[test]
    fn an_incomplete_event_is_not_emitted() {
        assert_eq!(events(&[b"data: a\n\ndata: b\n"]), ["a"]);
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut parser = SseParser::default();
        let piece = vec![b'x'; LARGEST_EVENT / 2 + 1];
        assert_eq!(parser.feed(&piece, |_| ()), Ok(()));
        assert_eq!(parser.feed(&piece, |_| ()), Err(Overlong));
    }

    const BODY: &str = ": hi\r\n\r\ndata: {\"a\":\"naïve 🚢\"}\r\n\r\ndata: b\ndata: c\n\n\rdata: d\r\r\ndata: [DONE]\n\n";

    #[test]
    fn a_chunk_boundary_at_any_byte_changes_nothing() {
        let whole = events(&[BODY.as_bytes()]);
        for cut in 0..=BODY.len() {
            let (left, right) = BODY.as_bytes().split_at(cut);
            assert_eq!(events(&[left, right]), whole, "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = BODY.as_bytes().chunks(1).collect();
        assert_eq!(events(&bytes), whole);
    }

    proptest! {
        #[test]
        fn any_boundaries_change_nothing(cuts in proptest::collection::vec(0..BODY.len(), 0..12)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&BODY.as_bytes()[from..cut]);
                from = cut;
            }
            pieces.push(&BODY.as_bytes()[from..]);
            prop_assert_eq!(events(&pieces), events(&[BODY.as_bytes()]));
        }
    }
}
