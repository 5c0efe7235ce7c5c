//! A turn as bytes: JSON, gzipped, and cut into pieces that DynamoDB takes.

use std::io::Read;

use aws_sdk_dynamodb::primitives::Blob;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use shared_core::outcome::FinishedTurn;

use crate::error::InboxError;
use crate::waiting::WhyUnreadable;

/// An item has [400 KB][1] with its keys and names, for which this leaves ample room.
///
/// [1]: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
const PIECE: usize = 380 * 1024;
/// A transaction has 4 MB, of which head and keys take next to nothing. It also has room for a hundred
/// items.
const PIECES: usize = 10;

// What serde_json says of an error may repeat what it was given, so none of it is kept.

/// Writes a turn down as pieces.
pub(crate) fn pieces(turn: &FinishedTurn) -> Result<Vec<Blob>, InboxError> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    serde_json::to_writer(&mut gzip, turn).map_err(|_| InboxError::Unwritable)?;
    let bytes = gzip.finish().map_err(|_| InboxError::Unwritable)?;
    if bytes.len() > PIECE * PIECES {
        return Err(InboxError::TooLarge { bytes: bytes.len() });
    }
    Ok(bytes.chunks(PIECE).map(Blob::new).collect())
}

/// The turn that these pieces are, in their order. Gzip's own checksum finds what is missing.
pub(crate) fn turn<'a>(
    pieces: impl Iterator<Item = &'a Blob>,
) -> Result<FinishedTurn, WhyUnreadable> {
    let bytes: Vec<u8> = pieces.flat_map(AsRef::as_ref).copied().collect();
    let mut json = Vec::new();
    GzDecoder::new(&*bytes).read_to_end(&mut json).map_err(|_| WhyUnreadable::Damaged)?;
    serde_json::from_slice(&json).map_err(|_| WhyUnreadable::NotATurn)
}
