//! How long `inspect` takes for a photo, compared with the least that decoding it and encoding what is kept of it take: the
//! same libraries with the same settings, and nothing else. Also the memory of a process that inspects it.

use std::hint::black_box;

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use inspect::content::{DECODE_WITHIN, Kept, inspect_content};
use shared_core::uploads::{FileForm, FileType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use crate::Result;
use crate::clock::now;
use crate::photo;
use crate::subject::{Process, Subject};

/// The quality of the forms for people and for models.
const QUALITY: u8 = 85;
/// That of the thumbnail.
const THUMB_QUALITY: u8 = 80;
/// What the subject answers if it accepts a file.
const ACCEPTED: &str = "accepted";

/// The measurements, in nanoseconds.
pub(crate) struct Inspected {
    /// The size of the photo, in bytes.
    pub(crate) bytes: usize,
    /// Of inspections.
    pub(crate) inspect: Vec<u64>,
    /// Of bare decodes of the photo.
    pub(crate) decode: Vec<u64>,
    /// Of bare encodes of the three forms that are kept.
    pub(crate) encode: Vec<u64>,
    /// Peak memory of a process that inspects it, in KiB.
    pub(crate) peak_memory: u64,
}

/// Inspects a photo `times` times, with a bare decode and bare encodes after each: other load of the machine affects both
/// alike.
pub(crate) async fn measure(times: usize) -> Result<Inspected> {
    let photo = photo::jpeg()?;
    let peak_memory = peak_memory(&photo, times).await?;
    let [view, model, thumb] = inspect(&photo)?;
    let [model, thumb] = [decode(&model)?, decode(&thumb)?];
    if decode(&photo)?.encode(QUALITY)? != view {
        return Err("inspect decodes or encodes with other settings than the bench".into());
    }
    let (mut inspections, mut decodes, mut encodes) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..times {
        let began = now();
        black_box(inspect(&photo)?);
        let inspected = now();
        let raster = decode(&photo)?;
        let decoded = now();
        for (raster, quality) in [(&raster, QUALITY), (&model, QUALITY), (&thumb, THUMB_QUALITY)] {
            black_box(raster.encode(quality)?);
        }
        inspections.push(inspected - began);
        decodes.push(decoded - inspected);
        encodes.push(now() - decoded);
    }
    Ok(Inspected {
        bytes: photo.len(),
        inspect: inspections,
        decode: decodes,
        encode: encodes,
        peak_memory,
    })
}

/// The bytes of the forms for people, for models, and of the thumbnail.
fn inspect(photo: &[u8]) -> Result<[Vec<u8>; 3]> {
    let accepted = inspect_content(FileType::parse("image/jpeg")?, photo, DECODE_WITHIN)?;
    let forms = accepted.forms.into_iter().map(|(form, kept)| match (form, kept) {
        (FileForm::View | FileForm::Model | FileForm::Thumb, Kept::Encoded { bytes, .. }) => {
            Ok(bytes)
        }
        (_, Kept::Original { .. }) => Err("an image is kept as it was sent"),
    });
    let forms: Vec<_> = forms.collect::<std::result::Result<_, _>>()?;
    forms.try_into().map_err(|_| "an image is not kept in three forms".into())
}

/// A decoded image, in RGB.
struct Raster {
    width: u16,
    height: u16,
    pixels: Vec<u8>,
}

fn decode(jpeg: &[u8]) -> Result<Raster> {
    let options =
        DecoderOptions::default().set_strict_mode(true).jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(jpeg), options);
    decoder.decode_headers()?;
    let size = decoder.output_buffer_size().ok_or("an image without a size")?;
    let info = decoder.info().ok_or("an image without a header")?;
    let mut pixels = vec![0; size];
    decoder.decode_into(&mut pixels)?;
    Ok(Raster { width: info.width, height: info.height, pixels })
}

impl Raster {
    fn encode(&self, quality: u8) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.pixels.len() / 8);
        JpegEncoder::new_with_quality(&mut bytes, quality).encode(
            &self.pixels,
            self.width.into(),
            self.height.into(),
            ExtendedColorType::Rgb8,
        )?;
        Ok(bytes)
    }
}

/// Peak memory of a process that has inspected the photo `times` times, in KiB.
async fn peak_memory(photo: &[u8], times: usize) -> Result<u64> {
    let process = Process::start(Subject::Inspection, &Vec::new()).await?;
    for _ in 0..times {
        let mut socket = TcpStream::connect(process.address).await?;
        socket.write_all(photo).await?;
        socket.shutdown().await?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await?;
        if answer != ACCEPTED {
            return Err(format!("the photo is refused: {answer}").into());
        }
    }
    process.peak_memory()
}

/// The subject: inspects the file that each connection sends.
pub(crate) async fn serve(listener: TcpListener) -> Result<()> {
    loop {
        let (mut socket, _) = listener.accept().await?;
        let mut file = Vec::new();
        if socket.read_to_end(&mut file).await? == 0 {
            // Only looks whether somebody listens.
            continue;
        }
        let answer = match inspect(&file) {
            Ok(_) => ACCEPTED.to_owned(),
            Err(error) => error.to_string(),
        };
        socket.write_all(answer.as_bytes()).await?;
    }
}
