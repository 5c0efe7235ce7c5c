//! Metadata does not survive: what it says of the pixels is applied, and the rest is gone.

use inspect::content::Kept;
use moxcms::{ColorProfile, Layout, TransformOptions};

use super::fixtures::{chunk, jpeg, jpeg_of, png_of, segment, with_segments};
use super::setup::{View, accepted, contains, kept, pixels};

/// What a phone tells of its owner.
const SECRETS: [&[u8]; 5] = [
    b"SpyCam 3000",
    b"40.6892N 74.0445W",
    b"<x:xmpmeta>secret</x:xmpmeta>",
    b"a comment that is secret",
    b"Photoshop 3.0",
];

fn entry(tag: u16, kind: u16, count: u32, value: u32) -> Vec<u8> {
    [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()]
        .concat()
}

/// EXIF with a camera, a place, and a thumbnail.
fn exif(orientation: u32, thumbnail: &[u8]) -> Vec<u8> {
    let offset = |at: usize| u32::try_from(at).unwrap();
    let (camera, place) = (SECRETS[0], SECRETS[1]);
    // Header, first directory of three entries, second of two, GPS directory of one.
    let first = 8 + 2 + 3 * 12 + 4;
    let second = first + 2 + 2 * 12 + 4;
    let data = second + 2 + 12 + 4;
    let place_at = data + camera.len();
    let thumbnail_at = place_at + place.len();
    [
        b"II*\0\x08\0\0\0".to_vec(),
        b"\x03\0".to_vec(),
        entry(0x010f, 2, offset(camera.len()), offset(data)),
        entry(0x0112, 3, 1, orientation),
        entry(0x8825, 4, 1, offset(second)),
        offset(first).to_le_bytes().to_vec(),
        b"\x02\0".to_vec(),
        entry(0x0201, 4, 1, offset(thumbnail_at)),
        entry(0x0202, 4, 1, offset(thumbnail.len())),
        vec![0; 4],
        b"\x01\0".to_vec(),
        entry(0x001b, 2, offset(place.len()), offset(place_at)),
        vec![0; 4],
        camera.to_vec(),
        place.to_vec(),
        thumbnail.to_vec(),
    ]
    .concat()
}

fn display_p3() -> Vec<u8> {
    ColorProfile::new_display_p3().encode().unwrap()
}

/// What sRGB calls a colour of Display P3.
fn of_p3(colour: [u8; 3]) -> [u8; 3] {
    let transform = ColorProfile::new_display_p3()
        .create_transform_8bit(
            Layout::Rgb,
            &ColorProfile::new_srgb(),
            Layout::Rgb,
            TransformOptions::default(),
        )
        .unwrap();
    let mut converted = [0; 3];
    transform.transform(&colour, &mut converted).unwrap();
    converted
}

const LEFT: [u8; 3] = [60, 160, 70];
const RIGHT: [u8; 3] = [180, 90, 60];

/// Left one colour, right another.
fn halves(width: usize, height: usize) -> Vec<u8> {
    [LEFT.repeat(width / 2), RIGHT.repeat(width / 2)].concat().repeat(height)
}

/// A photo with everything that a phone adds.
fn photo_with_metadata() -> (Vec<u8>, Vec<u8>) {
    let thumbnail = jpeg(120, 90);
    let icc = [b"ICC_PROFILE\0\x01\x01", &display_p3()[..]].concat();
    let xmp = [b"http://ns.adobe.com/xap/1.0/\0", SECRETS[2]].concat();
    let iptc = [SECRETS[4], b"\08BIM\x04\x04"].concat();
    let segments = [
        segment(0xe1, &[b"Exif\0\0", &exif(6, &thumbnail)[..]].concat()),
        segment(0xe1, &xmp),
        segment(0xe2, &icc),
        segment(0xed, &iptc),
        segment(0xfe, SECRETS[3]),
    ];
    (with_segments(&jpeg_of(&halves(640, 480), 640, 480), &segments), thumbnail)
}

