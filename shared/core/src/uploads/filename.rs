//! The name of a file, which is shown to people and models, and is never part of a path or of a key.

use std::fmt;

use serde::Serialize;

/// Longest name, in bytes of UTF-8.
const LONGEST: usize = 200;
/// The name of a file whose own has no character that is kept.
const UNNAMED: &str = "file";

/// A file's name: one line of at most 200 bytes without slashes, control characters and invisible marks of direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Filename(String);

impl Filename {
    /// Cleans a name rather than refusing it: it is only a label. Cuts a longer one before its extension.
    pub fn clean(raw: &str) -> Self {
        let is_kept = |c: &char| !c.is_control() && !matches!(c, '/' | '\\') && !is_invisible(*c);
        let kept: String = raw.chars().filter(is_kept).collect();
        // Dots in front would hide a file, or name a folder.
        let name = kept.trim().trim_start_matches('.').trim();
        Self(if name.is_empty() { UNNAMED.to_owned() } else { shortened(name) })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Line separators and marks that reorder or hide text (Unicode's Bidi controls, zero-width characters, tags).
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{061c}'
            | '\u{200b}'
            | '\u{200e}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

fn shortened(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let extension = name.rfind('.').map_or("", |dot| &name[dot..]);
    let extension = if extension.len() <= 16 { extension } else { "" };
    let stem = &name[..name.floor_char_boundary(LONGEST - extension.len())];
    format!("{stem}{extension}")
}

impl fmt::Display for Filename {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_what_people_read_and_nothing_else() {
        for (raw, clean) in [
            ("report.pdf", "report.pdf"),
            ("  Überblick 2026 🚢.png ", "Überblick 2026 🚢.png"),
            ("../../etc/passwd", "etcpasswd"),
            ("C:\\temp\\a.txt", "C:tempa.txt"),
            ("a\0b\r\nc\td.txt", "abcd.txt"),
            ("exe\u{202e}gnp.txt", "exegnp.txt"),
            ("\"; filename=\"x.exe", "\"; filename=\"x.exe"),
            ("👩\u{200d}🚀.jpg", "👩\u{200d}🚀.jpg"),
            (".bashrc", "bashrc"),
            ("", "file"),
            ("///", "file"),
            ("\u{202e}\u{200b}..", "file"),
        ] {
            assert_eq!(Filename::clean(raw).as_str(), clean, "{raw:?}");
        }
    }

    #[test]
    fn a_long_name_is_cut_before_its_extension() {
        let name = Filename::clean(&format!("{}.tar.gz", "é".repeat(5000)));
        assert!(name.as_str().len() <= LONGEST && name.as_str().ends_with("é.gz"), "{name}");
        let name = Filename::clean(&"x".repeat(10_240));
        assert_eq!(name.as_str().len(), LONGEST);
    }
}
