//! Completing uploads, against a real database and a local S3.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod api {
    mod accepted;
    mod deletion;
    mod files;
    mod kills;
    mod lies;
    mod outages;
    mod races;
    mod refusals;
    mod setup;
}
