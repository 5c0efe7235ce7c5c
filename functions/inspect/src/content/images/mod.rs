//! Images: decoded within limits, and encoded anew.

mod colour;
mod encode;
mod forms;
mod gif;
mod jpeg;
mod limits;
mod orientation;
mod png;
mod raster;
mod resize;
mod webp;

use image::metadata::Orientation;
use shared_core::uploads::{FileType, UnreadableFile};

use self::raster::Raster;
use super::Accepted;
use super::deadline::Deadline;

/// An image as its file has it.
#[derive(Debug)]
struct Decoded {
    raster: Raster,
    /// How it was turned by the camera.
    orientation: Orientation,
    /// Its colour profile, if there is one.
    icc: Option<Vec<u8>>,
    /// Whether its file keeps every pixel: probably drawn, or a screenshot, and worth keeping so.
    is_lossless: bool,
}

pub(super) fn inspect(
    declared: FileType,
    bytes: &[u8],
    deadline: Deadline,
) -> Result<Accepted, UnreadableFile> {
    let decoded = match declared.as_str() {
        "image/jpeg" => jpeg::decode(bytes, deadline),
        "image/png" => png::decode(bytes, deadline),
        "image/webp" => webp::decode(bytes, deadline),
        "image/gif" => gif::decode(bytes, deadline),
        // A format that was added to the types, but not here.
        _ => Err(UnreadableFile::Damaged),
    }?;
    deadline.check()?;
    forms::make(decoded)
}

/// The orientation of an EXIF block; upright if there is none.
fn orientation(exif: Option<&[u8]>) -> Orientation {
    let exif = exif.map(|exif| exif.strip_prefix(b"Exif\0\0").unwrap_or(exif));
    exif.and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms)
}
