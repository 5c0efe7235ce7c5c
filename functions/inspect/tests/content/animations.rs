//! One frame only.

use shared_core::uploads::UnreadableFile::Animated;

use super::fixtures::{gif, photo};
use super::setup::{accepted, assert_unreadable};

#[test]
fn a_gif_of_several_frames_is_refused() {
    assert_unreadable("image/gif", &gif(16, 16, 2), Animated);
    assert_unreadable("image/gif", &gif(16, 16, 1000), Animated);
    assert_eq!(accepted("image/gif", &gif(16, 16, 1)).file.dimensions, Some((16, 16)));
}

#[test]
fn an_animated_webp_is_refused() {
    let file = b"RIFF\x52\0\0\0WEBPVP8X\x0a\0\0\0\x12\0\0\0\0\0\0\0\0\0ANIM\x06\0\0\0\xff\xff\xff\xff\0\0ANMF\x26\0\0\0\
        \0\0\0\0\0\0\0\0\0\0\0\0\x64\0\0\0VP8L\x0d\0\0\0\x2f\0\0\0\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0";
    assert_unreadable("image/webp", file, Animated);
}

#[test]
fn an_animated_png_is_refused() {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 8, 8);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_animated(2, 0).unwrap();
    let mut writer = encoder.write_header().unwrap();
    for _ in 0..2 {
        writer.write_image_data(&photo(8, 8)).unwrap();
    }
    writer.finish().unwrap();
    assert_unreadable("image/png", &bytes, Animated);
}
