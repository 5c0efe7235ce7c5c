//! Turns an image upright.

use image::metadata::Orientation;

use super::raster::Raster;

/// Side of the squares in which pixels are moved, so that what is read and what is written stay in the cache.
const TILE: usize = 32;

/// Turns an image as its camera was turned.
pub(super) fn upright(raster: Raster, orientation: Orientation) -> Raster {
    match orientation {
        Orientation::NoTransforms => raster,
        Orientation::FlipHorizontal => mirrored(raster),
        Orientation::Rotate180 => reversed(raster),
        Orientation::FlipVertical => reversed(mirrored(raster)),
        Orientation::Rotate90 => transposed(&raster, true, false),
        Orientation::Rotate270 => transposed(&raster, false, true),
        Orientation::Rotate90FlipH => transposed(&raster, false, false),
        Orientation::Rotate270FlipH => transposed(&raster, true, true),
    }
}

/// Left becomes right.
fn mirrored(mut raster: Raster) -> Raster {
    let (samples, row_bytes) = (raster.samples.count(), raster.row_bytes());
    for row in raster.data.chunks_mut(row_bytes) {
        reverse_pixels(row, samples);
    }
    raster
}

/// Turned by 180°: the last pixel becomes the first.
fn reversed(mut raster: Raster) -> Raster {
    reverse_pixels(&mut raster.data, raster.samples.count());
    raster
}

fn reverse_pixels(pixels: &mut [u8], samples: usize) {
    // Reverses all bytes, then those of each pixel again.
    pixels.reverse();
    for pixel in pixels.chunks_mut(samples) {
        pixel.reverse();
    }
}

/// Rows become columns, and are mirrored horizontally or vertically, each afterwards.
fn transposed(from: &Raster, mirror: bool, flip: bool) -> Raster {
    let mut to = Raster::new(from.height, from.width, from.samples);
    match from.samples.count() {
        1 => transpose::<1>(from, &mut to, mirror, flip),
        3 => transpose::<3>(from, &mut to, mirror, flip),
        _ => transpose::<4>(from, &mut to, mirror, flip),
    }
    to
}

fn transpose<const SAMPLES: usize>(from: &Raster, to: &mut Raster, mirror: bool, flip: bool) {
    let (width, height) = (to.width as usize, to.height as usize);
    let (source, _) = from.data.as_chunks::<SAMPLES>();
    let (target, _) = to.data.as_chunks_mut::<SAMPLES>();
    for (top, left) in tiles(width, height) {
        for y in top..height.min(top + TILE) {
            let from_x = if flip { height - 1 - y } else { y };
            let row = &mut target[y * width..(y + 1) * width];
            for (x, pixel) in row.iter_mut().enumerate().skip(left).take(TILE) {
                let from_y = if mirror { width - 1 - x } else { x };
                *pixel = source[from_y * height + from_x];
            }
        }
    }
}

/// The top left corners of the squares of an image.
fn tiles(width: usize, height: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..height)
        .step_by(TILE)
        .flat_map(move |top| (0..width).step_by(TILE).map(move |left| (top, left)))
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, GrayImage, RgbImage, RgbaImage};

    use super::super::raster::Samples;
    use super::*;

    /// As the image crate turns it.
    fn expected(raster: &Raster, orientation: Orientation) -> Vec<u8> {
        let (width, height, data) = (raster.width, raster.height, raster.data.clone());
        let mut image = match raster.samples {
            Samples::Grey => DynamicImage::from(GrayImage::from_raw(width, height, data).unwrap()),
            Samples::Rgb => RgbImage::from_raw(width, height, data).unwrap().into(),
            Samples::Rgba => RgbaImage::from_raw(width, height, data).unwrap().into(),
        };
        image.apply_orientation(orientation);
        image.into_bytes()
    }

    #[test]
    fn every_orientation_is_turned_upright() {
        for samples in [Samples::Grey, Samples::Rgb, Samples::Rgba] {
            for (width, height) in [(1, 1), (7, 3), (70, 41)] {
                for exif in 1..=8 {
                    let orientation = Orientation::from_exif(exif).unwrap();
                    let mut raster = Raster::new(width, height, samples);
                    for (at, sample) in raster.data.iter_mut().enumerate() {
                        *sample = u8::try_from(at % 251).unwrap();
                    }
                    let expected = expected(&raster, orientation);
                    let turned = upright(raster, orientation);
                    let is_turned = exif >= 5;
                    let size = if is_turned { (height, width) } else { (width, height) };
                    assert_eq!((turned.width, turned.height), size);
                    assert_eq!(turned.data, expected, "{samples:?} {width}x{height} {exif}");
                }
            }
        }
    }
}
