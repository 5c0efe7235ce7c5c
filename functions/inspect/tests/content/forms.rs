//! The forms of an image.

use shared_core::uploads::{FileForm, image_tokens};

use super::fixtures::{LOSSY_WEBP, gif, jpeg, jpeg_of, photo, png, png_of, webp};
use super::setup::{Model, Thumb, View, accepted, kept, pixels};

const MODEL_BYTES: usize = 1536 * 1024;

#[test]
fn every_image_has_three_forms() {
    for (declared, file, view_type) in [
        ("image/jpeg", jpeg(60, 40), "image/jpeg"),
        ("image/png", png(60, 40), "image/png"),
        ("image/webp", webp(60, 40), "image/png"),
        ("image/gif", gif(60, 40, 1), "image/png"),
    ] {
        let accepted = accepted(declared, &file);
        let forms: Vec<FileForm> = accepted.forms.iter().map(|(form, _)| *form).collect();
        assert_eq!(forms, [View, Model, Thumb], "{declared}");
        for form in forms {
            assert_eq!(pixels(&accepted, form).size, (60, 40), "{declared}");
        }
        let (model, model_type) = kept(&accepted, Model);
        let file = accepted.file.clone();
        assert_eq!((file.media_type, kept(&accepted, View).1), (view_type, view_type));
        assert_eq!((file.model_media_type, file.model_bytes), (model_type, model.len() as u64));
        assert_eq!((file.dimensions, file.pages), (Some((60, 40)), None));
        assert_eq!(file.tokens, image_tokens(60, 40));
    }
}

#[test]
fn a_large_image_is_scaled_down_for_each_form() {
    let accepted = accepted("image/jpeg", &jpeg(4500, 900));
    assert_eq!(pixels(&accepted, View).size, (4096, 819));
    assert_eq!(accepted.file.dimensions, Some((4096, 819)));
    assert_eq!(pixels(&accepted, Model).size, (2048, 410));
    assert_eq!(accepted.file.tokens, image_tokens(2048, 410));
    assert_eq!(pixels(&accepted, Thumb).size, (320, 64));
}

#[test]
fn a_small_image_is_never_enlarged() {
    let accepted = accepted("image/webp", LOSSY_WEBP);
    for form in [View, Model, Thumb] {
        assert_eq!(pixels(&accepted, form).size, (1, 1));
    }
}

#[test]
fn a_drawing_keeps_every_pixel_and_a_photo_becomes_jpeg() {
    let drawing: Vec<u8> = photo(1, 256).repeat(256);
    let lossless = accepted("image/png", &png_of(&drawing, 256, 256, png::ColorType::Rgb));
    assert_eq!(pixels(&lossless, View).data, drawing);
    assert_eq!(pixels(&lossless, Model).data, drawing);
    assert_eq!(accepted("image/jpeg", &jpeg(256, 256)).file.model_media_type, "image/jpeg");
}

/// Noise, which no encoder makes small.
fn noise(samples: usize) -> Vec<u8> {
    let mut state = 7_u64;
    let next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_le_bytes()[7]
    };
    std::iter::repeat_with(next).take(samples).collect()
}

#[test]
fn what_models_get_is_at_most_one_and_a_half_mebibytes() {
    let rgb = noise(1500 * 1500 * 3);
    let file = png_of(&rgb, 1500, 1500, png::ColorType::Rgb);
    for (declared, file) in [("image/png", file), ("image/jpeg", jpeg_of(&rgb, 1500, 1500))] {
        let accepted = accepted(declared, &file);
        let (model, media_type) = kept(&accepted, Model);
        assert!(model.len() <= MODEL_BYTES && media_type == "image/jpeg", "{}", model.len());
        let size = pixels(&accepted, Model).size;
        assert!(size.0 >= 700, "{size:?}");
        assert_eq!(accepted.file.tokens, image_tokens(size.0, size.1));
        assert_eq!(pixels(&accepted, View).size, (1500, 1500));
    }
}

