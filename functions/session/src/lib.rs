//! A user's own account: `POST /api/auth/logout`, `GET` and `PATCH /api/me`,
//! `GET /api/me/sessions`, `GET /api/usage`; and what the product says of itself: `GET /api/health`,
//! `GET /api/health/ready`, `GET /api/openapi.json`.

mod checkup;
mod document;
mod health;
mod log_out;
mod me;
mod sessions;
mod usage;

use std::sync::Arc;

use axum::Router;
use axum::extract::FromRef;
use shared_core::account::AccountError;
use shared_core::plans::Plans;
use shared_core::session::SessionError;
use shared_http::{Edge, Tokens};
use shared_postgres::{Database, Error as DatabaseError};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use checkup::Checkup;

/// What this function works with.
#[derive(Clone, Debug)]
pub struct Deps {
    /// Time.
    pub edge: Edge,
    /// Verifies session tokens.
    pub tokens: Tokens,
    /// Users, sessions and what they spend.
    pub database: Database,
    /// What users may.
    pub plans: Arc<Plans>,
    /// How the systems are.
    pub checkup: Checkup,
}

impl FromRef<Deps> for Edge {
    fn from_ref(deps: &Deps) -> Self {
        deps.edge.clone()
    }
}

impl FromRef<Deps> for Tokens {
    fn from_ref(deps: &Deps) -> Self {
        deps.tokens.clone()
    }
}

/// The function's routes, wrapped for the wire.
pub fn app(deps: Deps) -> Router {
    let edge = deps.edge.clone();
    let (routes, _) = routes().split_for_parts();
    edge.wrap(routes.with_state(deps))
}

/// The function's part of the API document.
pub fn openapi() -> OpenApi {
    routes().into_openapi()
}

fn routes() -> OpenApiRouter<Deps> {
    OpenApiRouter::new()
        .routes(routes!(log_out::log_out))
        .routes(routes!(me::me, me::change_me))
        .routes(routes!(sessions::sessions))
        .routes(routes!(usage::usage))
        .routes(routes!(health::health))
        .routes(routes!(health::ready))
        .routes(routes!(document::document))
}

/// What the database's errors mean for an account.
fn account_error(error: DatabaseError) -> AccountError {
    match error {
        DatabaseError::SessionEnded => SessionError::Ended.into(),
        DatabaseError::ChatNotFound
        | DatabaseError::MessageNotFound
        | DatabaseError::MessageExists
        | DatabaseError::TurnRunning(_)
        | DatabaseError::TurnRepeated
        | DatabaseError::TurnRefused(_)
        | DatabaseError::AnswerNotOpen
        | DatabaseError::AnswerGone
        | DatabaseError::Unavailable(_) => AccountError::Unavailable(error.into()),
    }
}
