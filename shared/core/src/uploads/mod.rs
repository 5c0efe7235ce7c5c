//! Uploads: files that users send to object storage, and attach to questions.
//!
//! ```text
//! pending ──▶ ready ──▶ deleted
//!    └───────────────────▲      (refused by inspection, deleted, expired, or its messages were erased)
//! ```
//!
//! A pending upload is stored in quarantine as the client sent it. Inspection accepts or refuses it, and writes what people
//! and models get of it: an image is decoded and encoded anew.

mod error;
mod estimate;
mod file_type;
mod filename;
mod upload;

pub use error::{FileRefusal, InvalidUpload, UnreadableFile, UploadError};
pub use estimate::{image_tokens, pdf_tokens, text_tokens};
pub use file_type::{FileKind, FileType, TypeNotAllowed};
pub use filename::Filename;
pub use upload::{
    FileForm, InspectedFile, LARGEST_PDF, LONGEST_MODEL_TEXT, NewUpload, PDF_PAGES, PENDING_FOR,
    Sha256Digest, Upload, UploadId, UploadState, Uploaded,
};
