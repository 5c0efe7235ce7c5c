//! Protection against cross-site request forgery (CSRF).
//!
//! The browser itself states where a request comes from, in `sec-fetch-site`; if it is too old for that,
//! `origin` has to be ours. A client that sends neither is no browser, and has no user to trick
//! (OWASP's CSRF cheat sheet; the algorithm is that of Go's `CrossOriginProtection`).

use http::{HeaderMap, Method};

/// Whether the request may have come from another site's page.
pub(crate) fn is_cross_site(method: &Method, headers: &HeaderMap, app_origin: &str) -> bool {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return false;
    }
    if let Some(site) = headers.get("sec-fetch-site") {
        // `none` is the user's own navigation; `same-site` is a sibling domain, which is not us.
        return site != "same-origin" && site != "none";
    }
    headers.get(http::header::ORIGIN).is_some_and(|origin| origin != app_origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(method: &Method, pairs: &[(&'static str, &'static str)]) -> bool {
        let headers = pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect();
        is_cross_site(method, &headers, "https://chat.example")
    }

    #[test]
    fn a_page_of_another_site_cannot_post() {
        assert!(refused(&Method::POST, &[("sec-fetch-site", "cross-site")]));
        assert!(refused(&Method::DELETE, &[("sec-fetch-site", "same-site")]));
        assert!(refused(&Method::POST, &[("origin", "https://evil.example")]));
        assert!(refused(&Method::POST, &[("origin", "null")]));
        // `sec-fetch-site` decides, not `origin`.
        assert!(refused(
            &Method::POST,
            &[("sec-fetch-site", "cross-site"), ("origin", "https://chat.example")]
        ));
    }

    #[test]
    fn our_own_page_and_programs_can() {
        assert!(!refused(&Method::POST, &[("sec-fetch-site", "same-origin")]));
        assert!(!refused(&Method::POST, &[("sec-fetch-site", "none")]));
        assert!(!refused(&Method::PATCH, &[("origin", "https://chat.example")]));
        assert!(!refused(&Method::POST, &[]));
    }

    #[test]
    fn reading_is_never_refused() {
        assert!(!refused(
            &Method::GET,
            &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")]
        ));
    }
}
