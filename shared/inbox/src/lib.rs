//! An inbox in DynamoDB: durable storage of work while Postgres is unavailable, which `sweep` drains.
//!
//! An item is bytes of a kind, under an id. It is put here whole ([`Inbox::put_item`]) and waits until it is
//! processed ([`Inbox::waiting_items`], [`Inbox::done`]). What cannot be processed or read stays and is counted;
//! nothing is ever dropped.
//!
//! ```text
//! pk               sk     what
//! <kind>#waiting   <id>   a head: small, and in the order of the ids
//! <kind>#<id>      00 …   its body: gzipped, cut into pieces
//! <kind>#done      <id>   a stub, which DynamoDB removes after 90 days; of an archived item with its body
//! ```
//!
//! A head and its pieces are written and deleted in one transaction, so neither is ever without the
//! other. Bodies have their own partitions so that counting and listing read heads alone, and so that
//! many items at once, as when a database fails, do not all write their bytes to one hot partition.
//!
//! An item of a [small kind](Kind::small) is its head alone, which holds the body.
//!
//! Items hold users' chats and payments. No error and no `Debug` prints their content.

mod body;
mod config;
mod error;
mod head;
mod inbox;
mod item;
mod retry;
mod waiting;

pub use config::InboxConfig;
pub use error::InboxError;
pub use inbox::Inbox;
pub use item::{InboxItem, Kind};
pub use waiting::{Depth, Position, UnreadableItem, WaitingItem, WaitingPage, WhyUnreadable};
