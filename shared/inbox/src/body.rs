//! Packs an item's body: gzipped, and split into pieces that fit into DynamoDB's items.

use std::io::{Read, Write};

use aws_sdk_dynamodb::primitives::Blob;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::error::InboxError;
use crate::waiting::WhyUnreadable;

/// Bytes per piece. An item of DynamoDB has at most [400 KB][1] with its keys and names, for which this leaves
/// ample room.
///
/// [1]: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
pub(crate) const PIECE: usize = 380 * 1024;
/// Pieces per body. A transaction has at most 4 MB, of which head and keys take next to nothing, and at
/// most a hundred items.
const PIECES: usize = 10;

/// Packs a body into pieces.
pub(crate) fn pack(body: &[u8]) -> Result<Vec<Blob>, InboxError> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(body).map_err(|_| InboxError::Unwritable)?;
    let bytes = gzip.finish().map_err(|_| InboxError::Unwritable)?;
    if bytes.len() > PIECE * PIECES {
        return Err(InboxError::TooLarge { bytes: bytes.len() });
    }
    Ok(bytes.chunks(PIECE).map(Blob::new).collect())
}

/// Unpacks a body from its pieces, in their order. Gzip's own checksum detects missing ones.
pub(crate) fn unpack<'a>(pieces: impl Iterator<Item = &'a Blob>) -> Result<Vec<u8>, WhyUnreadable> {
    let bytes: Vec<u8> = pieces.flat_map(AsRef::as_ref).copied().collect();
    let mut body = Vec::new();
    GzDecoder::new(&*bytes).read_to_end(&mut body).map_err(|_| WhyUnreadable::Damaged)?;
    Ok(body)
}
