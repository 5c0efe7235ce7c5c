//! Plans and orders, against a real database, a real cache and a fake Cashfree.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod api {
    mod idempotency;
    mod limits;
    mod list;
    mod outages;
    mod phone;
    mod place;
    mod plans;
    mod provider;
    mod races;
    mod refusals;
    mod replace;
    mod secrecy;
    mod setup;
    mod show;
}
