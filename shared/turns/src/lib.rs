//! Rules of a turn that need several systems and have several callers: `chat-stream`, which runs turns, and `sweep`,
//! which ends those whose process is gone.

mod inbox;
mod orphaned;

pub use inbox::{NotATurn, TURNS, finished_turn, inbox_item};
pub use orphaned::{CloseError, ClosedTurn, close_orphaned, interrupted_text};
