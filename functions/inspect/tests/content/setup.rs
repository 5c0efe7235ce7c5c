//! Inspects, and decodes what is kept.

use std::io::Cursor;
use std::time::Duration;

use inspect::content::{Accepted, Kept, inspect_content};
use shared_core::uploads::{FileForm, FileRefusal, FileType, UnreadableFile};

pub(super) use shared_core::uploads::FileForm::{Model, Thumb, View};

/// Longer than any test takes on a busy machine.
const AMPLE: Duration = Duration::from_mins(1);

pub(super) fn of(media_type: &str) -> FileType {
    FileType::parse(media_type).unwrap()
}

pub(super) fn accepted(media_type: &str, bytes: &[u8]) -> Accepted {
    inspect_content(of(media_type), bytes, AMPLE).unwrap()
}

#[track_caller]
pub(super) fn refused(media_type: &str, bytes: &[u8]) -> FileRefusal {
    match inspect_content(of(media_type), bytes, AMPLE) {
        Ok(accepted) => unreachable!("accepted as {:?}", accepted.file),
        Err(refusal) => refusal,
    }
}

/// Asserts that a file is refused as another than was declared.
#[track_caller]
pub(super) fn assert_lie(media_type: &str, bytes: &[u8]) {
    let refusal = refused(media_type, bytes);
    assert!(matches!(refusal, FileRefusal::NotAsDeclared(_)), "{media_type}: {refusal:?}");
}

/// Asserts that a file is refused for this reason.
#[track_caller]
pub(super) fn assert_unreadable(media_type: &str, bytes: &[u8], because: UnreadableFile) {
    assert_eq!(refused(media_type, bytes), FileRefusal::Unreadable(because), "{media_type}");
}

/// The bytes of a form that was encoded, and their type.
pub(super) fn kept(accepted: &Accepted, form: FileForm) -> (&[u8], &'static str) {
    let mut found = accepted.forms.iter().filter(|(kept, _)| *kept == form);
    let (Some((_, Kept::Encoded { bytes, media_type })), None) = (found.next(), found.next())
    else {
        unreachable!("{form:?} in {:?}", accepted.file)
    };
    (bytes, media_type)
}

/// A decoded form.
pub(super) struct Pixels {
    pub(super) size: (u32, u32),
    /// Samples a pixel.
    pub(super) samples: usize,
    pub(super) data: Vec<u8>,
}

impl Pixels {
    pub(super) fn at(&self, x: u32, y: u32) -> &[u8] {
        let pixel = (y * self.size.0 + x) as usize;
        &self.data[pixel * self.samples..(pixel + 1) * self.samples]
    }

    /// Asserts the colour of a pixel, within what JPEG loses.
    #[track_caller]
    pub(super) fn assert_near(&self, x: u32, y: u32, colour: [u8; 3], tolerance: u8) {
        let found = self.at(x, y);
        let is_near =
            found.iter().zip(colour).all(|(found, colour)| found.abs_diff(colour) <= tolerance);
        assert!(is_near, "{found:?}, not {colour:?} at {x}, {y}");
    }
}

pub(super) fn pixels(accepted: &Accepted, form: FileForm) -> Pixels {
    match kept(accepted, form) {
        (bytes, "image/jpeg") => {
            let image =
                image::load_from_memory_with_format(bytes, image::ImageFormat::Jpeg).unwrap();
            let samples = usize::from(image.color().channel_count());
            Pixels { size: (image.width(), image.height()), samples, data: image.into_bytes() }
        }
        (bytes, _) => {
            let mut reader = png::Decoder::new(Cursor::new(bytes)).read_info().unwrap();
            let mut data = vec![0; reader.output_buffer_size().unwrap()];
            let info = reader.next_frame(&mut data).unwrap();
            Pixels { size: (info.width, info.height), samples: info.color_type.samples(), data }
        }
    }
}

/// Whether bytes contain others.
pub(super) fn contains(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}
