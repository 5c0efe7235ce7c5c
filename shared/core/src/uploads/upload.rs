//! An upload: what its client declares, what inspection finds, and what is kept.

use std::fmt;
use std::num::NonZeroU32;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::file_type::{FileKind, FileType};
use super::filename::Filename;
use crate::ids::ChatId;

/// How long an upload waits for its file; then it expires. A job frees its bytes ten minutes later.
pub const PENDING_FOR: SignedDuration = SignedDuration::from_hours(1);

/// The largest PDF, in bytes: models refuse larger requests.
pub const LARGEST_PDF: u64 = 10 * 1024 * 1024;

/// The most pages of a PDF: what the context of the largest models holds.
pub const PDF_PAGES: u32 = 300;

/// The longest text that models get of a text file, in bytes of UTF-8: its beginning, some 64,000 tokens.
pub const LONGEST_MODEL_TEXT: usize = 256 * 1024;

/// An upload's id, a `UUIDv7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UploadId(pub Uuid);

/// Path of an upload: how clients name it in a message.
const PATH: &str = "/api/uploads/";

impl UploadId {
    /// Parses the text that [`Display`](fmt::Display) writes, and no other form of a UUID.
    pub fn parse(raw: &str) -> Option<Self> {
        let id = Uuid::try_parse(raw).ok().map(Self)?;
        (id.to_string() == raw).then_some(id)
    }

    /// Parses the text that [`UploadId::url`] writes.
    pub fn of_url(url: &str) -> Option<Self> {
        Self::parse(url.strip_prefix(PATH)?)
    }

    /// Its URL within the app, `/api/uploads/<id>`.
    pub fn url(self) -> String {
        format!("{PATH}{self}")
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The SHA-256 of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sha256Digest(pub [u8; 32]);

/// A file as its client declares it, before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUpload {
    /// The id.
    pub id: UploadId,
    /// The name.
    pub filename: Filename,
    /// The type.
    pub file_type: FileType,
    /// The size in bytes, at least 1.
    pub size: u64,
    /// The hash of its bytes.
    pub sha256: Sha256Digest,
}

impl NewUpload {
    /// The largest file of this type under a plan's limit, in MiB.
    pub fn limit_mib(file_type: FileType, plan_mib: u32) -> u32 {
        match file_type.kind() {
            FileKind::Pdf => plan_mib.min(u32::try_from(LARGEST_PDF >> 20).unwrap_or(u32::MAX)),
            FileKind::Image | FileKind::Text => plan_mib,
        }
    }
}

/// A form in which a file is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileForm {
    /// What people get: an image of at most 4,096 pixels on its longer side, the PDF as it was sent, the text in UTF-8.
    View,
    /// What models get: an image of at most 2,048 pixels and 1.5 MiB, the PDF, the beginning of the text.
    Model,
    /// Of an image, at most 320 pixels.
    Thumb,
}

/// What inspection found of a file that it accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InspectedFile {
    /// The media type of the form for people.
    pub media_type: &'static str,
    /// Size of the image for people, in pixels: width and height.
    pub dimensions: Option<(u32, u32)>,
    /// Pages of the PDF.
    pub pages: Option<NonZeroU32>,
    /// The media type of the form for models.
    pub model_media_type: &'static str,
    /// The size of the form for models, in bytes.
    pub model_bytes: u64,
    /// Tokens that it takes of a prompt, estimated.
    pub tokens: u32,
}

/// An upload's state, while it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum UploadState {
    /// Its file is not there yet, or not inspected.
    Pending,
    /// It can be attached to questions.
    Ready,
}

impl UploadState {
    /// Parses the database value.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "pending" => Some(Self::Pending),
            "ready" => Some(Self::Ready),
            _ => None,
        }
    }
}

/// An upload as its user sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The id.
    pub id: UploadId,
    /// The name.
    pub filename: Filename,
    /// The type that was declared, until inspection has found what is kept.
    pub media_type: String,
    /// How it is treated.
    pub kind: FileKind,
    /// The size in bytes, as it was sent.
    pub size: u64,
    /// The state.
    pub state: UploadState,
    /// Size of the image for people, in pixels: width and height.
    pub dimensions: Option<(u32, u32)>,
    /// Pages of the PDF.
    pub pages: Option<u32>,
    /// The chats with messages that have it.
    pub used_in: Vec<ChatId>,
    /// When it was declared.
    pub created_at: Timestamp,
}

/// What inspection needs of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uploaded {
    /// The upload.
    pub upload: Upload,
    /// The type that was declared.
    pub file_type: FileType,
    /// The hash that was declared.
    pub sha256: Sha256Digest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_named_by_one_url() {
        let id = UploadId::parse("0198c5a0-7b1e-7cc3-98c4-dc0c0c07398f").unwrap();
        assert_eq!(UploadId::of_url(&id.url()), Some(id));
        for url in [
            String::new(),
            "/api/uploads/".into(),
            format!("/api/uploads/{id}/file"),
            format!("https://chat.example.com/api/uploads/{id}"),
            format!("/api/uploads/{}", id.to_string().to_uppercase()),
            format!("/api/uploads/../uploads/{id}"),
            "data:image/png;base64,AAAA".into(),
        ] {
            assert_eq!(UploadId::of_url(&url), None, "{url}");
        }
    }

    #[test]
    fn a_pdf_has_a_limit_of_its_own() {
        let of = |media_type| FileType::parse(media_type).unwrap();
        assert_eq!(NewUpload::limit_mib(of("application/pdf"), 25), 10);
        assert_eq!(NewUpload::limit_mib(of("application/pdf"), 5), 5);
        assert_eq!(NewUpload::limit_mib(of("image/png"), 25), 25);
    }
}
