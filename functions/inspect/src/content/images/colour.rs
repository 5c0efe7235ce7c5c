//! Converts colours to sRGB, which is what an image without a profile is taken for.

use moxcms::{ColorProfile, DataColorSpace, Layout, TransformExecutor, TransformOptions};

use super::raster::{Raster, Samples};

/// The largest profile that is used, in bytes. Those of cameras and displays have 0.5 to 4 KiB, those with tables up to 1 MiB.
const LARGEST_PROFILE: usize = 2 << 20;
/// Pixels that are converted at a time.
const CHUNK: usize = 4096;

/// Converts the colours of an image by its profile. One without colours, or with a profile that is unusable or not for RGB,
/// stays as it is: viewers do the same.
pub(super) fn to_srgb(raster: &mut Raster, icc: Option<&[u8]>) {
    let layout = match raster.samples {
        Samples::Grey => return,
        Samples::Rgb => Layout::Rgb,
        Samples::Rgba => Layout::Rgba,
    };
    let profile = icc.filter(|icc| icc.len() <= LARGEST_PROFILE).and_then(rgb_profile);
    let Some(profile) = profile else { return };
    if is_srgb(&profile) {
        return;
    }
    if let Some(transform) = transform(&profile, layout) {
        convert(raster, &*transform);
    }
}

fn rgb_profile(icc: &[u8]) -> Option<ColorProfile> {
    ColorProfile::new_from_slice(icc)
        .ok()
        .filter(|profile| profile.color_space == DataColorSpace::Rgb)
}

type Transform = dyn TransformExecutor<u8> + Send + Sync;

fn transform(profile: &ColorProfile, layout: Layout) -> Option<std::sync::Arc<Transform>> {
    let options = TransformOptions::default();
    profile.create_transform_8bit(layout, &ColorProfile::new_srgb(), layout, options).ok()
}

/// Whether a profile changes no colour of a coarse grid by more than rounding: most profiles are one of the many of sRGB.
fn is_srgb(profile: &ColorProfile) -> bool {
    let steps = || (0..=255).step_by(51);
    let grid: Vec<u8> = steps()
        .flat_map(|red| {
            steps().flat_map(move |green| steps().flat_map(move |blue| [red, green, blue]))
        })
        .collect();
    let mut converted = vec![0; grid.len()];
    transform(profile, Layout::Rgb).is_some_and(|transform| {
        transform.transform(&grid, &mut converted).is_ok()
            && grid.iter().zip(&converted).all(|(from, to)| from.abs_diff(*to) <= 1)
    })
}

fn convert(raster: &mut Raster, transform: &Transform) {
    let mut from = vec![0; CHUNK * raster.samples.count()];
    for to in raster.data.chunks_mut(from.len()) {
        let from = &mut from[..to.len()];
        from.copy_from_slice(to);
        if transform.transform(from, to).is_err() {
            to.copy_from_slice(from);
        }
    }
}
