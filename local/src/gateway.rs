//! One router for all functions: each path of a function's API document leads to its app.

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::response::Html;
use axum::routing::get;
use shared_http::Edge;
use tower::ServiceExt;
use utoipa::openapi::OpenApi;

use crate::{Inbox, Sweeper};

/// A function, as a gateway sees it.
pub(crate) struct Mounted {
    pub(crate) app: Router,
    pub(crate) document: OpenApi,
}

pub(crate) fn gateway(
    edge: &Edge,
    functions: Vec<Mounted>,
    inbox: Inbox,
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
    router.merge(edge.wrap(local))
}

/// The app matches the path itself; axum would take the gateway's match for a prefix of it.
fn unmatched(mut request: Request) -> Request {
    request.extensions_mut().remove::<MatchedPath>();
    request
}
