//! What an image may cost: checked from its header, before memory is allocated for pixels.

use std::num::NonZeroU64;

use shared_core::uploads::UnreadableFile;

/// Most pixels.
const PIXELS: u64 = 40_000_000;
/// Most memory for decoded samples, in bytes: 40 megapixels of RGBA take 153 MiB.
pub(super) const SAMPLE_BYTES: NonZeroU64 = NonZeroU64::new(160 << 20).unwrap();
/// Most memory for decoded samples and what the decoder keeps beside them, in bytes. With the file (25 MiB) and the program it
/// stays within 300 MiB.
const DECODER_BYTES: u64 = 240 << 20;

/// Checks the size of an image, in pixels, with so many bytes of samples a pixel.
pub(super) fn check(width: u32, height: u32, bytes_per_pixel: u64) -> Result<(), UnreadableFile> {
    if width == 0 || height == 0 {
        return Err(UnreadableFile::Damaged);
    }
    let pixels = u64::from(width) * u64::from(height);
    if pixels > PIXELS || pixels * bytes_per_pixel > SAMPLE_BYTES.get() {
        return Err(UnreadableFile::TooManyPixels);
    }
    Ok(())
}

/// Checks the memory that a decoder takes for an image whose size is allowed: some forms of a format take twice what others do.
pub(super) fn check_memory(bytes: u64) -> Result<(), UnreadableFile> {
    if bytes > DECODER_BYTES { Err(UnreadableFile::TooComplex) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_are_exact() {
        assert_eq!(check(8000, 5000, 4), Ok(()));
        assert_eq!(check(8000, 5001, 1), Err(UnreadableFile::TooManyPixels));
        assert_eq!(check(8000, 5000, 5), Err(UnreadableFile::TooManyPixels));
        assert_eq!(check(u32::MAX, u32::MAX, 4), Err(UnreadableFile::TooManyPixels));
        assert_eq!(check(0, 5000, 4), Err(UnreadableFile::Damaged));
        assert_eq!(check_memory(DECODER_BYTES), Ok(()));
        assert_eq!(check_memory(DECODER_BYTES + 1), Err(UnreadableFile::TooComplex));
    }
}
