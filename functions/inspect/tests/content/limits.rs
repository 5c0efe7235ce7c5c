//! What an image may cost.

use std::time::{Duration, Instant};

use inspect::content::inspect_content;
use shared_core::uploads::FileRefusal;
use shared_core::uploads::UnreadableFile::{Damaged, TooComplex, TooManyPixels};

use super::fixtures::{LOSSY_WEBP, chunk, gif, jpeg, pdf, png, png_of, segment, webp};
use super::setup::{View, accepted, assert_unreadable, of, pixels};

/// A PNG that is a header only.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 6, 0, 0, 0]].concat();
    [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(*b"IHDR", &header),
        chunk(*b"IDAT", b""),
        chunk(*b"IEND", b""),
    ]
    .concat()
}

/// The start of a frame of a JPEG: precision, size, and components of these sampling factors.
fn frame(marker: u8, width: u16, height: u16, factors: &[u8]) -> Vec<u8> {
    let count = u8::try_from(factors.len()).unwrap();
    let components = (1..).zip(factors).flat_map(|(id, factor)| [id, *factor, 0]);
    let size = [height.to_be_bytes(), width.to_be_bytes()].concat();
    segment(marker, &[&[8], &size[..], &[count], &components.collect::<Vec<_>>()].concat())
}

/// The start of a scan of one component: the DC coefficients of a progressive image.
fn scan() -> Vec<u8> {
    segment(0xda, &[1, 1, 0, 0, 0, 0])
}

/// A JPEG of this frame and these scans, which have no tables.
fn jpeg_header(frame: Vec<u8>, scans: usize) -> Vec<u8> {
    [b"\xff\xd8".to_vec(), frame, scan().repeat(scans), b"\xff\xd9".to_vec()].concat()
}

#[test]
fn a_header_that_claims_too_many_pixels_is_refused_at_once() {
    let began = Instant::now();
    assert_unreadable("image/png", &png_header(60_000, 60_000), TooManyPixels);
    assert_unreadable("image/png", &png_header(i32::MAX.cast_unsigned(), 1), TooManyPixels);
    assert_unreadable(
        "image/jpeg",
        &jpeg_header(frame(0xc0, 60_000, 60_000, &[0x11; 3]), 1),
        TooManyPixels,
    );
    // A lossless WebP of 16,383 × 16,383, and a GIF of 60,000 × 60,000.
    let mut file = webp(1, 1);
    let at = memchr::memmem::find(&file, b"VP8L").unwrap() + 9;
    file[at..at + 4].copy_from_slice(&0x0fff_bffe_u32.to_le_bytes());
    assert_unreadable("image/webp", &file, TooManyPixels);
    for at in [6, 24] {
        let mut file = gif(4, 4, 1);
        let at = if at == 24 { memchr::memchr(b',', &file[20..]).unwrap() + 25 } else { at };
        file[at..at + 4].copy_from_slice(&[0x60, 0xea, 0x60, 0xea]);
        assert_unreadable("image/gif", &file, TooManyPixels);
    }
    // Clearing the memory alone would take longer.
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}

#[test]
fn forty_megapixels_are_the_most() {
    assert_unreadable("image/png", &png_header(8000, 5001), TooManyPixels);
    assert_unreadable("image/png", &png_header(8000, 5000), Damaged);
    let rows = png_of(&vec![200; 40_000 * 1000], 40_000, 1000, png::ColorType::Grayscale);
    let accepted = accepted("image/png", &rows);
    assert_eq!(pixels(&accepted, View).size, (4096, 102));
}

#[test]
fn a_jpeg_that_takes_too_much_memory_to_decode_is_too_complex() {
    // 40 megapixels with full chroma: 114 MiB of samples, and 229 MiB of coefficients.
    let progressive =
        |width, height, factors: &[u8]| jpeg_header(frame(0xc2, width, height, factors), 2);
    assert_unreadable("image/jpeg", &progressive(8000, 5000, &[0x11; 3]), TooComplex);
    assert_unreadable("image/jpeg", &progressive(8000, 5000, &[0x22, 0x11, 0x11]), Damaged);
}

