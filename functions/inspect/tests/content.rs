//! What is accepted, what is refused, and what is kept.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod content {
    mod animations;
    mod fixtures;
    mod forms;
    mod lies;
    mod limits;
    mod metadata;
    mod pdfs;
    mod setup;
    mod texts;
    mod truncated;
}
