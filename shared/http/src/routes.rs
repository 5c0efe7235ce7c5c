//! A function's routes, listed once for its router and for its part of the API document.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, on};
use utoipa::Path;
use utoipa::openapi::HttpMethod;

/// Lists a function's routes: handlers with `#[utoipa::path]`, each named by its module. Defines `router()`, and
/// `openapi()` of the function's part of the API document.
///
/// The document is not built when a function starts: that would take several times as long as its router.
///
/// ```ignore
/// shared_http::routes! {
///     deps: Deps,
///     handlers: [log_out::log_out, me::me, me::change_me],
/// }
/// ```
#[macro_export]
macro_rules! routes {
    (
        deps: $deps:ty,
        handlers: [$($module:ident :: $handler:ident),+ $(,)?],
        $(schemas: [$($schema:ty),+ $(,)?],)?
    ) => {
        #[derive(utoipa::OpenApi)]
        #[openapi(
            paths($($module::$handler),+),
            $(components(schemas($($schema),+)),)?
        )]
        struct Document;

        /// The function's part of the API document.
        pub fn openapi() -> utoipa::openapi::OpenApi {
            <Document as utoipa::OpenApi>::openapi()
        }

        fn router() -> axum::Router<$deps> {
            let router = axum::Router::new();
            $(
                let router = $crate::__pastey::paste! {
                    $crate::route(router, $module::[<__path_ $handler>], $module::$handler)
                };
            )+
            router
        }
    };
}

/// Adds a handler at the path and for the methods of its `#[utoipa::path]`, which is `documented`.
pub fn route<Documented, Call, Arguments, Deps>(
    router: Router<Deps>,
    _documented: Documented,
    handler: Call,
) -> Router<Deps>
where
    Documented: Path,
    Call: Handler<Arguments, Deps>,
    Arguments: 'static,
    Deps: Clone + Send + Sync + 'static,
{
    let methods = Documented::methods().iter().map(filter).reduce(MethodFilter::or);
    match methods {
        Some(methods) => router.route(&Documented::path(), on(methods, handler)),
        None => router,
    }
}

fn filter(method: &HttpMethod) -> MethodFilter {
    match method {
        HttpMethod::Get => MethodFilter::GET,
        HttpMethod::Post => MethodFilter::POST,
        HttpMethod::Put => MethodFilter::PUT,
        HttpMethod::Delete => MethodFilter::DELETE,
        HttpMethod::Options => MethodFilter::OPTIONS,
        HttpMethod::Head => MethodFilter::HEAD,
        HttpMethod::Patch => MethodFilter::PATCH,
        HttpMethod::Trace => MethodFilter::TRACE,
    }
}
