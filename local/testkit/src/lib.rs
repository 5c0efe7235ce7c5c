//! Shared by the functions' tests: real servers, a movable clock, a fake provider, and a client that calls
//! an app without a socket.
//!
//! Everything here panics on failure: a test that cannot be set up has failed.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "only tests use this, and they want to stop where it breaks"
)]

mod books;
mod byok;
mod client;
mod clock;
mod collector;
mod events;
mod lambda;
mod log_capture;
mod mailbox;
mod metronome;
mod npm;
mod orders;
mod repository;
mod stack;
mod sweeping;
mod template;
mod turn;
mod uploads;
mod webhook_fixtures;
mod webhooks;

pub use client::{Answer, Client, UiChunk};
pub use clock::MovableClock;
pub use collector::{Collector, Export, attribute};
pub use events::{CHAT, QUESTION, SESSION, event, event_json, question_json};
pub use lambda::{Function, Rie};
pub use log_capture::LogCapture;
pub use mailbox::Mailbox;
pub use metronome::{Stopwatch, metronome};
pub use npm::{NpmProject, output_text};
pub use orders::PHONE;
pub use repository::{repository, repository_file};
pub use stack::{ORIGIN, TestStack};
pub use template::{Deployed, deployed_variables, example_variables};
pub use turn::{answer_of, message_id, new_turn, next_turn};
pub use uploads::{ReadyFile, declaration, put_file, put_request, send_http};
pub use webhook_fixtures::WebhookFixture;
pub use webhooks::{WEBHOOK, delivery_event, signed_event};
