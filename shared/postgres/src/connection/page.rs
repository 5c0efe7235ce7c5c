//! Keyset pagination: where a page begins, as parameters of a query.

use jiff::Timestamp;
use shared_core::page::PageRequest;
use tokio_postgres::types;

/// Time and id that the page's items are before; for the first page, after all times.
pub(crate) fn after(page: &PageRequest) -> (types::Timestamp<Timestamp>, &str) {
    match &page.after {
        Some(cursor) => (types::Timestamp::Value(cursor.at), &cursor.id),
        None => (types::Timestamp::PosInfinity, ""),
    }
}
