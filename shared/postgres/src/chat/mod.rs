//! A turn in the database, in the order of its life: [`begin`], [`finish`] or [`withdraw`]; [`duplicates`] of it,
//! [`orphaned`] ones, and how a lost one is [`restore`]d.

pub(crate) mod begin;
pub(crate) mod begun_turn;
pub(crate) mod duplicates;
pub(crate) mod finish;
pub(crate) mod orphaned;
mod placement;
pub(crate) mod restore;
pub(crate) mod withdraw;
