//! Sealing and opening, with keys in a file and in a KMS that AWS's SDK asks over loopback.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod kms;
mod outages;
mod rotation;
mod sealing;
mod setup;
mod silence;
