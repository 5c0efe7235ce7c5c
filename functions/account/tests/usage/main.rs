//! `GET /api/usage`: allowances, limits and usage, against a real database.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod days;
mod pages;
mod plans;
mod refusals;
mod setup;
mod turns;
