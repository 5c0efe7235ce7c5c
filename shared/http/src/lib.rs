//! The HTTP edge: everything between the wire and a use case.
//!
//! Errors and their codes, the session cookie, CSRF protection, JSON in and out, the event stream,
//! and the Lambda runtime. A function's `app()` wraps its routes in [`AppContext::wrap`].

mod client_ip;
mod codes;
mod context;
mod cookie;
mod csrf;
mod error;
mod frame_buffer;
mod init;
mod json;
mod key_schemas;
mod message_metadata;
mod metrics;
mod nodelay;
mod origin_secret;
mod otel;
mod page;
mod pipe;
mod rate_limit;
mod replay;
mod serve;
mod system;
mod tasks;
mod telemetry;
mod token;
mod ui_stream;
mod user;

pub use client_ip::ClientIp;
pub use codes::ErrorCode;
pub use context::{AppContext, CurrentUser, HttpConfig, app};
pub use cookie::{clear_session_cookie, session_cookie};
pub use error::{ApiError, ErrorBody, ErrorDetail};
pub use frame_buffer::{FLUSH_BYTES, FrameBuffer, Frames};
pub use init::Init;
pub use json::{Empty, Json};
pub use key_schemas::{KeyStatusSchema, key_policy_schema};
pub use message_metadata::{MessageMetadata, TurnSummary};
pub use metrics::{Metric, Unit, measure};
pub use otel::{OtelConfig, OtelEndpoint};
pub use page::{PageBody, PageQuery, Paging, number_within};
pub use pipe::{PipeBody, PipeWriter, pipe};
pub use rate_limit::RateLimit;
pub use replay::answer_of_frames;
pub use serve::{StartError, serve_buffered, serve_events, serve_streaming, start};
pub use system::{process_env, system_clock, system_entropy};
pub use tasks::Tasks;
pub use telemetry::begin_logging;
pub use token::{SessionKeys, Tokens};
pub use ui_stream::{COMMENT, DONE, UiStream, broken_off, event_stream, interrupted};
pub use user::UserBody;
