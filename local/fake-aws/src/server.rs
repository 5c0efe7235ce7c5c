//! One endpoint for all services, as `AWS_ENDPOINT_URL` requires: the request itself names its operation.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Map, Value};

use crate::answer::{Protocol, Refusal, answer};
use crate::memory::{Call, Memory};
use crate::signature::Signature;
use crate::{Trouble, caches, keys, secrets};

pub(crate) fn router(memory: Arc<Memory>) -> Router {
    Router::new().fallback(serve).with_state(memory)
}

/// A parsed request.
struct Request {
    protocol: Protocol,
    operation: String,
    parameters: Value,
}

async fn serve(State(memory): State<Arc<Memory>>, headers: HeaderMap, body: Bytes) -> Response {
    let request = Request::read(&headers, &body);
    let signature = Signature::of(&headers);
    memory.remember(Call {
        operation: request.operation.clone(),
        region: signature.as_ref().map(|signature| signature.region.clone()).unwrap_or_default(),
        parameters: request.parameters.clone(),
    });
    let protocol = request.protocol;
    let answered = match memory.next_trouble() {
        None => request.answered(&memory, signature),
        Some(Trouble::Slow(delay)) => {
            tokio::time::sleep(delay).await;
            request.answered(&memory, signature)
        }
        Some(Trouble::Answer { status, body }) => Ok(answer(status, "text/html", body)),
        Some(Trouble::Throttled) => Err(Refusal::throttled()),
        Some(Trouble::Broken) => Err(Refusal::broken()),
        Some(Trouble::Denied) => Err(Refusal::denied(&request.operation)),
    };
    answered.unwrap_or_else(|refusal| refusal.in_protocol(protocol))
}

impl Request {
    /// JSON 1.1 names the operation in a header, Query in the body.
    fn read(headers: &HeaderMap, body: &[u8]) -> Self {
        let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        if let Some((_, operation)) = target.and_then(|target| target.split_once('.')) {
            let parameters = serde_json::from_slice(body).unwrap_or_default();
            return Self { protocol: Protocol::Json, operation: operation.into(), parameters };
        }
        let mut parameters: Map<String, Value> = form_urlencoded::parse(body)
            .map(|(name, value)| (name.into_owned(), value.into_owned().into()))
            .collect();
        let operation = match parameters.remove("Action") {
            Some(Value::String(operation)) => operation,
            _ => String::new(),
        };
        Self { protocol: Protocol::Query, operation, parameters: parameters.into() }
    }

    fn answered(&self, memory: &Memory, signature: Option<Signature>) -> Result<Response, Refusal> {
        let signature = signature.ok_or_else(Refusal::unsigned)?;
        let signed_for = |service: &str| {
            let right = signature.service == service;
            if right { Ok(()) } else { Err(Refusal::signed_for(service)) }
        };
        match (self.protocol, &*self.operation) {
            (Protocol::Json, "BatchGetSecretValue") => {
                signed_for("secretsmanager")?;
                secrets::batch_get(memory, &self.parameters)
            }
            (Protocol::Query, "DescribeServerlessCaches") => {
                signed_for("elasticache")?;
                caches::describe(memory, &self.parameters)
            }
            (Protocol::Json, "GenerateDataKey") => {
                signed_for("kms")?;
                keys::generate_data_key(memory, &self.parameters)
            }
            (Protocol::Json, "Decrypt") => {
                signed_for("kms")?;
                keys::decrypt(memory, &self.parameters)
            }
            (Protocol::Json, _) => Err(Refusal::new(400, "UnknownOperationException", "")),
            (Protocol::Query, operation) => {
                let message = format!("Could not find operation {operation}.");
                Err(Refusal::new(400, "InvalidAction", message))
            }
        }
    }
}
