//! An answer survives: a turn that is sent again, that dies, that is stored late or was forgotten.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod begun_once;
mod endings;
mod known;
mod late;
mod prices;
mod setup;
mod wordless;
