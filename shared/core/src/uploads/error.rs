//! Why an upload, its inspection, or its download fails.

use super::file_type::TypeNotAllowed;
use super::upload::PDF_PAGES;
use crate::billing::Upgrade;
use crate::limits::LimitReached;
use crate::store::{BoxError, StoreError};

/// A field of the declaration of a file is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUpload {
    /// A file without a byte.
    #[error("size: a file has at least one byte")]
    Empty,
    /// Not a SHA-256.
    #[error("sha256: the SHA-256 of the file, as 64 hexadecimal digits")]
    Hash,
    /// No name.
    #[error("filename: 1 to 4,096 bytes")]
    Filename,
}

/// Why a file that its client has sent is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileRefusal {
    /// Its content is not of the type, the size or the hash that was declared.
    #[error("the file is not what was declared: {0}")]
    NotAsDeclared(&'static str),
    /// It cannot be used.
    #[error(transparent)]
    Unreadable(#[from] UnreadableFile),
}

/// Why a file of the declared type cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableFile {
    /// It cannot be decoded.
    #[error("the file is damaged or incomplete; export it again and upload that")]
    Damaged,
    /// A PDF that needs a password.
    #[error("the PDF is encrypted; remove its password and upload it again")]
    Encrypted,
    /// Too many pixels.
    #[error("the image has more than 40 megapixels; scale it down and upload it again")]
    TooManyPixels,
    /// More than one frame.
    #[error("animations cannot be used here; upload a still image")]
    Animated,
    /// A PDF with too many pages.
    #[error("the PDF has more than {PDF_PAGES} pages; upload the part that you ask about")]
    TooManyPages,
    /// Decoding takes too long.
    #[error("the file is too complex; export it in a simpler form and upload that")]
    TooComplex,
}

impl UnreadableFile {
    /// The reason for programs: `details.because`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::Encrypted => "encrypted",
            Self::TooManyPixels => "too_many_pixels",
            Self::Animated => "animated",
            Self::TooManyPages => "too_many_pages",
            Self::TooComplex => "too_complex",
        }
    }
}

/// Why an operation on uploads failed.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The declaration is invalid.
    #[error(transparent)]
    Invalid(#[from] InvalidUpload),
    /// The type cannot be uploaded.
    #[error(transparent)]
    Type(#[from] TypeNotAllowed),
    /// The file is larger than the plan, or its type, allows.
    #[error("the file is larger than {limit_mib} MiB")]
    TooLarge {
        /// The limit, in MiB.
        limit_mib: u32,
        /// A plan that allows it.
        upgrade: Option<Upgrade>,
    },
    /// The user's files take all the storage of the plan.
    #[error("your files take {used_bytes} of {limit_bytes} bytes; delete some, or upgrade")]
    StorageFull {
        /// Bytes in use.
        used_bytes: u64,
        /// The plan's limit, in bytes.
        limit_bytes: u64,
        /// A plan that allows it.
        upgrade: Option<Upgrade>,
    },
    /// Too many uploads.
    #[error("your plan allows {} uploads an hour; try again in {} s", .0.limit.count, .0.retry_after.as_secs())]
    TooMany(#[from] LimitReached),
    /// The user has no such upload; it may have expired or been deleted.
    #[error("there is no such file of yours")]
    NotFound,
    /// Its file is not there yet.
    #[error("the file was not sent yet, or not completed")]
    Missing,
    /// Inspection has refused the file.
    #[error(transparent)]
    Refused(#[from] FileRefusal),
    /// Object storage failed.
    #[error("files cannot be reached right now; try again in a moment")]
    Unavailable(#[source] BoxError),
    /// Postgres failed.
    #[error("files cannot be reached right now; try again in a moment")]
    Store(#[from] StoreError),
}
