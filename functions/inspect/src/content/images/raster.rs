//! Pixels: rows from top to bottom without padding, one byte a sample.

/// What the samples of a pixel are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Samples {
    Grey,
    Rgb,
    /// With alpha that is not multiplied into the colours.
    Rgba,
}

impl Samples {
    /// Bytes a pixel.
    pub(super) const fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }
}

/// A decoded image.
#[derive(Clone, Debug)]
pub(super) struct Raster {
    /// In pixels.
    pub(super) width: u32,
    /// In pixels.
    pub(super) height: u32,
    pub(super) samples: Samples,
    /// `width` × `height` pixels.
    pub(super) data: Vec<u8>,
}

impl Raster {
    /// An image of zeros: black, or transparent.
    pub(super) fn new(width: u32, height: u32, samples: Samples) -> Self {
        Self { width, height, samples, data: vec![0; byte_count(width, height, samples)] }
    }

    /// Bytes of one row.
    pub(super) fn row_bytes(&self) -> usize {
        self.width as usize * self.samples.count()
    }

    pub(super) fn has_alpha(&self) -> bool {
        self.samples == Samples::Rgba
    }

    /// Drops an alpha channel that hides nothing.
    pub(super) fn without_opaque_alpha(mut self) -> Self {
        let is_opaque = |pixel: &[u8; 4]| pixel[3] == u8::MAX;
        if !self.has_alpha() || !self.data.as_chunks().0.iter().all(is_opaque) {
            return self;
        }
        for at in 0..self.data.len() / 4 {
            self.data.copy_within(at * 4..at * 4 + 3, at * 3);
        }
        self.data.truncate(byte_count(self.width, self.height, Samples::Rgb));
        self.data.shrink_to_fit();
        Self { samples: Samples::Rgb, ..self }
    }

    /// Puts a transparent image onto white.
    pub(super) fn onto_white(mut self) -> Self {
        if !self.has_alpha() {
            return self;
        }
        for at in 0..self.data.len() / 4 {
            let alpha = u32::from(self.data[at * 4 + 3]);
            for channel in 0..3 {
                let colour = u32::from(self.data[at * 4 + channel]);
                let mixed = (colour * alpha + 255 * (255 - alpha) + 127) / 255;
                self.data[at * 3 + channel] = u8::try_from(mixed).unwrap_or(u8::MAX);
            }
        }
        self.data.truncate(byte_count(self.width, self.height, Samples::Rgb));
        Self { samples: Samples::Rgb, ..self }
    }
}

/// Bytes of an image.
pub(super) fn byte_count(width: u32, height: u32, samples: Samples) -> usize {
    width as usize * height as usize * samples.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rgba(data: Vec<u8>) -> Raster {
        let width = u32::try_from(data.len() / 4).unwrap();
        Raster { width, height: 1, samples: Samples::Rgba, data }
    }

    #[test]
    fn alpha_is_dropped_where_it_hides_nothing() {
        let opaque = rgba(vec![1, 2, 3, 255, 4, 5, 6, 255]).without_opaque_alpha();
        assert_eq!((opaque.samples, opaque.data), (Samples::Rgb, vec![1, 2, 3, 4, 5, 6]));
        let transparent = rgba(vec![1, 2, 3, 255, 4, 5, 6, 254]).without_opaque_alpha();
        assert_eq!(transparent.samples, Samples::Rgba);
    }

    #[test]
    fn transparency_becomes_white() {
        let flat = rgba(vec![10, 20, 30, 255, 10, 20, 30, 0, 0, 0, 0, 128]).onto_white();
        assert_eq!(flat.data, [10, 20, 30, 255, 255, 255, 127, 127, 127]);
        assert_eq!(flat.samples, Samples::Rgb);
    }
}
