//! How many tokens a file takes of a prompt: an estimate, because models count differently, for the plan's context limit.

use std::num::NonZeroU32;

/// Pixels per token. Anthropic documents width × height ÷ 750; other providers count tiles, which comes to less.
const PIXELS_PER_TOKEN: u64 = 750;
/// Tokens of one page of a PDF. Anthropic documents 1,500 to 3,000 of text; other providers less.
const TOKENS_PER_PAGE: u32 = 1500;
/// Bytes of English per token.
const BYTES_PER_TOKEN: u64 = 4;

/// Tokens of an image of this size, in pixels.
pub fn image_tokens(width: u32, height: u32) -> u32 {
    let pixels = u64::from(width) * u64::from(height);
    u32::try_from(pixels.div_ceil(PIXELS_PER_TOKEN)).unwrap_or(u32::MAX)
}

/// Tokens of a PDF of this many pages.
pub fn pdf_tokens(pages: NonZeroU32) -> u32 {
    pages.get().saturating_mul(TOKENS_PER_PAGE)
}

/// Tokens of a text of this many bytes.
pub fn text_tokens(bytes: u64) -> u32 {
    u32::try_from(bytes / BYTES_PER_TOKEN).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_is_as_documented() {
        assert_eq!(image_tokens(2048, 1536), 4195);
        assert_eq!(image_tokens(1, 1), 1);
        assert_eq!(pdf_tokens(NonZeroU32::new(12).unwrap()), 18_000);
        assert_eq!(text_tokens(4096), 1024);
    }
}
