//! The `OpenAPI` document: the functions' parts merged.

use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, OpenApi, OpenApiBuilder};

/// The document's description, for clients of all routes.
const DESCRIPTION: &str = "\
JSON in camelCase. Errors are `{\"error\":{\"code\",\"message\",\"details\"?}}`; the code is for programs, and \
`docs/errors.md` lists all of them. Beside the errors that a route names, each can answer `malformed_json`, \
`invalid_request`, `unsupported_media_type`, `body_too_large`, `method_not_allowed`, `cross_site`, \
`distribution_bypassed` and `internal`; the gateway in front may answer `too_many_requests` and `forbidden`. \
Every response carries `x-request-id`. Requests of other origins are refused (`sec-fetch-site`, or `origin`).";

/// All functions' routes in one document.
pub fn openapi() -> OpenApi {
    let cookie = ApiKey::Cookie(ApiKeyValue::with_description(
        "__Host-session",
        "The session, set by `POST /api/auth/verify`",
    ));
    let info = InfoBuilder::new().title("Chat").version("1").description(Some(DESCRIPTION)).build();
    let components =
        ComponentsBuilder::new().security_scheme("session", SecurityScheme::ApiKey(cookie)).build();
    let mut document = OpenApiBuilder::new()
        .info(info)
        .components(Some(components))
        .security(Some([SecurityRequirement::new("session", Vec::<String>::new())]))
        .build();
    for part in [
        otp::openapi(),
        verify::openapi(),
        account::openapi(),
        chat_stream::openapi(),
        models::openapi(),
        keys::openapi(),
        orders::openapi(),
        webhook::openapi(),
        presign::openapi(),
        inspect::openapi(),
    ] {
        document.merge(part);
    }
    document
}
