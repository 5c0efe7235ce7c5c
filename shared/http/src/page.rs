//! Lists on the wire: `?limit=…&cursor=…`, answered by `{"items": […], "nextCursor": …}`.

use axum::extract::{FromRequestParts, Query};
use http::request::Parts;
use serde::{Deserialize, Serialize};
use shared_core::page::{Cursor, LARGEST_PAGE, PAGE, Page, PageRequest};
use utoipa::{IntoParams, ToSchema};

use crate::{ApiError, ErrorCode};

/// Which page of a list a request asks for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Page size, 1 to 100; 20 by default.
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
    /// The `nextCursor` of the previous page.
    cursor: Option<String>,
}

impl PageQuery {
    fn parse(self) -> Result<PageRequest, ApiError> {
        let invalid = || {
            ApiError::new(
                ErrorCode::InvalidCursor,
                "that cursor is not one that this list gave out",
            )
        };
        let after = self.cursor.map(|cursor| Cursor::parse(&cursor).ok_or_else(invalid));
        Ok(PageRequest {
            after: after.transpose()?,
            limit: number_within("limit", self.limit.as_deref(), PAGE, LARGEST_PAGE)?,
        })
    }
}

/// The page that a request asks for, as its query says. Rejects a limit out of range rather than clamping it.
#[derive(Clone, Debug)]
pub struct Paging(pub PageRequest);

impl<S: Send + Sync> FromRequestParts<S> for Paging {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::<PageQuery>::from_request_parts(parts, state).await;
        // Both are optional strings, so a repeated parameter is the only possible rejection.
        let once = |_| ApiError::new(ErrorCode::InvalidRequest, "limit and cursor: each once");
        let Query(query) = query.map_err(once)?;
        query.parse().map(Self)
    }
}

/// A number of a query, 1 to `most`. Its error names the field and the range; serde's are not written for users.
pub fn number_within(
    field: &str,
    asked: Option<&str>,
    usual: u32,
    most: u32,
) -> Result<u32, ApiError> {
    let Some(asked) = asked else { return Ok(usual) };
    let number = asked.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| {
        ApiError::new(ErrorCode::InvalidRequest, format!("{field}: from 1 to {most}"))
    })
}

/// One page of a list, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Page)]
pub struct PageBody<T> {
    /// The items.
    pub items: Vec<T>,
    /// Cursor of the next page, or null on the last.
    pub next_cursor: Option<String>,
}

impl<T> PageBody<T> {
    /// Converts each item of `page` to its form on the wire.
    pub fn new<U>(page: Page<U>, item: impl FnMut(U) -> T) -> Self {
        Self {
            items: page.items.into_iter().map(item).collect(),
            next_cursor: page.next.map(|next| next.to_string()),
        }
    }
}
