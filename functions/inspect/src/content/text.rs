//! Text: anything that is characters, in UTF-8 or, with a byte order mark, in UTF-16.

use shared_core::uploads::{
    FileForm, FileRefusal, FileType, InspectedFile, LONGEST_MODEL_TEXT, text_tokens,
};

use super::{Accepted, Kept};

/// What a browser gets, whatever was declared: HTML and SVG must not run.
const VIEW_TYPE: &str = "text/plain; charset=utf-8";
const MODEL_TYPE: &str = "text/plain";

const NOT_TEXT: FileRefusal =
    FileRefusal::NotAsDeclared("it is not text in UTF-8, nor in UTF-16 with a byte order mark");
const CONTROLS: FileRefusal =
    FileRefusal::NotAsDeclared("it has control characters, which text has not");

pub(super) fn inspect(declared: FileType, bytes: &[u8]) -> Result<Accepted, FileRefusal> {
    let text = decode(bytes)?;
    if text.chars().any(is_control) {
        return Err(CONTROLS);
    }
    let model = text.as_bytes()[..text.floor_char_boundary(LONGEST_MODEL_TEXT)].to_vec();
    let model_bytes = model.len() as u64;
    let encoded = |bytes, media_type| Kept::Encoded { bytes, media_type };
    Ok(Accepted {
        file: InspectedFile {
            media_type: declared.as_str(),
            dimensions: None,
            pages: None,
            model_media_type: MODEL_TYPE,
            model_bytes,
            tokens: text_tokens(model_bytes),
        },
        forms: vec![
            (FileForm::View, encoded(text.into_bytes(), VIEW_TYPE)),
            (FileForm::Model, encoded(model, VIEW_TYPE)),
        ],
    })
}

/// Decodes by the byte order mark, and removes it.
fn decode(bytes: &[u8]) -> Result<String, FileRefusal> {
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest),
        _ => utf8(bytes),
    }
}

fn utf8(bytes: &[u8]) -> Result<String, FileRefusal> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| NOT_TEXT)
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, FileRefusal> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(NOT_TEXT);
    }
    // An unpaired surrogate is an error.
    char::decode_utf16(pairs.iter().map(|pair| unit(*pair)))
        .collect::<Result<_, _>>()
        .map_err(|_| NOT_TEXT)
}

/// Control characters but those of layout: tab, line feed, form feed, carriage return. Includes DEL and C1, which only binary
/// files and terminals have.
fn is_control(c: char) -> bool {
    c.is_control() && !matches!(c, '\t' | '\n' | '\x0c' | '\r')
}
