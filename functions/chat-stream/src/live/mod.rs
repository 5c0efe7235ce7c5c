//! The live log of a turn: `writer` beside the turn that runs, `reader` in any process, `orphaned` turns whose process
//! is gone, and `replay` of ended answers from the database.

pub(crate) mod orphaned;
pub(crate) mod reader;
pub(crate) mod replay;
pub mod writer;
