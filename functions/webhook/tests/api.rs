//! `POST /api/webhooks/cashfree`, against a real database, a DynamoDB and a fake Cashfree.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod api {
    mod archive;
    mod duplicates;
    mod hour;
    mod kills;
    mod outages;
    mod payments;
    mod requests;
    mod setup;
    mod signatures;
    mod stale;
}
