//! Why the inbox did not do what it was asked for.

use shared_aws::AwsError;

/// The inbox did not do what it was asked for. Holds nothing of a turn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InboxError {
    /// DynamoDB is away, too busy, or refuses.
    #[error("{0}")]
    Unavailable(AwsError),
    /// The turn does not fit into one transaction, which takes some 4 MB, even compressed.
    #[error("a turn has {bytes} bytes when it is compressed, which is more than the inbox takes")]
    TooLarge {
        /// How many it would be.
        bytes: usize,
    },
    /// The turn has no form in JSON, or the request none on the wire. Neither is to be expected.
    #[error("a turn cannot be written down")]
    Unwritable,
}
