//! The form of a request's signature, of which s3s verifies the value.

use http::{HeaderMap, Uri, header};
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};

use crate::{ACCESS_KEY_ID, SECRET_ACCESS_KEY};

const NOT_SIGNED: &str = "There were headers present in the request which were not signed";

/// The only key pair.
pub(crate) struct KeyPair;

#[async_trait::async_trait]
impl S3Auth for KeyPair {
    async fn get_secret_key(&self, access_key_id: &str) -> S3Result<SecretKey> {
        if access_key_id != ACCESS_KEY_ID {
            let message = "The AWS Access Key Id you provided does not exist in our records.";
            return Err(s3_error!(InvalidAccessKeyId, "{message}"));
        }
        Ok(SecretKey::from(SECRET_ACCESS_KEY))
    }
}

/// A signature of version 4.
#[derive(Debug)]
pub(crate) struct Signature {
    /// `X-Amz-Date` of a presigned URL.
    pub(crate) presigned_at: Option<String>,
}

impl Signature {
    /// Refuses what S3 refuses and s3s does not: signatures of version 2, two signatures, and headers of S3's own that
    /// are not part of the signature.
    pub(crate) fn of(uri: &Uri, headers: &HeaderMap) -> S3Result<Self> {
        let query = |name: &str| {
            let mut pairs = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
            pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        let authorization = headers.get(header::AUTHORIZATION);
        let authorization = authorization.map(|value| value.to_str().unwrap_or_default());
        let (signed, presigned_at) = match (query("X-Amz-Signature"), authorization) {
            (Some(_), Some(_)) => {
                return Err(s3_error!(InvalidArgument, "Only one auth mechanism allowed"));
            }
            (Some(_), None) => (query("X-Amz-SignedHeaders"), query("X-Amz-Date")),
            (None, Some(value)) if value.starts_with("AWS4-HMAC-SHA256") => {
                (signed_headers(value), None)
            }
            (None, None) if query("Signature").is_none() => {
                return Err(s3_error!(AccessDenied, "Access Denied"));
            }
            (None, _) => {
                let message = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.";
                return Err(s3_error!(InvalidRequest, "{message}"));
            }
        };
        let signed = signed.unwrap_or_default();
        let is_signed = |name: &str| signed.split(';').any(|signed| signed == name);
        let own = headers.keys().filter(|name| name.as_str().starts_with("x-amz-"));
        if own.into_iter().all(|name| is_signed(name.as_str())) {
            Ok(Self { presigned_at })
        } else {
            Err(s3_error!(AccessDenied, "{NOT_SIGNED}"))
        }
    }
}

/// Those that an `Authorization` header lists.
fn signed_headers(authorization: &str) -> Option<String> {
    let parts = authorization.split([',', ' ']);
    parts.into_iter().find_map(|part| part.strip_prefix("SignedHeaders=")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use s3s::S3ErrorCode;

    use super::*;

    const VERSION_4: &str = "AWS4-HMAC-SHA256 Credential=AKIA/20260101/ap-south-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=0";

    fn refusal(query: &str, authorization: Option<&'static str>) -> Option<S3ErrorCode> {
        let uri: Uri = format!("/uploads/key?{query}").parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-date", header::HeaderValue::from_static("20260101T000000Z"));
        if let Some(value) = authorization {
            headers.insert(header::AUTHORIZATION, header::HeaderValue::from_static(value));
        }
        Signature::of(&uri, &headers).err().map(|error| error.code().clone())
    }

    #[test]
    fn a_signature_is_of_version_4_and_the_only_one() {
        assert_eq!(refusal("", Some(VERSION_4)), None);
        assert_eq!(refusal("", None), Some(S3ErrorCode::AccessDenied));
        let version_2 = [("Signature=x", None), ("", Some("AWS AKIA:x")), ("", Some("Bearer x"))];
        for (query, authorization) in version_2 {
            assert_eq!(refusal(query, authorization), Some(S3ErrorCode::InvalidRequest));
        }
        let both = refusal("X-Amz-Signature=x", Some(VERSION_4));
        assert_eq!(both, Some(S3ErrorCode::InvalidArgument));
    }

    #[test]
    fn headers_of_s3s_own_are_signed() {
        let query = "X-Amz-Signature=x&X-Amz-SignedHeaders=host";
        assert_eq!(refusal(query, None), Some(S3ErrorCode::AccessDenied));
        assert_eq!(refusal(&format!("{query}%3Bx-amz-date"), None), None);
    }
}
