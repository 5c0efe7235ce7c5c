//! GIF (89a). Its blocks are walked first: frames are counted without decoding one.

use gif::{ColorOutput, DecodeOptions, MemoryLimit};
use image::metadata::Orientation;
use shared_core::uploads::UnreadableFile;

use super::super::deadline::Deadline;
use super::raster::{Raster, Samples};
use super::{Decoded, limits};

/// Header and logical screen descriptor, in bytes.
const HEADER: usize = 13;
/// Image descriptor without its introducer, in bytes.
const DESCRIPTOR: usize = 9;

pub(super) fn decode(bytes: &[u8], deadline: Deadline) -> Result<Decoded, UnreadableFile> {
    let outline = Outline::read(bytes).ok_or(UnreadableFile::Damaged)?;
    outline.check()?;
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::RGBA);
    options.check_frame_consistency(true);
    options.check_lzw_end_code(true);
    options.set_memory_limit(MemoryLimit::Bytes(limits::SAMPLE_BYTES));
    let failed = |_| deadline.cause();
    let mut decoder = options.read_info(deadline.reader(bytes)).map_err(failed)?;
    let frame = decoder.read_next_frame().map_err(failed)?.ok_or(UnreadableFile::Damaged)?;
    let raster = outline.canvas(frame).ok_or(UnreadableFile::Damaged)?;
    Ok(Decoded {
        raster,
        orientation: Orientation::NoTransforms,
        icc: decoder.icc_profile().map(<[u8]>::to_vec),
        is_lossless: true,
    })
}

/// What the blocks of a GIF say.
#[derive(Debug)]
struct Outline {
    /// Size of the canvas, in pixels.
    canvas: (u16, u16),
    /// Size of the first frame, in pixels.
    frame: (u16, u16),
    has_more_frames: bool,
}

impl Outline {
    /// Walks the blocks up to the second frame or the end. What follows the end is dropped.
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut at = HEADER + colour_table(*bytes.get(10)?);
        let mut frame = None;
        let has_more_frames = loop {
            let kind = *bytes.get(at)?;
            at += 1;
            match kind {
                b'!' => at = sub_blocks(bytes, at + 1)?,
                b',' if frame.is_some() => break true,
                b',' => {
                    frame = Some(size(bytes, at + 4)?);
                    let packed = *bytes.get(at + DESCRIPTOR - 1)?;
                    // The minimum code size is one byte.
                    at = sub_blocks(bytes, at + DESCRIPTOR + colour_table(packed) + 1)?;
                }
                b';' => break false,
                _ => return None,
            }
        };
        Some(Self { canvas: size(bytes, 6)?, frame: frame?, has_more_frames })
    }

    fn check(&self) -> Result<(), UnreadableFile> {
        let rgba = Samples::Rgba.count() as u64;
        for (width, height) in [self.canvas, self.frame] {
            limits::check(width.into(), height.into(), rgba)?;
        }
        if self.has_more_frames {
            return Err(UnreadableFile::Animated);
        }
        let pixels = |(width, height): (u16, u16)| u64::from(width) * u64::from(height);
        limits::check_memory((pixels(self.canvas) + pixels(self.frame)) * rgba)
    }

    /// Puts the frame onto its canvas, which is transparent.
    fn canvas(&self, frame: &gif::Frame<'_>) -> Option<Raster> {
        let mut canvas = Raster::new(self.canvas.0.into(), self.canvas.1.into(), Samples::Rgba);
        let row_bytes = canvas.row_bytes();
        let bytes_of = |pixels: u16| usize::from(pixels) * Samples::Rgba.count();
        let left = bytes_of(frame.left);
        let rows = canvas.data.chunks_mut(row_bytes).skip(frame.top.into());
        for (to, from) in rows.zip(frame.buffer.chunks(bytes_of(frame.width))) {
            to.get_mut(left..left + from.len())?.copy_from_slice(from);
        }
        Some(canvas)
    }
}

/// Width and height, at this position.
fn size(bytes: &[u8], at: usize) -> Option<(u16, u16)> {
    let &[x0, x1, y0, y1] = bytes.get(at..at + 4)? else { return None };
    Some((u16::from_le_bytes([x0, x1]), u16::from_le_bytes([y0, y1])))
}

/// Bytes of the colour table that these flags announce.
fn colour_table(packed: u8) -> usize {
    if packed & 0x80 == 0 { 0 } else { 3 << ((packed & 7) + 1) }
}

/// The position behind the blocks of data that begin here.
fn sub_blocks(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match usize::from(*bytes.get(at)?) {
            0 => return Some(at + 1),
            length => at += 1 + length,
        }
    }
}
