//! Secrets Manager: `BatchGetSecretValue`.

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::answer::{Refusal, json_answer};
use crate::memory::Memory;
use crate::{ACCOUNT, REGION};

/// Suffix of an ARN: AWS draws six random characters; here they are fixed.
const SUFFIX: &str = "AbCdEf";

#[derive(Debug, Clone)]
pub(crate) struct Secret {
    pub(crate) arn: String,
    name: String,
    content: Content,
}

#[derive(Debug, Clone)]
pub(crate) enum Content {
    Text(String),
    Bytes(Vec<u8>),
    /// The caller may not read it.
    Forbidden,
}

impl Secret {
    pub(crate) fn new(name: &str, content: Content) -> Self {
        let arn = format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-{SUFFIX}");
        Self { arn, name: name.to_owned(), content }
    }

    pub(crate) fn is(&self, id: &str) -> bool {
        self.name == id || self.arn == id || self.arn == format!("{id}-{SUFFIX}")
    }

    fn document(&self) -> Option<Value> {
        let (field, value) = match &self.content {
            Content::Text(text) => ("SecretString", text.clone()),
            Content::Bytes(bytes) => ("SecretBinary", STANDARD.encode(bytes)),
            Content::Forbidden => return None,
        };
        Some(json!({
            "ARN": self.arn,
            "Name": self.name,
            "VersionId": "00000000-0000-4000-8000-000000000001",
            "VersionStages": ["AWSCURRENT"],
            "CreatedDate": 1_767_225_600.0,
            field: value,
        }))
    }
}

/// Returns the values, and an error for each secret that cannot be read.
pub(crate) fn batch_get(memory: &Memory, parameters: &Value) -> Result<Response, Refusal> {
    let ids: Vec<&str> = parameters["SecretIdList"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if ids.is_empty() {
        let message = "You must provide either SecretIdList or Filters.";
        return Err(Refusal::new(400, "InvalidParameterException", message));
    }
    if ids.len() > 20 {
        let message = "1 validation error detected: Value at 'secretIdList' failed to satisfy constraint: Member must have length less than or equal to 20";
        return Err(Refusal::new(400, "ValidationException", message));
    }
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    // Not in the order of the request: the API guarantees none.
    for id in ids.into_iter().rev() {
        let (code, message) = match memory.secret(id).map(|secret| secret.document()) {
            Some(Some(document)) => {
                values.push(document);
                continue;
            }
            Some(None) => (
                "AccessDeniedException",
                format!(
                    "User is not authorized to perform: secretsmanager:GetSecretValue on resource: {id}"
                ),
            ),
            None => (
                "ResourceNotFoundException",
                "Secrets Manager can't find the specified secret.".to_owned(),
            ),
        };
        errors.push(json!({ "SecretId": id, "ErrorCode": code, "Message": message }));
    }
    Ok(json_answer(200, &json!({ "SecretValues": values, "Errors": errors })))
}
