//! `/api/keys/openrouter`, against a real database, a real cache and a fake `OpenRouter`.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod api {
    mod limits;
    mod meanwhile;
    mod outages;
    mod put;
    mod refusals;
    mod secrecy;
    mod settings;
    mod setup;
}
