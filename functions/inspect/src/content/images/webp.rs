//! WebP (RFC 9649).

use image_webp::WebPDecoder;
use shared_core::uploads::UnreadableFile;

use super::super::deadline::Deadline;
use super::raster::{Raster, Samples};
use super::{Decoded, limits, orientation};

/// `RIFF`, the size, and `WEBP`, in bytes.
const HEADER: usize = 12;
/// The largest metadata chunk, in bytes.
const CHUNK_BYTES: usize = 8 << 20;

pub(super) fn decode(bytes: &[u8], deadline: Deadline) -> Result<Decoded, UnreadableFile> {
    let failed = |_| deadline.cause();
    let outline = Outline::read(bytes).ok_or(UnreadableFile::Damaged)?;
    if outline.is_animated {
        return Err(UnreadableFile::Animated);
    }
    let mut decoder = WebPDecoder::new(deadline.reader(&bytes[..outline.end])).map_err(failed)?;
    decoder.set_memory_limit(CHUNK_BYTES);
    let (width, height) = decoder.dimensions();
    // The decoder allocates for a frame before it compares its size with the canvas.
    if outline.frames.iter().any(|frame| *frame != (width, height)) {
        return Err(UnreadableFile::Damaged);
    }
    let samples = if decoder.has_alpha() { Samples::Rgba } else { Samples::Rgb };
    let is_lossless = !decoder.is_lossy();
    limits::check(width, height, samples.count() as u64)?;
    let bytes_per_pixel = samples.count() as u64 + if is_lossless { LOSSLESS } else { LOSSY };
    limits::check_memory(u64::from(width) * u64::from(height) * bytes_per_pixel)?;

    let mut raster = Raster::new(width, height, samples);
    decoder.read_image(&mut raster.data).map_err(failed)?;
    let exif = decoder.exif_metadata().map_err(failed)?;
    Ok(Decoded {
        raster,
        orientation: orientation(exif.as_deref()),
        icc: decoder.icc_profile().map_err(failed)?,
        is_lossless,
    })
}

/// Bytes a pixel that the decoder keeps beside the samples: the planes of luma and chroma, and of alpha.
const LOSSY: u64 = 2;
/// Likewise, of a lossless image: RGBA, of which it copies RGB.
const LOSSLESS: u64 = 4;

/// What the chunks of a WebP file say.
#[derive(Debug)]
struct Outline {
    is_animated: bool,
    /// Sizes of the images within, in pixels: one, in a file that is well formed.
    frames: Vec<(u32, u32)>,
    /// The position behind the last chunk. What follows is dropped.
    end: usize,
}

impl Outline {
    /// Walks the chunks, which have to fill the container: the decoder would take the first that it needs.
    fn read(bytes: &[u8]) -> Option<Self> {
        let end = little_endian(bytes, 4)?.checked_add(8)?;
        let container = bytes.get(..end)?;
        let mut outline = Self { is_animated: false, frames: Vec::new(), end };
        let mut at = HEADER;
        while at < end {
            match container.get(at..at + 4)? {
                b"ANIM" | b"ANMF" => outline.is_animated = true,
                b"VP8 " => outline.frames.push(lossy_size(container, at + 8)?),
                b"VP8L" => outline.frames.push(lossless_size(container, at + 8)?),
                _ => {}
            }
            let length = little_endian(container, at + 4)?;
            // Chunks are padded to an even length.
            at = at.checked_add(8)?.checked_add(length)?.checked_add(length % 2)?;
        }
        // Some encoders leave the last padding byte out.
        (at == end || at == end + 1).then_some(outline)
    }
}

/// Width and height of a VP8 frame (RFC 6386, 9.1): 14 bits each, behind the frame tag and the start code.
fn lossy_size(bytes: &[u8], at: usize) -> Option<(u32, u32)> {
    let size = little_endian(bytes, at + 6)?;
    Some((bits(size, 0), bits(size, 16)))
}

/// Width and height of a lossless image, less one each (RFC 9649, 3.4): behind the signature.
fn lossless_size(bytes: &[u8], at: usize) -> Option<(u32, u32)> {
    let size = little_endian(bytes, at + 1)?;
    Some((bits(size, 0) + 1, bits(size, 14) + 1))
}

/// 14 bits of a number.
fn bits(number: usize, from: u32) -> u32 {
    u32::try_from(number >> from & 0x3fff).unwrap_or_default()
}

fn little_endian(bytes: &[u8], at: usize) -> Option<usize> {
    let number = bytes.get(at..at.checked_add(4)?)?.first_chunk()?;
    usize::try_from(u32::from_le_bytes(*number)).ok()
}
