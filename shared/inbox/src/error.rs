//! The inbox's errors.

use shared_aws::AwsError;

/// Why an operation of the inbox failed. Holds no content of an item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InboxError {
    /// DynamoDB is unreachable, throttles, or refuses.
    #[error("{0}")]
    Unavailable(AwsError),
    /// The item does not fit into one transaction, which takes some 4 MB, even compressed; or a small item does not fit
    /// into one of DynamoDB's, which takes 400 KB.
    #[error("an item has {bytes} bytes when it is compressed, which is more than the inbox takes")]
    TooLarge {
        /// Its compressed size.
        bytes: usize,
    },
    /// The item or the request cannot be serialised. Neither is to be expected.
    #[error("an item cannot be written down")]
    Unwritable,
}
