//! Makes an image smaller.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, MulDiv, PixelType, ResizeAlg, ResizeOptions, Resizer};
use shared_core::uploads::UnreadableFile;

use super::raster::{Raster, Samples};

/// Rows that are made at a time: the temporary image between the two passes has only these.
const BAND_ROWS: u32 = 256;

/// The size of an image that is scaled to at most `longest` pixels on its longer side, and never enlarged.
pub(super) fn fitting(width: u32, height: u32, longest: u32) -> (u32, u32) {
    let longer = width.max(height);
    if longer <= longest {
        return (width, height);
    }
    let scaled = |side: u32| {
        let rounded =
            (u64::from(side) * u64::from(longest) + u64::from(longer) / 2) / u64::from(longer);
        u32::try_from(rounded).unwrap_or(longest).max(1)
    };
    (scaled(width), scaled(height))
}

/// Multiplies alpha into the colours, so that transparent pixels do not bleed into their neighbours when they are mixed.
pub(super) fn premultiply(raster: &mut Raster) -> Result<(), UnreadableFile> {
    in_place(raster, |alpha, image| alpha.multiply_alpha_inplace(image))
}

/// Undoes [`premultiply`].
pub(super) fn unpremultiply(raster: &mut Raster) -> Result<(), UnreadableFile> {
    in_place(raster, |alpha, image| alpha.divide_alpha_inplace(image))
}

fn in_place<E>(
    raster: &mut Raster,
    change: impl FnOnce(&MulDiv, &mut Image<'_>) -> Result<(), E>,
) -> Result<(), UnreadableFile> {
    if !raster.has_alpha() {
        return Ok(());
    }
    let image =
        Image::from_slice_u8(raster.width, raster.height, &mut raster.data, PixelType::U8x4);
    change(&MulDiv::new(), &mut image.map_err(damaged)?).map_err(damaged)
}

/// Scales an image, whose alpha is premultiplied, to this size.
pub(super) fn scaled(from: &Raster, width: u32, height: u32) -> Result<Raster, UnreadableFile> {
    let pixel = pixel_type(from.samples);
    let mut to = Raster::new(width, height, from.samples);
    let source = ImageRef::new(from.width, from.height, &from.data, pixel).map_err(damaged)?;
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
        .use_alpha(false);
    let rows_per_row = f64::from(from.height) / f64::from(height);
    let mut resizer = Resizer::new();
    let band_bytes = to.row_bytes() * BAND_ROWS as usize;
    let mut top = 0;
    for band in to.data.chunks_mut(band_bytes) {
        let rows = BAND_ROWS.min(height - top);
        // A filter reads beyond its crop, so bands join without a seam.
        let cropped = options.crop(
            0.0,
            f64::from(top) * rows_per_row,
            f64::from(from.width),
            (f64::from(rows) * rows_per_row)
                .min(f64::from(from.height) - f64::from(top) * rows_per_row),
        );
        let mut image = Image::from_slice_u8(width, rows, band, pixel).map_err(damaged)?;
        resizer.resize(&source, &mut image, &cropped).map_err(damaged)?;
        top += rows;
    }
    Ok(to)
}

const fn pixel_type(samples: Samples) -> PixelType {
    match samples {
        Samples::Grey => PixelType::U8,
        Samples::Rgb => PixelType::U8x3,
        Samples::Rgba => PixelType::U8x4,
    }
}

/// Sizes and buffers agree, so none of these errors happens.
fn damaged<E>(_: E) -> UnreadableFile {
    UnreadableFile::Damaged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_keeps_its_shape_and_is_never_enlarged() {
        for (size, longest, fits) in [
            ((4000, 3000), 2048, (2048, 1536)),
            ((3000, 4000), 320, (240, 320)),
            ((320, 200), 320, (320, 200)),
            ((1, 1), 320, (1, 1)),
            ((40_000_000, 1), 4096, (4096, 1)),
            ((6325, 6324), 4096, (4096, 4095)),
        ] {
            assert_eq!(fitting(size.0, size.1, longest), fits, "{size:?}");
        }
    }

    #[test]
    fn bands_join_without_a_seam() {
        let (width, height) = (64, 2000);
        let mut from = Raster::new(width, height, Samples::Grey);
        for (at, sample) in from.data.iter_mut().enumerate() {
            *sample = u8::try_from(at / width as usize * 255 / height as usize).unwrap();
        }
        let to = scaled(&from, 48, 1500).unwrap();
        let rows: Vec<u8> = to.data.chunks(48).map(|row| row[20]).collect();
        assert!(
            rows.windows(2).all(|pair| pair[0] <= pair[1] && pair[1] - pair[0] <= 1),
            "{rows:?}"
        );
    }

    #[test]
    fn transparent_pixels_do_not_bleed() {
        // Transparent red beside opaque blue.
        let data = [[255, 0, 0, 0], [0, 0, 255, 255]].concat().repeat(32 * 64);
        let mut from = Raster { width: 64, height: 64, samples: Samples::Rgba, data };
        premultiply(&mut from).unwrap();
        let mut to = scaled(&from, 8, 8).unwrap();
        unpremultiply(&mut to).unwrap();
        for pixel in to.data.chunks(4) {
            assert!(
                pixel[0] == 0 && pixel[2] >= 250 && (100..=156).contains(&pixel[3]),
                "{pixel:?}"
            );
        }
    }
}
