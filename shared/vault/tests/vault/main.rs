//! Encryption and decryption, with master keys in a file and in a fake KMS that AWS's SDK calls over
//! loopback.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod kms;
mod outages;
mod rotation;
mod sealing;
mod setup;
mod silence;
