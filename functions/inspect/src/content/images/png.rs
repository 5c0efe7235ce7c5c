//! PNG (W3C PNG Specification, third edition).

use png::{ColorType, Decoder, Limits, Transformations};
use shared_core::uploads::UnreadableFile;

use super::super::deadline::Deadline;
use super::raster::{Raster, Samples};
use super::{Decoded, limits, orientation};

/// Memory for chunks other than pixels, in bytes, after decompression: a colour profile and EXIF.
const CHUNK_BYTES: usize = 8 << 20;

/// Rows, as they are in the file, for which the decoder may have memory at a time.
const ROWS: u64 = 4;

pub(super) fn decode(bytes: &[u8], deadline: Deadline) -> Result<Decoded, UnreadableFile> {
    let failed = |_| deadline.cause();
    let limits = Limits { bytes: CHUNK_BYTES };
    let mut decoder = Decoder::new_with_limits(deadline.reader(bytes), limits);
    decoder.set_ignore_text_chunk(true);
    // Palettes become colours, 1 to 16 bits become 8.
    decoder.set_transformations(Transformations::normalize_to_color8());
    let header = decoder.read_header_info().map_err(failed)?;
    let (width, height) = (header.width, header.height);
    limits::check(width, height, 1)?;
    limits::check_memory(ROWS * header.raw_row_length() as u64)?;

    let mut reader = decoder.read_info().map_err(failed)?;
    if reader.info().animation_control().is_some_and(|animation| animation.num_frames > 1) {
        return Err(UnreadableFile::Animated);
    }
    let (colour, _) = reader.output_color_type();
    let samples = samples(colour)?;
    limits::check(width, height, samples.count() as u64)?;
    let mut raster = Raster::new(width, height, samples);
    let size = reader.output_buffer_size().filter(|size| *size <= raster.data.len());
    let pixels = raster.data.get_mut(..size.ok_or(UnreadableFile::Damaged)?);
    reader.next_frame(pixels.ok_or(UnreadableFile::Damaged)?).map_err(failed)?;
    // Reads to the end, whose absence is an error.
    reader.finish().map_err(failed)?;
    if colour == ColorType::GrayscaleAlpha {
        spread_grey(&mut raster.data);
    }
    let info = reader.info();
    Ok(Decoded {
        orientation: orientation(info.exif_metadata.as_deref()),
        // A file that says it is sRGB is, whatever profile it has.
        icc: info.icc_profile.as_deref().filter(|_| info.srgb.is_none()).map(<[u8]>::to_vec),
        raster,
        is_lossless: true,
    })
}

fn samples(colour: ColorType) -> Result<Samples, UnreadableFile> {
    match colour {
        ColorType::Grayscale => Ok(Samples::Grey),
        ColorType::Rgb => Ok(Samples::Rgb),
        ColorType::Rgba | ColorType::GrayscaleAlpha => Ok(Samples::Rgba),
        // Expanded by the decoder.
        ColorType::Indexed => Err(UnreadableFile::Damaged),
    }
}

/// Makes RGBA of grey and alpha, which fill the first half: in place, from the last pixel to the first.
fn spread_grey(data: &mut [u8]) {
    for at in (0..data.len() / 4).rev() {
        let (grey, alpha) = (data[at * 2], data[at * 2 + 1]);
        data[at * 4..at * 4 + 4].copy_from_slice(&[grey, grey, grey, alpha]);
    }
}
