//! Pages of lists, by keyset pagination: a page continues after the last item of the one before, so items that are
//! added meanwhile neither shift it nor appear twice.

use jiff::Timestamp;

/// Default number of items of a page.
pub const PAGE: u32 = 20;
/// Maximum number of items of a page.
pub const LARGEST_PAGE: u32 = 100;

/// A position in a list that is sorted by time, newest first. Several items may have the same microsecond; no two have
/// the same id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The item's time.
    pub at: Timestamp,
    /// The item's id.
    pub id: String,
}

impl Cursor {
    /// From its text, `<microseconds since 1970>.<id>`.
    ///
    /// Rejects times before 1970: nothing is older, and Postgres's range of years begins later than jiff's.
    pub fn parse(raw: &str) -> Option<Self> {
        let (micros, id) = raw.split_once('.')?;
        let micros = micros.parse().ok().filter(|micros| *micros >= 0)?;
        let is_id = (8..=64).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        is_id.then_some(Self { at: Timestamp::from_microsecond(micros).ok()?, id: id.to_owned() })
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.at.as_microsecond(), self.id)
    }
}

/// Which page of a list to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// The last item of the page before; `None` for the first page.
    pub after: Option<Cursor>,
    /// Number of items, at most.
    pub limit: u32,
}

impl PageRequest {
    /// Rows to read: one more than the page has, which tells whether another page follows.
    pub fn rows(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// The page of `rows`, which were read by [`PageRequest::rows`].
    pub fn page<T>(&self, mut rows: Vec<T>, cursor: impl FnOnce(&T) -> Cursor) -> Page<T> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| has_more).map(cursor);
        Page { items: rows, next }
    }
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, newest first.
    pub items: Vec<T>,
    /// Where the next page continues; `None` on the last one.
    pub next: Option<Cursor>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(micros: i64, id: &str) -> Cursor {
        Cursor { at: Timestamp::from_microsecond(micros).unwrap(), id: id.to_owned() }
    }

    #[test]
    fn a_cursor_is_read_as_it_is_written_and_nothing_else_is_one() {
        let written = cursor(1_773_489_600_000_000, "answer-01");
        assert_eq!(written.to_string(), "1773489600000000.answer-01");
        assert_eq!(Cursor::parse(&written.to_string()), Some(written));
        for raw in
            ["", "7", "7.", "7.short", ".answer-01", "-7.answer-01", "7.answer 01", "x.answer-01"]
        {
            assert_eq!(Cursor::parse(raw), None, "{raw}");
        }
    }

    #[test]
    fn another_page_follows_if_more_rows_were_found_than_it_has() {
        let request = PageRequest { after: None, limit: 2 };
        let page = |rows: Vec<i64>| request.page(rows, |micros| cursor(*micros, "answer-01"));
        assert_eq!(request.rows(), 3);
        assert_eq!(
            page(vec![9, 8, 7]),
            Page { items: vec![9, 8], next: Some(cursor(8, "answer-01")) }
        );
        assert_eq!(page(vec![9, 8]), Page { items: vec![9, 8], next: None });
        assert_eq!(page(vec![]), Page { items: vec![], next: None });
    }
}
