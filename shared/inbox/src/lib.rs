//! Durable storage of finished turns while Postgres is unavailable: an inbox in DynamoDB, which `sweep`
//! drains.
//!
//! A turn whose last transaction failed is put here whole ([`Inbox::put_turn`]) and waits until it is
//! stored ([`Inbox::waiting_turns`], [`Inbox::done`]). What cannot be stored or read stays and is counted;
//! nothing is ever dropped.
//!
//! ```text
//! pk             sk     what
//! turn#waiting   <id>   a head: small, and in the order in which the answers began
//! turn#<id>      00 …   its body: FinishedTurn as JSON, gzipped, cut into pieces
//! turn#done      <id>   a stub without content, which DynamoDB removes after 90 days
//! ```
//!
//! An `<id>` is the answer's id (`UUIDv7`, so they sort by time) and outcome: an answer that was closed as
//! interrupted may still get its true end, and Postgres decides which of the two wins.
//!
//! A head and its pieces are written and deleted in one transaction, so neither is ever without the
//! other. Bodies have their own partitions so that counting and listing read heads alone, and so that
//! many turns at once, as when a database fails, do not all write their bytes to one hot partition.
//!
//! The items hold users' chats. No error and no `Debug` prints their content.

mod body;
mod config;
mod error;
mod inbox;
mod item;
mod retry;
mod waiting;

pub use config::InboxConfig;
pub use error::InboxError;
pub use inbox::Inbox;
pub use waiting::{Depth, Page, Position, Unreadable, WaitingTurn, WhyUnreadable};
