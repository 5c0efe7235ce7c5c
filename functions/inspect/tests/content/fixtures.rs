//! Files, as programs write them.

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use lopdf::{Dictionary, Document, Object, Stream, dictionary};

/// Pixels of a photo: gradients and some noise.
pub(crate) fn photo(width: u32, height: u32) -> Vec<u8> {
    let mut noise = 1_u32;
    let pixel = |at: u32| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (x, y) = (at % width, at / width);
        [x * 255 / width, y * 255 / height, noise >> 27].map(|sample| sample.to_le_bytes()[0])
    };
    (0..width * height).flat_map(pixel).collect()
}

pub(crate) fn jpeg_of(rgb: &[u8], width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut bytes, 90);
    encoder.encode(rgb, width, height, ExtendedColorType::Rgb8).unwrap();
    bytes
}

pub(crate) fn jpeg(width: u32, height: u32) -> Vec<u8> {
    jpeg_of(&photo(width, height), width, height)
}

pub(crate) fn png_of(data: &[u8], width: u32, height: u32, colour: png::ColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(colour);
    encoder.write_header().unwrap().write_image_data(data).unwrap();
    bytes
}

pub(crate) fn png(width: u32, height: u32) -> Vec<u8> {
    png_of(&photo(width, height), width, height, png::ColorType::Rgb)
}

/// Lossless.
pub(crate) fn webp(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = image_webp::WebPEncoder::new(&mut bytes);
    encoder.encode(&photo(width, height), width, height, image_webp::ColorType::Rgb8).unwrap();
    bytes
}

/// One pixel, lossy: the file by which web pages find out whether a browser knows the format.
pub(crate) const LOSSY_WEBP: &[u8] = b"RIFF\x22\0\0\0WEBPVP8 \x16\0\0\0\x30\x01\0\x9d\x01\x2a\x01\0\x01\0\x0e\xc0\xfe\x25\xa4\0\x03\x70\0\0\0\0";

/// An animation, if it has more than one frame.
pub(crate) fn gif(width: u16, height: u16, frames: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let palette = [200, 30, 40, 10, 20, 250, 0, 0, 0, 255, 255, 255];
    let mut encoder = gif::Encoder::new(&mut bytes, width, height, &palette).unwrap();
    for frame in 0..frames {
        let pixels = (0..u32::from(width) * u32::from(height))
            .map(|at| ((at / 3 + frame) % 4).to_le_bytes()[0])
            .collect::<Vec<_>>();
        let frame = gif::Frame::from_indexed_pixels(width, height, pixels, None);
        encoder.write_frame(&frame).unwrap();
    }
    drop(encoder);
    bytes
}

/// A document, not saved yet.
pub(crate) fn document(pages: u32) -> Document {
    let mut document = Document::with_version("1.7");
    let tree = document.new_object_id();
    let content = document.add_object(Stream::new(Dictionary::new(), b"BT (Hello) Tj ET".to_vec()));
    let kids: Vec<Object> = (0..pages)
        .map(|_| {
            let page = dictionary! { "Type" => "Page", "Parent" => tree, "Contents" => content };
            document.add_object(page).into()
        })
        .collect();
    let root = dictionary! { "Type" => "Pages", "Count" => pages, "Kids" => kids };
    document.objects.insert(tree, root.into());
    let catalogue = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => tree });
    document.trailer.set("Root", catalogue);
    document
}

pub(crate) fn pdf(pages: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    document(pages).save_to(&mut bytes).unwrap();
    bytes
}

/// With object streams and a cross-reference stream.
pub(crate) fn modern_pdf(pages: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    document(pages).save_modern(&mut bytes).unwrap();
    bytes
}

/// An archive with one stored file.
pub(crate) fn zip(comment: &[u8]) -> Vec<u8> {
    let name = b"Main.class";
    let data = b"\xca\xfe\xba\xbe";
    // Version, flags, method, time, CRC, sizes, and the lengths of the name and of extra fields.
    let entry = [
        &[20, 0, 0, 0, 0, 0, 0, 0, 0, 0][..],
        &0x5cd2_a19e_u32.to_le_bytes(),
        &[4, 0, 0, 0, 4, 0, 0, 0, 10, 0, 0, 0],
    ]
    .concat();
    let local = [b"PK\x03\x04", &entry[..], name, data].concat();
    let central = [b"PK\x01\x02\x14\0", &entry[..], &[0; 14], name].concat();
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
    let end = [
        b"PK\x05\x06\0\0\0\0\x01\0\x01\0",
        &length(&central)[..],
        &length(&local),
        &length(comment)[..2],
        comment,
    ]
    .concat();
    [local, central, end].concat()
}

/// A JPEG segment.
pub(crate) fn segment(marker: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
    [&[0xff, marker], &length[..], body].concat()
}

/// A JPEG image with these segments behind its first marker.
pub(crate) fn with_segments(jpeg: &[u8], segments: &[Vec<u8>]) -> Vec<u8> {
    [&jpeg[..2], &segments.concat(), &jpeg[2..]].concat()
}

/// A PNG chunk.
pub(crate) fn chunk(kind: [u8; 4], body: &[u8]) -> Vec<u8> {
    let mut crc = flate2::Crc::new();
    crc.update(&kind);
    crc.update(body);
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&length[..], &kind, body, &crc.sum().to_be_bytes()].concat()
}