#[test]
fn no_metadata_survives_and_what_it_says_is_applied() {
    let (file, thumbnail) = photo_with_metadata();
    assert!(SECRETS.iter().all(|secret| contains(&file, secret)) && contains(&file, &thumbnail));
    // Behind its tables, which are those of every image.
    let pixels_of_thumbnail = &thumbnail[thumbnail.len() - 300..];
    let accepted = accepted("image/jpeg", &file);
    for (form, kept) in &accepted.forms {
        let Kept::Encoded { bytes, .. } = kept else { unreachable!() };
        for secret in
            SECRETS.into_iter().chain([pixels_of_thumbnail, b"Exif", b"ICC_PROFILE", b"mntrRGB"])
        {
            assert!(!contains(bytes, secret), "{form:?}: {:?}", String::from_utf8_lossy(secret));
        }
        // Turned by 90° to the right: what was left is above.
        let pixels = pixels(&accepted, *form);
        let (width, height) = pixels.size;
        assert!(width * 4 == height * 3, "{:?}", pixels.size);
        pixels.assert_near(width / 2, height / 10, of_p3(LEFT), 3);
        pixels.assert_near(width / 2, height * 9 / 10, of_p3(RIGHT), 3);
    }
    assert_eq!(accepted.file.dimensions, Some((480, 640)));
    // The conversion is more than the tolerance.
    assert!(of_p3(LEFT)[0].abs_diff(LEFT[0]) > 6);
}

/// The colour of the right side of an image with this profile.
fn right_side(icc: &[u8]) -> Vec<u8> {
    let icc = segment(0xe2, &[b"ICC_PROFILE\0\x01\x01", icc].concat());
    let file = with_segments(&jpeg_of(&halves(64, 48), 64, 48), &[icc]);
    pixels(&accepted("image/jpeg", &file), View).at(60, 24).to_vec()
}

#[test]
fn a_profile_that_is_srgb_unusable_or_not_for_rgb_changes_nothing() {
    let plain = right_side(b"");
    for profile in [
        ColorProfile::new_srgb().encode().unwrap(),
        ColorProfile::new_gray_with_gamma(1.0).encode().unwrap(),
        b"not a profile".to_vec(),
        display_p3()[..200].to_vec(),
    ] {
        assert_eq!(right_side(&profile), plain);
    }
    assert_ne!(right_side(&display_p3()), plain);
}

#[test]
fn a_png_is_turned_and_converted_and_loses_its_texts() {
    let mut file = png_of(&halves(64, 48), 64, 48, png::ColorType::Rgb);
    let mut compressed =
        flate2::write::ZlibEncoder::new(b"P3\0\0".to_vec(), flate2::Compression::fast());
    std::io::Write::write_all(&mut compressed, &display_p3()).unwrap();
    let chunks = [
        chunk(*b"iCCP", &compressed.finish().unwrap()),
        chunk(*b"eXIf", &exif(8, b"thumbnail")),
        chunk(*b"tEXt", &[b"Comment\0", SECRETS[3]].concat()),
    ];
    // Behind the signature and the header.
    file.splice(33..33, chunks.concat());
    let accepted = accepted("image/png", &file);
    let view = pixels(&accepted, View);
    assert_eq!(view.size, (48, 64));
    view.assert_near(24, 60, of_p3(LEFT), 1);
    view.assert_near(24, 4, of_p3(RIGHT), 1);
    let (bytes, _) = kept(&accepted, View);
    assert!(!SECRETS.iter().any(|secret| contains(bytes, secret)));
    assert!(!contains(bytes, b"eXIf") && !contains(bytes, b"iCCP"));
}

#[test]
fn a_webp_is_turned_and_converted() {
    let mut file = Vec::new();
    let mut encoder = image_webp::WebPEncoder::new(&mut file);
    encoder.set_icc_profile(display_p3());
    encoder.set_exif_metadata(exif(3, b"thumbnail"));
    encoder.encode(&halves(64, 48), 64, 48, image_webp::ColorType::Rgb8).unwrap();
    let view = pixels(&accepted("image/webp", &file), View);
    assert_eq!(view.size, (64, 48));
    view.assert_near(60, 24, of_p3(LEFT), 1);
    view.assert_near(4, 24, of_p3(RIGHT), 1);
}