#[test]
fn a_png_of_one_long_row_is_too_complex() {
    // The decoder keeps rows as they are in the file: 160 MB of 64 bits a pixel.
    let header =
        [&20_000_000_u32.to_be_bytes()[..], &1_u32.to_be_bytes(), &[16, 6, 0, 0, 0]].concat();
    let file = [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(*b"IHDR", &header),
        chunk(*b"IDAT", b""),
        chunk(*b"IEND", b""),
    ];
    assert_unreadable("image/png", &file.concat(), TooComplex);
}

#[test]
fn a_webp_whose_frame_is_not_its_canvas_is_damaged() {
    // The decoder would allocate for the frame before it compares them.
    let mut frame = LOSSY_WEBP[12..].to_vec();
    frame[14..18].copy_from_slice(&[0xff, 0x3f, 0xff, 0x3f]);
    let canvas = [&b"VP8X\x0a\0\0\0"[..], &[0; 10]].concat();
    let length = u32::try_from(4 + canvas.len() + frame.len()).unwrap().to_le_bytes();
    let file = [&b"RIFF"[..], &length, b"WEBP", &canvas, &frame].concat();
    assert_unreadable("image/webp", &file, Damaged);
}

#[test]
fn a_jpeg_of_too_many_scans_is_too_complex() {
    let progressive = |scans| jpeg_header(frame(0xc2, 64, 64, &[0x11]), scans);
    assert_unreadable("image/jpeg", &progressive(33), TooComplex);
    assert_unreadable("image/jpeg", &progressive(10_000), TooComplex);
    assert_unreadable("image/jpeg", &progressive(32), Damaged);
}

#[test]
fn a_progressive_jpeg_is_read() {
    // One block of grey: the only code of the only table is the difference zero.
    let table = segment(0xc4, &[&[0, 1], &[0; 15][..], &[0]].concat());
    let quantization = segment(0xdb, &[&[0][..], &[1; 64]].concat());
    let file = [
        b"\xff\xd8".to_vec(),
        quantization,
        frame(0xc2, 8, 8, &[0x11]),
        table,
        scan(),
        b"\x7f\xff\xd9".to_vec(),
    ];
    let view = pixels(&accepted("image/jpeg", &file.concat()), View);
    assert_eq!((view.size, view.samples), ((8, 8), 1));
    view.assert_near(4, 4, [128; 3], 1);
}

#[test]
fn a_jpeg_that_nothing_decodes_is_damaged() {
    // Lossless, and arithmetic; then without a frame, with two, and of no component.
    for marker in [0xc3, 0xc9] {
        assert_unreadable("image/jpeg", &jpeg_header(frame(marker, 8, 8, &[0x11]), 1), Damaged);
    }
    let two = [frame(0xc0, 8, 8, &[0x11]), frame(0xc0, 9, 9, &[0x11])].concat();
    for frame in [
        Vec::new(),
        two,
        frame(0xc0, 8, 8, &[]),
        frame(0xc0, 0, 8, &[0x11]),
        frame(0xc0, 8, 8, &[0x11; 5]),
    ] {
        assert_unreadable("image/jpeg", &jpeg_header(frame, 1), Damaged);
    }
}

#[test]
fn a_file_that_takes_too_long_is_too_complex() {
    for (declared, file) in [
        ("image/jpeg", jpeg(800, 800)),
        ("image/png", png(800, 800)),
        ("image/webp", webp(800, 800)),
        ("image/gif", gif(800, 800, 1)),
        ("application/pdf", [&b"%PDF-1.7\n"[..], &b"1 ".repeat(4096), &pdf(1)].concat()),
    ] {
        let refusal = inspect_content(of(declared), &file, Duration::ZERO).unwrap_err();
        assert_eq!(refusal, FileRefusal::Unreadable(TooComplex), "{declared}");
        accepted(declared, &file);
    }
}
