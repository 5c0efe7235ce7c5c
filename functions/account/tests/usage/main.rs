//! `GET /api/usage`: what one may spend and has spent, against a real database.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod days;
mod pages;
mod plans;
mod refusals;
mod setup;
mod turns;
