//! Encodes an image, without metadata, within a number of bytes.

use std::borrow::Cow;

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use shared_core::uploads::UnreadableFile;

use super::super::Kept;
use super::raster::{Raster, Samples};
use super::resize::{premultiply, scaled, unpremultiply};

/// The first quality of JPEG that is tried, and the lowest, at which small text is still legible. Chroma is never subsampled:
/// coloured text would blur.
const QUALITIES: [u8; 2] = [85, 80];
/// The longer side at which an image is kept however many bytes it has.
const SMALLEST: u32 = 64;

/// An encoded image.
#[derive(Debug)]
pub(super) struct Encoded {
    /// In pixels.
    pub(super) width: u32,
    /// In pixels.
    pub(super) height: u32,
    /// `image/jpeg` or `image/png`.
    pub(super) media_type: &'static str,
    pub(super) bytes: Vec<u8>,
}

impl From<Encoded> for Kept {
    fn from(encoded: Encoded) -> Self {
        Self::Encoded { bytes: encoded.bytes, media_type: encoded.media_type }
    }
}

/// Encodes an image in at most `limit` bytes: as PNG if it is transparent, or `is_lossless` and fits; else as JPEG, of less
/// quality, then smaller.
pub(super) fn within(
    limit: usize,
    raster: &Raster,
    is_lossless: bool,
) -> Result<Encoded, UnreadableFile> {
    let fits = |encoded: &Encoded| encoded.bytes.len() <= limit || is_smallest(encoded);
    if is_lossless && !raster.has_alpha() {
        let encoded = png(raster)?;
        if fits(&encoded) {
            return Ok(encoded);
        }
    }
    let mut raster = Cow::Borrowed(raster);
    loop {
        for quality in QUALITIES {
            let encoded = if raster.has_alpha() { png(&raster) } else { jpeg(&raster, quality) }?;
            if fits(&encoded) {
                return Ok(encoded);
            }
            // The lower quality saves some 15 %.
            if raster.has_alpha() || encoded.bytes.len() / 5 * 4 > limit {
                break;
            }
        }
        raster = Cow::Owned(smaller(&raster)?);
    }
}

fn is_smallest(encoded: &Encoded) -> bool {
    encoded.width.max(encoded.height) <= SMALLEST
}

/// Three quarters of the size: 56 % of the pixels.
fn smaller(raster: &Raster) -> Result<Raster, UnreadableFile> {
    let side = |side: u32| (side / 4 * 3).max(1);
    let mut source = Cow::Borrowed(raster);
    if raster.has_alpha() {
        premultiply(source.to_mut())?;
    }
    let mut smaller = scaled(&source, side(raster.width), side(raster.height))?;
    unpremultiply(&mut smaller)?;
    Ok(smaller)
}

/// Encodes as JPEG of this quality, 1 to 100.
pub(super) fn jpeg(raster: &Raster, quality: u8) -> Result<Encoded, UnreadableFile> {
    let colour = match raster.samples {
        Samples::Grey => ExtendedColorType::L8,
        Samples::Rgb => ExtendedColorType::Rgb8,
        Samples::Rgba => ExtendedColorType::Rgba8,
    };
    let mut bytes = Vec::with_capacity(raster.data.len() / 8);
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode(&raster.data, raster.width, raster.height, colour)
        .map_err(|_| UnreadableFile::Damaged)?;
    bytes.shrink_to_fit();
    Ok(Encoded { width: raster.width, height: raster.height, media_type: "image/jpeg", bytes })
}

/// Encodes as PNG, fast rather than small.
pub(super) fn png(raster: &Raster) -> Result<Encoded, UnreadableFile> {
    let mut bytes = Vec::with_capacity(raster.data.len() / 8);
    write_png(raster, &mut bytes).map_err(|_| UnreadableFile::Damaged)?;
    bytes.shrink_to_fit();
    Ok(Encoded { width: raster.width, height: raster.height, media_type: "image/png", bytes })
}

fn write_png(raster: &Raster, bytes: &mut Vec<u8>) -> Result<(), png::EncodingError> {
    let mut encoder = png::Encoder::new(bytes, raster.width, raster.height);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    encoder.set_color(match raster.samples {
        Samples::Grey => png::ColorType::Grayscale,
        Samples::Rgb => png::ColorType::Rgb,
        Samples::Rgba => png::ColorType::Rgba,
    });
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&raster.data)?;
    writer.finish()
}
