//! Files that end too early, or whose bytes are damaged.

use shared_core::uploads::UnreadableFile::Damaged;

use super::fixtures::{LOSSY_WEBP, gif, jpeg, modern_pdf, pdf, png, segment, webp, with_segments};
use super::setup::{accepted, assert_unreadable, refused};

#[test]
fn a_file_cut_anywhere_is_refused() {
    for (declared, file) in [
        ("image/jpeg", jpeg(24, 24)),
        // The thumbnail within it is complete.
        ("image/jpeg", with_segments(&jpeg(16, 16), &[segment(0xe1, &jpeg(8, 8))])),
        ("image/png", png(24, 24)),
        ("image/webp", webp(24, 24)),
        ("image/webp", LOSSY_WEBP.to_vec()),
        ("image/gif", gif(24, 24, 1)),
        ("application/pdf", pdf(2)),
        ("application/pdf", modern_pdf(2)),
    ] {
        accepted(declared, &file);
        let end = file.trim_ascii_end().len();
        for length in 1..end {
            refused(declared, &file[..length]);
        }
    }
}

#[test]
fn a_large_photo_that_was_cut_is_damaged() {
    for (declared, file) in [
        ("image/jpeg", jpeg(600, 400)),
        ("image/png", png(600, 400)),
        ("image/webp", webp(600, 400)),
    ] {
        for tenths in 1..10 {
            assert_unreadable(declared, &file[..file.len() * tenths / 10], Damaged);
        }
    }
}

#[test]
fn a_png_with_a_wrong_checksum_is_damaged() {
    let mut file = png(24, 24);
    let middle = file.len() / 2;
    file[middle] ^= 1;
    assert_unreadable("image/png", &file, Damaged);
}

#[test]
fn a_png_without_its_end_is_damaged() {
    let file = png(24, 24);
    assert_unreadable("image/png", &file[..file.len() - 12], Damaged);
}
