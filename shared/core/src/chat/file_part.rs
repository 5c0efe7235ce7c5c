//! Files of a message.

use serde::{Deserialize, Serialize};

use crate::uploads::UploadId;

/// How many files a message may have.
pub const FILES_PER_MESSAGE: usize = 8;
/// How many bytes of files one turn sends to a model, before they are encoded.
pub const FILES_PER_TURN_BYTES: u64 = 20 * 1024 * 1024;

/// A file of a message, in the shape of the AI SDK's part of type `file`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FilePart {
    /// The upload's URL, `/api/uploads/<id>`; empty once it is deleted.
    pub url: String,
    /// The media type.
    pub media_type: String,
    /// The name.
    pub filename: String,
    /// What inspection found.
    pub provider_metadata: FileMetadata,
}

/// The AI SDK's place for what is not in its schema: an object for each provider of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMetadata {
    /// Ours.
    pub upload: FileFacts,
}

/// What a prompt and a page need to know of a file before they read it. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FileFacts {
    /// Width of the image for people, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height of the image for people, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
    /// Pages of the PDF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages: Option<u32>,
    /// The media type of the form for models.
    pub model_type: String,
    /// The size of the form for models, in bytes.
    pub model_bytes: u64,
    /// Tokens that it takes of a prompt, estimated.
    pub tokens: u32,
}

impl FilePart {
    /// The upload, unless it is deleted.
    pub fn upload(&self) -> Option<UploadId> {
        UploadId::of_url(&self.url)
    }

    /// What inspection found.
    pub fn facts(&self) -> &FileFacts {
        &self.provider_metadata.upload
    }

    /// Whether models get it as an image.
    pub fn is_image(&self) -> bool {
        self.facts().model_type.starts_with("image/")
    }
}
