//! The edge: everything between the wire and a use case.
//!
//! Errors and their codes, the session cookie, forged requests, JSON in and out, the event stream,
//! and what runs an app on Lambda. A function's `app()` wraps its routes in [`Edge::wrap`].

mod ambient;
mod codes;
mod cookie;
mod csrf;
mod edge;
mod error;
mod front_door;
mod init;
mod json;
mod key_words;
mod metrics;
mod nodelay;
mod otel;
mod pipe;
mod rate_limit;
mod replay;
mod serve;
mod source;
mod tasks;
mod telemetry;
mod token;
mod took;
mod transcript;
mod ui_stream;
mod user;

pub use ambient::{process_env, system_clock, system_entropy};
pub use codes::ErrorCode;
pub use cookie::{clear_session_cookie, session_cookie};
pub use edge::{Edge, EdgeConfig, SignedIn};
pub use error::{ApiError, ErrorBody, ErrorDetail};
pub use init::Init;
pub use json::{Empty, Json};
pub use key_words::{KeyStatusSchema, key_use_schema};
pub use metrics::{Metric, Unit, measure};
pub use otel::{OtelConfig, OtelEndpoint};
pub use pipe::{PipeBody, PipeWriter, pipe};
pub use rate_limit::RateLimit;
pub use replay::answer_of_frames;
pub use serve::{StartError, serve_buffered, serve_events, serve_streaming, start};
pub use source::SourceAddress;
pub use tasks::Tasks;
pub use telemetry::begin_logging;
pub use token::{SessionKeys, Tokens};
pub use took::{MessageMetadata, Took};
pub use transcript::{Frames, MUCH, Transcript};
pub use ui_stream::{COMMENT, DONE, UiStream, broken_off, event_stream, interrupted};
pub use user::UserBody;