#[test]
fn transparency_is_kept_for_people_and_white_for_models() {
    // Left transparent, right opaque.
    let row: Vec<u8> =
        (0..400).flat_map(|x| [200, 30, 40, if x < 200 { 0 } else { 255 }]).collect();
    let file = png_of(&row.repeat(300), 400, 300, png::ColorType::Rgba);
    let accepted = accepted("image/png", &file);
    for form in [View, Thumb] {
        let pixels = pixels(&accepted, form);
        assert_eq!((pixels.samples, kept(&accepted, form).1), (4, "image/png"));
        assert_eq!(pixels.at(10, 10)[3], 0);
        assert_eq!(pixels.at(pixels.size.0 - 10, 10), [200, 30, 40, 255]);
    }
    let model = pixels(&accepted, Model);
    assert_eq!(model.samples, 3);
    model.assert_near(10, 10, [255, 255, 255], 0);
    model.assert_near(390, 10, [200, 30, 40], 0);
}

#[test]
fn noise_behind_transparency_is_scaled_until_it_fits() {
    let file = png_of(&noise(2200 * 2200 * 4), 2200, 2200, png::ColorType::Rgba);
    let accepted = accepted("image/png", &file);
    let (view, media_type) = kept(&accepted, View);
    assert_eq!(media_type, "image/png");
    assert!(view.len() <= 16 << 20, "{}", view.len());
    assert_eq!(accepted.file.dimensions, Some(pixels(&accepted, View).size));
    assert_eq!(pixels(&accepted, View).size, (1650, 1650));
}

#[test]
fn every_png_colour_type_is_read() {
    use png::ColorType::{Grayscale, GrayscaleAlpha, Rgb, Rgba};
    for (colour, pixel, seen) in [
        (Grayscale, vec![90], vec![90]),
        (GrayscaleAlpha, vec![90, 50], vec![90, 90, 90, 50]),
        (GrayscaleAlpha, vec![90, 255], vec![90, 90, 90]),
        (Rgb, vec![9, 8, 7], vec![9, 8, 7]),
        (Rgba, vec![9, 8, 7, 255], vec![9, 8, 7]),
        (Rgba, vec![9, 8, 7, 6], vec![9, 8, 7, 6]),
    ] {
        let accepted = accepted("image/png", &png_of(&pixel.repeat(20), 5, 4, colour));
        assert_eq!(pixels(&accepted, View).at(3, 2), seen, "{colour:?}");
    }
    // 16 bits, and a palette of 2 bits with a transparent entry.
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 2, 1);
    encoder.set_depth(png::BitDepth::Sixteen);
    encoder.set_color(Rgb);
    encoder.write_header().unwrap().write_image_data(&[77, 0].repeat(6)).unwrap();
    assert_eq!(pixels(&accepted("image/png", &bytes), View).at(1, 0), [77, 77, 77]);

    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 4, 1);
    encoder.set_depth(png::BitDepth::Two);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette(vec![1, 2, 3, 4, 5, 6]);
    encoder.set_trns(vec![255, 0]);
    encoder.write_header().unwrap().write_image_data(&[0b0001_0001]).unwrap();
    let accepted = accepted("image/png", &bytes);
    assert_eq!(pixels(&accepted, View).at(0, 0), [1, 2, 3, 255]);
    assert_eq!(pixels(&accepted, View).at(1, 0)[3], 0);
}

#[test]
fn grey_stays_grey() {
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90);
    encoder.encode(&[130; 64], 8, 8, image::ExtendedColorType::L8).unwrap();
    let accepted = accepted("image/jpeg", &bytes);
    for form in [View, Model, Thumb] {
        assert_eq!(pixels(&accepted, form).samples, 1);
    }
}

#[test]
fn a_gif_frame_is_put_onto_its_canvas() {
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, 6, 4, &[200, 30, 40]).unwrap();
    let frame =
        gif::Frame { left: 2, top: 1, ..gif::Frame::from_indexed_pixels(3, 2, vec![0; 6], None) };
    encoder.write_frame(&frame).unwrap();
    drop(encoder);
    let view = pixels(&accepted("image/gif", &bytes), View);
    assert_eq!((view.size, view.samples), ((6, 4), 4));
    for y in 0..4 {
        for x in 0..6 {
            let is_inside = (2..5).contains(&x) && (1..3).contains(&y);
            assert_eq!(view.at(x, y)[3], if is_inside { 255 } else { 0 }, "{x}, {y}");
        }
    }
    assert_eq!(view.at(2, 1), [200, 30, 40, 255]);
}
