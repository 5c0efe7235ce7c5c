//! The types of files that can be uploaded.

use std::fmt;

/// How a file is inspected, served, and given to a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A still image.
    Image,
    /// A PDF document.
    Pdf,
    /// Text: prose, data, or source code. HTML and SVG are text, too, and are only ever served as `text/plain`.
    Text,
}

/// An allowed media type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FileType {
    media_type: &'static str,
    kind: FileKind,
}

const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/webp", "image/gif"];
const PDF: &str = "application/pdf";
/// What browsers, editors and the registry of media types call text.
const TEXTS: [&str; 60] = [
    "text/plain",
    "text/markdown",
    "text/csv",
    "text/tab-separated-values",
    "text/html",
    "text/css",
    "text/xml",
    "text/yaml",
    "text/x-yaml",
    "text/toml",
    "text/x-toml",
    "text/javascript",
    "text/typescript",
    "text/x-typescript",
    "text/jsx",
    "text/tsx",
    "text/x-python",
    "text/x-ruby",
    "text/x-perl",
    "text/x-php",
    "text/x-lua",
    "text/x-java",
    "text/x-java-source",
    "text/x-kotlin",
    "text/x-scala",
    "text/x-swift",
    "text/x-c",
    "text/x-csrc",
    "text/x-chdr",
    "text/x-c++",
    "text/x-c++src",
    "text/x-csharp",
    "text/x-go",
    "text/x-rust",
    "text/x-sql",
    "text/x-sh",
    "text/x-shellscript",
    "text/x-tex",
    "text/x-rst",
    "text/x-log",
    "text/x-diff",
    "text/x-patch",
    "text/calendar",
    "text/vcard",
    "text/vtt",
    "application/json",
    "application/ld+json",
    "application/x-ndjson",
    "application/x-ipynb+json",
    "application/xml",
    "application/xhtml+xml",
    "application/yaml",
    "application/x-yaml",
    "application/toml",
    "application/javascript",
    "application/x-javascript",
    "application/typescript",
    "application/sql",
    "application/x-sh",
    "image/svg+xml",
];

/// The type is not one of those that can be uploaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypeNotAllowed {
    /// The images of Apple's cameras, which no browser but Apple's can show.
    #[error(
        "HEIC images cannot be used here: save the image as JPEG and upload that (on an iPhone, choose \"Most Compatible\" \
         in Settings, Camera, Formats)"
    )]
    Heic,
    /// Any other.
    #[error(
        "files of this type cannot be used here: send a JPEG, PNG, WebP or GIF image, a PDF, or text"
    )]
    Other,
}

impl FileType {
    /// Parses a `content-type`; ignores its parameters and its case.
    pub fn parse(content_type: &str) -> Result<Self, TypeNotAllowed> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let found = Self::all().find(|known| known.media_type.eq_ignore_ascii_case(essence));
        found.ok_or_else(|| {
            let essence = essence.to_ascii_lowercase();
            if essence.starts_with("image/hei") {
                TypeNotAllowed::Heic
            } else {
                TypeNotAllowed::Other
            }
        })
    }

    /// All allowed types.
    pub fn all() -> impl Iterator<Item = Self> {
        let of = |kind| move |media_type| Self { media_type, kind };
        let images = IMAGES.into_iter().map(of(FileKind::Image));
        images.chain([of(FileKind::Pdf)(PDF)]).chain(TEXTS.into_iter().map(of(FileKind::Text)))
    }

    /// The media type, in lower case and without parameters.
    pub const fn as_str(self) -> &'static str {
        self.media_type
    }

    /// How it is treated.
    pub const fn kind(self) -> FileKind {
        self.kind
    }
}

impl fmt::Debug for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.media_type)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_type_is_known_by_its_essence_and_listed_once() {
        for (raw, known, kind) in [
            ("image/png", "image/png", FileKind::Image),
            ("Text/Markdown; charset=utf-8", "text/markdown", FileKind::Text),
            ("application/PDF", "application/pdf", FileKind::Pdf),
            ("image/svg+xml", "image/svg+xml", FileKind::Text),
            ("text/html", "text/html", FileKind::Text),
        ] {
            let parsed = FileType::parse(raw).unwrap();
            assert_eq!((parsed.as_str(), parsed.kind()), (known, kind));
        }
        let all: HashSet<_> = FileType::all().map(FileType::as_str).collect();
        assert_eq!(all.len(), FileType::all().count());
    }

    #[test]
    fn other_types_are_refused_and_heic_by_name() {
        for raw in
            ["", "image", "image/*", "application/zip", "video/mp4", "image/tiff", "image/png2"]
        {
            assert_eq!(FileType::parse(raw), Err(TypeNotAllowed::Other), "{raw}");
        }
        for raw in ["image/heic", "image/HEIF", "image/heic-sequence"] {
            assert_eq!(FileType::parse(raw), Err(TypeNotAllowed::Heic), "{raw}");
        }
    }
}
