//! Text: what is characters is text.

use super::setup::{Model, View, accepted, assert_lie, kept};

#[test]
fn text_is_kept_in_utf_8() {
    let text = "# Grüße 🚢\r\n\tsecond line\x0c\n";
    let marked = |mark: &[u8], bytes: Vec<u8>| [mark, &bytes].concat();
    let units = || text.encode_utf16();
    for file in [
        text.as_bytes().to_vec(),
        marked(b"\xef\xbb\xbf", text.as_bytes().to_vec()),
        marked(b"\xff\xfe", units().flat_map(u16::to_le_bytes).collect()),
        marked(b"\xfe\xff", units().flat_map(u16::to_be_bytes).collect()),
    ] {
        let accepted = accepted("text/markdown", &file);
        assert_eq!(kept(&accepted, View), (text.as_bytes(), "text/plain; charset=utf-8"));
        assert_eq!(kept(&accepted, Model).0, text.as_bytes());
        assert_eq!(accepted.forms.len(), 2);
        let file = accepted.file;
        assert_eq!((file.media_type, file.model_media_type), ("text/markdown", "text/plain"));
        assert_eq!((file.dimensions, file.pages), (None, None));
        assert_eq!((file.model_bytes, file.tokens), (text.len() as u64, 7));
    }
}

#[test]
fn html_and_svg_are_text_that_never_runs() {
    for (declared, text) in [
        ("text/html", "<script>alert(1)</script>"),
        ("image/svg+xml", "<svg onload=\"alert(1)\"/>"),
        ("application/json", "not JSON, but text"),
    ] {
        let accepted = accepted(declared, text.as_bytes());
        assert_eq!(kept(&accepted, View), (text.as_bytes(), "text/plain; charset=utf-8"));
    }
}

#[test]
fn models_get_the_beginning_of_a_long_text() {
    // The limit is within a character of three bytes.
    let text = "€".repeat(100_000);
    let accepted = accepted("text/plain", text.as_bytes());
    let (model, _) = kept(&accepted, Model);
    assert_eq!(model.len(), 256 * 1024 / 3 * 3);
    assert!(text.as_bytes().starts_with(model));
    assert_eq!(kept(&accepted, View).0, text.as_bytes());
    assert_eq!(accepted.file.model_bytes, model.len() as u64);
    assert_eq!(accepted.file.tokens, 65_535);
}

#[test]
fn what_is_not_characters_is_no_text() {
    for file in [
        &b"a\0b"[..],
        b"\x1b[31mred\x1b[0m",
        b"bell \x07",
        b"delete \x7f",
        "C1 \u{85}".as_bytes(),
        // Latin-1.
        b"Gr\xfc\xdfe",
        // A surrogate, as UTF-8, and unpaired in UTF-16.
        b"\xed\xa0\x80",
        b"\xff\xfe\x00\xd8a\0",
        // Half a unit.
        b"\xff\xfea\0b",
        // UTF-16 without a mark, and UTF-32.
        b"a\0b\0c\0",
        b"\0a\0b\0c",
        b"\xff\xfe\0\0a\0\0\0",
        b"\xff\xfea\0\0\0",
    ] {
        assert_lie("text/plain", file);
    }
}

#[test]
fn a_mark_alone_is_an_empty_text() {
    let accepted = accepted("text/plain", b"\xef\xbb\xbf");
    assert_eq!(kept(&accepted, Model).0, b"");
    assert_eq!(accepted.file.tokens, 0);
}
