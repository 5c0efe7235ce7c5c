//! The inbox's errors.

use shared_aws::AwsError;

/// Why an operation of the inbox failed. Holds no content of a turn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InboxError {
    /// DynamoDB is unreachable, throttles, or refuses.
    #[error("{0}")]
    Unavailable(AwsError),
    /// The turn does not fit into one transaction, which takes some 4 MB, even compressed.
    #[error("a turn has {bytes} bytes when it is compressed, which is more than the inbox takes")]
    TooLarge {
        /// Its compressed size.
        bytes: usize,
    },
    /// The turn or the request cannot be serialised. Neither is to be expected.
    #[error("a turn cannot be written down")]
    Unwritable,
}
