//! JPEG (ITU-T T.81). Its markers are walked first, because the decoder forgives a file that ends too early, and allocates for
//! as many scans as there are.

use memchr::memchr;
use shared_core::uploads::UnreadableFile;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::super::deadline::Deadline;
use super::raster::{Raster, Samples};
use super::{Decoded, limits, orientation};

/// Most scans. Encoders of progressive images write 8 to 20; each costs a pass over all coefficients.
const SCANS: usize = 32;
/// The largest width and height of the format.
const LONGEST: usize = 65_535;

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;

pub(super) fn decode(bytes: &[u8], deadline: Deadline) -> Result<Decoded, UnreadableFile> {
    let outline = Outline::read(bytes).ok_or(UnreadableFile::Damaged)?;
    outline.check()?;
    let samples = if outline.components.len() == 1 { Samples::Grey } else { Samples::Rgb };
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(LONGEST)
        .set_max_height(LONGEST)
        .jpeg_set_max_scans(SCANS)
        .jpeg_set_out_colorspace(match samples {
            Samples::Grey => ColorSpace::Luma,
            Samples::Rgb | Samples::Rgba => ColorSpace::RGB,
        });
    let mut decoder =
        JpegDecoder::new_with_options(deadline.reader(&bytes[..outline.end]), options);
    decoder.decode_headers().map_err(|_| deadline.cause())?;

    let mut raster = Raster::new(outline.width, outline.height, samples);
    // The decoder and the walk have read the same header, or the file is none that both understand.
    if decoder.output_buffer_size() != Some(raster.data.len()) {
        return Err(UnreadableFile::Damaged);
    }
    decoder.decode_into(&mut raster.data).map_err(|_| deadline.cause())?;
    let orientation = orientation(decoder.exif().map(Vec::as_slice));
    Ok(Decoded { raster, orientation, icc: decoder.icc_profile(), is_lossless: false })
}

/// What the markers of a JPEG image say.
#[derive(Debug, Default)]
struct Outline {
    /// In pixels.
    width: u32,
    /// In pixels.
    height: u32,
    /// Horizontal and vertical sampling factor of each component.
    components: Vec<(u8, u8)>,
    is_progressive: bool,
    scans: usize,
    /// The position behind the end marker. What phones append (depth maps, videos, vendors' data) follows, and is dropped.
    end: usize,
}

impl Outline {
    /// Walks the markers up to the end of the first image.
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut outline = Self::default();
        let mut at = 2;
        loop {
            let marker_at = at + memchr(0xff, bytes.get(at..)?)?;
            let (marker, after) = marker(bytes, marker_at)?;
            match marker {
                // Stuffed, restarted, or private: no parameters.
                0x00..=0x01 | 0xd0..=0xd7 => at = after,
                SOI => return None,
                EOI => {
                    outline.end = after;
                    return (outline.scans > 0).then_some(outline);
                }
                _ => {
                    let body = segment(bytes, after)?;
                    outline.note(marker, body)?;
                    at = after + 2 + body.len();
                }
            }
        }
    }

    fn note(&mut self, marker: u8, body: &[u8]) -> Option<()> {
        match marker {
            SOS => self.scans += 1,
            // Baseline, extended and progressive, with Huffman codes: what is found in the wild.
            0xc0..=0xc2 if self.components.is_empty() => self.frame(marker == 0xc2, body)?,
            // A second frame, or a coding that nothing decodes: lossless, hierarchical, arithmetic.
            0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => return None,
            _ => {}
        }
        Some(())
    }

    fn frame(&mut self, is_progressive: bool, body: &[u8]) -> Option<()> {
        let &[_, y1, y0, x1, x0, _, ref components @ ..] = body else { return None };
        let factors = |component: &[u8; 3]| (component[1] >> 4, component[1] & 15);
        self.height = u16::from_be_bytes([y1, y0]).into();
        self.width = u16::from_be_bytes([x1, x0]).into();
        self.components = components.as_chunks().0.iter().map(factors).collect();
        self.is_progressive = is_progressive;
        (1..=4).contains(&self.components.len()).then_some(())
    }

    fn check(&self) -> Result<(), UnreadableFile> {
        let samples = if self.components.len() == 1 { 1 } else { 3 };
        limits::check(self.width, self.height, samples)?;
        if self.scans > SCANS {
            return Err(UnreadableFile::TooComplex);
        }
        limits::check_memory(self.sample_bytes(samples) + self.coefficient_bytes())
    }

    fn sample_bytes(&self, samples: u64) -> u64 {
        u64::from(self.width) * u64::from(self.height) * samples
    }

    /// Memory for coefficients, of 16 bits each: kept for all of the image if it has more than one scan.
    fn coefficient_bytes(&self) -> u64 {
        if !self.is_progressive && self.scans == 1 {
            return 0;
        }
        let most = |factor: fn(&(u8, u8)) -> u8| {
            self.components.iter().map(factor).max().unwrap_or(1).max(1)
        };
        let (across, down) = (most(|factors| factors.0), most(|factors| factors.1));
        let units = |side: u32, factor: u8| u64::from(side.div_ceil(8 * u32::from(factor)));
        let blocks: u64 = self.components.iter().map(|of| u64::from(of.0) * u64::from(of.1)).sum();
        units(self.width, across) * units(self.height, down) * blocks * 64 * 2
    }
}

/// The marker whose first byte is here, and the position behind it. Any number of fill bytes may precede its code.
fn marker(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let fill = bytes.get(at..)?.iter().take_while(|byte| **byte == 0xff).count();
    Some((*bytes.get(at + fill)?, at + fill + 1))
}

/// The body of the segment whose length is here.
fn segment(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let &[high, low] = bytes.get(at..at + 2)? else { return None };
    let length = usize::from(u16::from_be_bytes([high, low]));
    bytes.get(at + 2..at + length)
}
