//! One router for all functions: routes each path of a function's API document to that function's app.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Html;
use axum::routing::get;
use shared_http::AppContext;
use tower::ServiceExt;
use utoipa::openapi::OpenApi;

use crate::{DevMailbox, Sweeper};

/// A function's app with its API document.
pub(crate) struct Mounted {
    pub(crate) app: Router,
    pub(crate) document: OpenApi,
}

pub(crate) fn gateway(
    app: &AppContext,
    functions: Vec<Mounted>,
    mailbox: DevMailbox,
    sweeper: Option<Sweeper>,
) -> Router {
    let mut router = Router::new();
    for Mounted { app, document } in functions {
        for path in document.paths.paths.keys() {
            let app = app.clone().into_service::<Body>().map_request(unmatched);
            router = router.route_service(path, app);
        }
    }
    let local = Router::new()
        .route("/", get(async || Html(include_str!("index.html"))))
        .merge(mailbox.routes())
        .merge(sweeper.map(Sweeper::routes).unwrap_or_default());
    // Unknown paths are answered by the edge middleware.
    router.merge(shared_http::wrap(local, app))
}

/// Removes the request extensions that axum set while matching the gateway's route, all but the client's
/// address. The function's own router would add to them, and each path parameter would appear twice.
fn unmatched(mut request: Request) -> Request {
    let extensions = request.extensions_mut();
    let peer = extensions.remove::<ConnectInfo<SocketAddr>>();
    extensions.clear();
    if let Some(peer) = peer {
        extensions.insert(peer);
    }
    request
}
