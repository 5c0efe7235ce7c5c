//! Small files of each kind, made here.

use std::fmt::Write as _;

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

/// An image of this size with noise in it.
fn pixels(width: u32, height: u32) -> Vec<u8> {
    (0..width * height * 3)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0])
        .collect()
}

pub(crate) fn png(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&pixels(width, height)).unwrap();
    writer.finish().unwrap();
    bytes
}

pub(crate) fn jpeg(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
    encoder.encode(&pixels(width, height), width, height, ExtendedColorType::Rgb8).unwrap();
    bytes
}

/// A GIF with so many frames.
pub(crate) fn gif(frames: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = gif::Encoder::new(&mut bytes, 2, 2, &[0, 0, 0, 255, 255, 255]).unwrap();
    for frame in 0..frames {
        let pixel = frame % 2;
        let frame = gif::Frame::from_indexed_pixels(2, 2, [pixel; 4], None);
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    bytes
}

/// A PDF with so many pages, and what else its trailer says.
pub(crate) fn pdf(pages: usize, trailer: &str) -> Vec<u8> {
    let kids: Vec<_> = (0..pages).map(|page| format!("{} 0 R", page + 3)).collect();
    let kids = kids.join(" ");
    let mut objects = vec![
        "<</Type/Catalog/Pages 2 0 R>>".to_owned(),
        format!("<</Type/Pages/Count {pages}/Kids[{kids}]>>"),
    ];
    objects.extend((0..pages).map(|_| "<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>".to_owned()));
    let (mut file, mut offsets) = (String::from("%PDF-1.7\n"), Vec::new());
    for (number, object) in objects.iter().enumerate() {
        offsets.push(file.len());
        write!(file, "{} 0 obj\n{object}\nendobj\n", number + 1).unwrap();
    }
    let (begin, count) = (file.len(), objects.len() + 1);
    write!(file, "xref\n0 {count}\n0000000000 65535 f \n").unwrap();
    for offset in offsets {
        writeln!(file, "{offset:010} 00000 n ").unwrap();
    }
    write!(file, "trailer\n<</Size {count}/Root 1 0 R{trailer}>>\nstartxref\n{begin}\n%%EOF\n")
        .unwrap();
    file.into_bytes()
}

/// A JPEG with a comment in front of its image, as a camera writes where it was.
pub(crate) fn jpeg_with_comment(comment: &[u8]) -> Vec<u8> {
    let image = jpeg(8, 8);
    let length = u16::try_from(comment.len() + 2).unwrap().to_be_bytes();
    [&image[..2], &[0xff, 0xfe], &length, comment, &image[2..]].concat()
}
