//! URLs as they are signed on Lambda.

use jiff::Timestamp;
use shared_core::uploads::{FileKind, FileType, Filename, NewUpload, Sha256Digest};
use shared_files::Download;

use crate::setup::{ADA, ONE, files, variables};

fn now() -> Timestamp {
    "2026-03-14T12:00:00Z".parse().unwrap()
}

fn upload() -> NewUpload {
    NewUpload {
        id: ONE,
        filename: Filename::clean("a.png"),
        file_type: FileType::parse("image/png").unwrap(),
        size: 12,
        sha256: Sha256Digest([0; 32]),
    }
}

#[tokio::test]
async fn a_url_for_a_put_signs_all_headers_also_with_temporary_credentials() {
    let mut variables = variables();
    variables.push(("AWS_SESSION_TOKEN", "a token".to_owned()));
    let put = files(&variables).presign_put(ADA, &upload(), now()).await.unwrap();
    let address = format!("https://uploads.s3.ap-south-1.amazonaws.com/quarantine/{ADA}/{ONE}?");
    assert!(put.url.starts_with(&address), "{}", put.url);
    assert!(put.url.contains("X-Amz-Security-Token=a%20token"), "{}", put.url);
    let signed = "X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost%3Bif-none-match%3Bx-amz-checksum-sha256";
    assert!(put.url.contains(signed), "{}", put.url);
    assert!(put.url.contains("X-Amz-Date=20260314T120000Z"), "{}", put.url);
    assert!(!put.url.to_lowercase().contains("x-amz-checksum-sha256="), "{}", put.url);
    assert!(!put.url.to_lowercase().contains("x-amz-sdk-checksum"), "{}", put.url);
    let mut headers: Vec<_> = put.headers.iter().map(|(name, _)| name.as_str()).collect();
    headers.sort_unstable();
    assert_eq!(headers, ["content-type", "if-none-match", "x-amz-checksum-sha256"]);
    assert_eq!(put.expires_at.to_string(), "2026-03-14T12:05:00Z");
}

#[tokio::test]
async fn a_url_of_a_file_has_no_header_to_send() {
    let mut variables = variables();
    variables.push(("AWS_USE_DUALSTACK_ENDPOINT", "true".to_owned()));
    let filename = &Filename::clean("a.svg");
    let media_type = "image/svg+xml";
    let download =
        Download { id: ONE, kind: FileKind::Text, media_type, filename, is_thumb: false };
    let url = files(&variables).presign_get(ADA, &download, now()).await.unwrap();
    let address =
        format!("https://uploads.s3.dualstack.ap-south-1.amazonaws.com/clean/{ADA}/{ONE}/view?");
    assert!(url.starts_with(&address), "{url}");
    assert!(url.contains("X-Amz-SignedHeaders=host&"), "{url}");
    assert!(url.contains("X-Amz-Expires=120&"), "{url}");
    assert!(url.contains("response-content-type=text%2Fplain%3B%20charset%3Dutf-8"), "{url}");
    assert!(!url.to_lowercase().contains("x-amz-checksum-mode"), "{url}");
}
