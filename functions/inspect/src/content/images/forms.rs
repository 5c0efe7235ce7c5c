//! The forms in which an image is kept.

use shared_core::uploads::{FileForm, InspectedFile, UnreadableFile, image_tokens};

use super::super::Accepted;
use super::encode::{self, Encoded};
use super::raster::Raster;
use super::{Decoded, colour, orientation, resize};

/// The longer side of the image for people, in pixels.
const VIEW_LONGEST: u32 = 4096;
/// The image for people, in bytes: only noise and large transparent images reach it.
const VIEW_BYTES: usize = 16 << 20;
/// The longer side of the image for models, in pixels: they scale larger ones down.
const MODEL_LONGEST: u32 = 2048;
/// The image for models, in bytes: Base64 makes it 2 MiB of a request.
const MODEL_BYTES: usize = 1536 << 10;
/// The longer side of the thumbnail, in pixels.
const THUMB_LONGEST: u32 = 320;
/// The JPEG quality of the thumbnail.
const THUMB_QUALITY: u8 = 80;

/// Makes all forms. Each is scaled from the one before it, which has been freed by then or is no larger than the image for
/// people: no step has more than two large images in memory.
pub(super) fn make(decoded: Decoded) -> Result<Accepted, UnreadableFile> {
    let Decoded { raster, orientation, icc, is_lossless } = decoded;
    // First smaller, then the rest: a turn or a conversion costs by the pixel.
    let raster = shrunk(raster.without_opaque_alpha(), VIEW_LONGEST)?;
    let mut raster = orientation::upright(raster, orientation);
    colour::to_srgb(&mut raster, icc.as_deref());
    let view = encode::within(VIEW_BYTES, &raster, is_lossless)?;

    let raster = shrunk(raster, MODEL_LONGEST)?;
    let thumb = thumb(&raster)?;
    let model = encode::within(MODEL_BYTES, &raster.onto_white(), is_lossless)?;

    Ok(Accepted {
        file: InspectedFile {
            media_type: view.media_type,
            dimensions: Some((view.width, view.height)),
            pages: None,
            model_media_type: model.media_type,
            model_bytes: model.bytes.len() as u64,
            tokens: image_tokens(model.width, model.height),
        },
        forms: vec![
            (FileForm::View, view.into()),
            (FileForm::Model, model.into()),
            (FileForm::Thumb, thumb.into()),
        ],
    })
}

/// Scales an image down, if it is larger.
fn shrunk(mut raster: Raster, longest: u32) -> Result<Raster, UnreadableFile> {
    let (width, height) = resize::fitting(raster.width, raster.height, longest);
    if (width, height) == (raster.width, raster.height) {
        return Ok(raster);
    }
    resize::premultiply(&mut raster)?;
    let mut scaled = resize::scaled(&raster, width, height)?;
    drop(raster);
    resize::unpremultiply(&mut scaled)?;
    Ok(scaled)
}

fn thumb(raster: &Raster) -> Result<Encoded, UnreadableFile> {
    let thumb = shrunk(raster.clone(), THUMB_LONGEST)?;
    if thumb.has_alpha() { encode::png(&thumb) } else { encode::jpeg(&thumb, THUMB_QUALITY) }
}
