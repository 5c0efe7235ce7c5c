//! What a turn knows of its request.

use axum::response::Response;
use jiff::Timestamp;
use shared_core::identity::Session;
use shared_core::ids::TraceId;
use shared_http::ApiError;
use tokio::sync::oneshot;

/// Receives the response, or the error instead of one.
pub type Respond = oneshot::Sender<Result<Response, ApiError>>;

/// The context of a turn's request.
#[derive(Clone, Copy, Debug)]
pub struct TurnContext {
    /// The user's session.
    pub session: Session,
    /// The trace id, by which the provider's record of the turn can be found.
    pub trace: TraceId,
    /// When the question arrived.
    pub now: Timestamp,
}
