//! Files in a local S3, and in one that fails.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod broken;
mod presigned;
mod removal;
mod setup;
mod versions;
