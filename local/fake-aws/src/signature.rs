//! The `authorization` header of `SigV4`. Its form and scope are checked, not its value: the SDK signs, and
//! these tests need not test the SDK.

use http::HeaderMap;
use http::header::AUTHORIZATION;

/// The scope of a signature.
#[derive(Debug)]
pub(crate) struct Signature {
    pub(crate) region: String,
    pub(crate) service: String,
}

impl Signature {
    /// Parses the header; `None` if it is missing or malformed.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let fields = header.strip_prefix("AWS4-HMAC-SHA256 ")?;
        let field = |name: &str| {
            fields.split(", ").find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
        };
        let [_key, date, region, service, "aws4_request"] =
            field("Credential")?.split('/').collect::<Vec<_>>()[..]
        else {
            return None;
        };
        let signature = field("Signature")?;
        let well_formed = field("SignedHeaders")?.split(';').any(|header| header == "host")
            && headers.get("x-amz-date")?.to_str().ok()?.starts_with(date)
            && signature.len() == 64
            && signature.bytes().all(|byte| byte.is_ascii_hexdigit());
        well_formed.then(|| Self { region: region.to_owned(), service: service.to_owned() })
    }
}
