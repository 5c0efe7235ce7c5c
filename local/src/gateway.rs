//! One router for all functions: each path of a function's API document leads to its app.

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

/// A function, as a gateway sees it.
pub(crate) struct Mounted {
    pub(crate) app: Router,
    pub(crate) document: OpenApi,
}

pub(crate) fn gateway(
    app: &AppContext,
    functions: Vec<Mounted>,
    inbox: DevMailbox,
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
        .merge(inbox.routes())
        .merge(sweeper.map(Sweeper::routes).unwrap_or_default());
    // The edge answers for paths that no function has.
    router.merge(app.wrap(local))
}

/// A function is asked as if nothing stood before it. What axum has noted of the gateway's match it would
/// take for a part of its own, and a path would have each of its parameters twice.
fn unmatched(mut request: Request) -> Request {
    let extensions = request.extensions_mut();
    let peer = extensions.remove::<ConnectInfo<SocketAddr>>();
    extensions.clear();
    if let Some(peer) = peer {
        extensions.insert(peer);
    }
    request
}
