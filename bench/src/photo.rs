//! A photo: 12 megapixels, as phones take them.

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

use crate::Result;

/// In pixels.
const WIDTH: u16 = 4000;
/// In pixels.
const HEIGHT: u16 = 3000;

/// The quality that cameras write.
const QUALITY: u8 = 95;
/// Detail of each size, as the power of two of its pixels, with its part of the brightness.
const DETAILS: [(u32, u32); 4] = [(9, 8), (6, 5), (4, 2), (2, 1)];
/// The same of the colours, which change less.
const HUES: [(u32, u32); 2] = [(10, 3), (7, 1)];
/// The noise of a sensor, up and down.
const GRAIN: u32 = 6;

/// Encodes one as baseline JPEG. It has smooth areas, detail of all sizes and a sensor's noise, so that it compresses like a
/// photo: to several megabytes.
pub(crate) fn jpeg() -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode(
        &pixels(),
        WIDTH.into(),
        HEIGHT.into(),
        ExtendedColorType::Rgb8,
    )?;
    Ok(bytes)
}

fn pixels() -> Vec<u8> {
    let pixel = |x: u32, y: u32| {
        let brightness = layered(x, y, 0, &DETAILS);
        let [red, blue] = [1, 2].map(|seed| layered(x, y, seed, &HUES));
        let grain = u32::from(noise(x as usize, y as usize)) % (2 * GRAIN);
        [(3 * brightness + red) / 4, brightness, (3 * brightness + blue) / 4]
            .map(|sample| u8::try_from((sample + grain).saturating_sub(GRAIN)).unwrap_or(u8::MAX))
    };
    let row = |y| (0..u32::from(WIDTH)).flat_map(move |x| pixel(x, y));
    (0..u32::from(HEIGHT)).flat_map(row).collect()
}

/// The mean of the layers, 0 to 255.
fn layered(x: u32, y: u32, seed: u32, layers: &[(u32, u32)]) -> u32 {
    let total: u32 = layers.iter().map(|(_, part)| part).sum();
    let sum: u32 = layers.iter().map(|(size, part)| smooth(x, y, seed, *size) * part).sum();
    sum / total
}

/// Random values at the corners of squares of 2^`size` pixels, and what is between them.
fn smooth(x: u32, y: u32, seed: u32, size: u32) -> u32 {
    let corner = |right: u32, down: u32| {
        let (column, row) = ((x >> size) + right, (y >> size) + down);
        u32::from(noise((column << 8 | seed << 4 | size) as usize, row as usize))
    };
    let (side, mask) = (1 << size, (1 << size) - 1);
    let mix = |from: u32, to: u32, at: u32| (from * (side - at) + to * at) >> size;
    let (across, down) = (x & mask, y & mask);
    mix(mix(corner(0, 0), corner(1, 0), across), mix(corner(0, 1), corner(1, 1), across), down)
}

/// A random byte, always the same at the same place.
pub(crate) fn noise(x: usize, y: usize) -> u8 {
    // The finalizer of SplitMix64.
    let mut mixed = (x as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (y as u64).rotate_left(32);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed.to_be_bytes()[0]
}
