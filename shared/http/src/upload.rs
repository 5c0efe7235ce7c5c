//! An upload on the wire.

use jiff::Timestamp;
use serde::Serialize;
use shared_core::ids::ChatId;
use shared_core::uploads::{Filename, Upload, UploadState};
use utoipa::ToSchema;
use uuid::Uuid;

/// A file that a user has uploaded, or is about to.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Upload)]
pub struct UploadBody {
    id: Uuid,
    /// The name, of at most 200 bytes, without slashes and control characters.
    #[schema(value_type = String, example = "ship.jpg")]
    filename: Filename,
    /// The media type.
    #[schema(example = "image/jpeg")]
    content_type: String,
    /// The size in bytes, as it was sent.
    #[schema(example = 204_800)]
    size: u64,
    /// `pending`: its file is not there yet, or not completed. `ready`: it can be attached to questions.
    #[schema(value_type = String, example = "ready")]
    state: UploadState,
    /// Of an image: its width in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    /// Of an image: its height in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    /// Of a PDF.
    #[serde(skip_serializing_if = "Option::is_none")]
    pages: Option<u32>,
    /// The chats that have it, the latest use first; at most 20.
    #[schema(value_type = Vec<String>)]
    used_in: Vec<ChatId>,
    created_at: Timestamp,
    /// Names it in a message's part of type `file`. Its content is at this URL followed by `/file`.
    #[schema(example = "/api/uploads/0198c5a0-7b1e-7cc3-98c4-dc0c0c07398f")]
    url: String,
}

impl From<Upload> for UploadBody {
    fn from(upload: Upload) -> Self {
        let (width, height) = upload.dimensions.unzip();
        Self {
            id: upload.id.0,
            filename: upload.filename,
            content_type: upload.media_type,
            size: upload.size,
            state: upload.state,
            width,
            height,
            pages: upload.pages,
            used_in: upload.used_in,
            created_at: upload.created_at,
            url: upload.id.url(),
        }
    }
}

/// One upload.
#[derive(Debug, Serialize, ToSchema)]
pub struct UploadAnswer {
    upload: UploadBody,
}

impl From<Upload> for UploadAnswer {
    fn from(upload: Upload) -> Self {
        Self { upload: upload.into() }
    }
}
