//! The HTTP edge: everything between the wire and a use case.
//!
//! Errors and their codes, the session cookie, CSRF protection, JSON in and out, pages. A function's routes become an
//! [`app`], which wraps them in the common middleware.

mod client_ip;
mod codes;
mod config;
mod context;
mod cookie;
mod csrf;
mod current_user;
mod error;
mod idempotency_header;
mod json;
mod key_error;
mod key_schemas;
mod middleware;
mod order_error;
mod origin_secret;
mod page;
mod plan_limits;
mod rate_limit_headers;
mod routes;
mod token;
mod upload;
mod upload_error;
mod user;

pub use client_ip::ClientIp;
pub use codes::ErrorCode;
pub use config::HttpConfig;
pub use context::AppContext;
pub use cookie::{clear_session_cookie, session_cookie};
pub use current_user::CurrentUser;
pub use error::{ApiError, ErrorBody, ErrorDetail};
pub use idempotency_header::idempotency_key;
pub use json::{Empty, Json, unread_body};
pub use key_schemas::{KeyStatusSchema, key_policy_schema};
pub use middleware::{app, wrap};
pub use page::{PageBody, PageQuery, Paging, number_within};
pub use plan_limits::PlanLimits;
pub use rate_limit_headers::RateLimitHeaders;
pub use routes::route;
pub use token::{SessionKeys, Tokens};
pub use upload::{UploadAnswer, UploadBody};
pub use user::UserBody;

/// For [`routes!`].
#[doc(hidden)]
pub use pastey as __pastey;
