//! The response to CloudFormation, which waits for it, up to an hour, and for nothing else.

use std::error::Error;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use serde::Serialize;

use crate::MigrationReport;
use crate::event::ResourceEvent;

/// One id for all versions of the schema: a new id would make CloudFormation delete the old resource.
const SCHEMA: &str = "schema";
/// The whole response is limited to 4,096 bytes.
const REASON_CHARS: usize = 800;
const SENT_WITHIN: Duration = Duration::from_secs(5);
const TRIES: u32 = 3;
const BETWEEN_TRIES: Duration = Duration::from_millis(300);

/// Responses to CloudFormation are uploaded to S3, whose certificate is from a public authority.
pub(crate) fn http_client() -> Result<reqwest::Client, Box<dyn Error + Send + Sync>> {
    let tls = shared_tls::https_config()?;
    Ok(reqwest::Client::builder().tls_backend_preconfigured(tls).build()?)
}

/// CloudFormation's [response](https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref-responses.html).
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Answer<'a> {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    physical_resource_id: &'static str,
    stack_id: &'a str,
    request_id: &'a str,
    logical_resource_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
}

/// The part of the report that stays short for any number of migrations; the log has all of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    applied: usize,
    version: Option<&'a str>,
    schema_hash: &'a str,
    cache: Option<&'a str>,
}

impl<'a> Data<'a> {
    fn of(report: &'a MigrationReport) -> Self {
        let MigrationReport { migrated, schema_hash, cache } = report;
        Self {
            applied: migrated.applied.len(),
            version: migrated.version.as_deref(),
            schema_hash,
            cache: cache.as_deref(),
        }
    }
}

impl<'a> Answer<'a> {
    pub(crate) fn new(
        event: &'a ResourceEvent,
        result: &'a Result<Option<MigrationReport>, String>,
    ) -> Self {
        let (status, reason, data) = match result {
            Ok(report) => ("SUCCESS", None, report.as_ref().map(Data::of)),
            Err(reason) => ("FAILED", Some(reason.chars().take(REASON_CHARS).collect()), None),
        };
        Self {
            status,
            reason,
            physical_resource_id: SCHEMA,
            stack_id: &event.stack_id,
            request_id: &event.request_id,
            logical_resource_id: &event.logical_resource_id,
            data,
        }
    }

    /// Uploads the response to CloudFormation's pre-signed URL, with retries.
    pub(crate) async fn send(
        &self,
        http: &reqwest::Client,
        url: &str,
    ) -> Result<(), reqwest::Error> {
        let mut tries = 1;
        loop {
            // The URL is signed for an empty content type.
            let request = http.put(url).header(CONTENT_TYPE, "").timeout(SENT_WITHIN);
            let body = serde_json::to_vec(self).unwrap_or_default();
            let sent = request.body(body).send().await;
            match sent.and_then(reqwest::Response::error_for_status) {
                Ok(_) => return Ok(()),
                // Without its URL, which is pre-signed and so grants write access.
                Err(error) if tries == TRIES => return Err(error.without_url()),
                Err(_) => {
                    tokio::time::sleep(BETWEEN_TRIES * tries).await;
                    tries += 1;
                }
            }
        }
    }
}
