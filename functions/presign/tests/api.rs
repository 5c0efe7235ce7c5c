//! Uploads, against a real database, a real cache and a local S3.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod api {
    mod delete;
    mod download;
    mod limits;
    mod list;
    mod names;
    mod outages;
    mod put;
    mod races;
    mod refusals;
    mod setup;
    mod show;
    mod sign;
}
