//! The baseline of the webhook: a delivery with nothing around it.
//!
//! It does what every implementation must: verify the signature over the bytes as received, in constant time, and store
//! them by one conditional put. It omits what the product may not: reading them, keeping nothing of the buyer's,
//! recognising the same event in other bytes, rotated secrets, stale timestamps, fulfilment in Postgres, errors, logs.
//!
//! The libraries are the product's.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::serve::ListenerExt;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use shared_aws::Aws;
use shared_core::env::Env;
use tokio::net::TcpListener;

use crate::{Result, webhook};

#[derive(Clone)]
struct Bare {
    /// Keyed with the secret.
    mac: Hmac<Sha256>,
    dynamodb: Client,
    table: String,
}

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener, env: &Env<'_>) -> Result<()> {
    let bare = Bare {
        mac: Hmac::new_from_slice(env.required("CASHFREE_CLIENT_SECRET")?.as_bytes())?,
        dynamodb: Client::new(Aws::from_env(env)?.sdk_config()),
        table: env.required("INBOX_TABLE")?,
    };
    let app = Router::new().route(webhook::PATH, post(receive)).with_state(bare);
    let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
    Ok(axum::serve(listener, app).await?)
}

async fn receive(
    State(bare): State<Bare>,
    headers: HeaderMap,
    body: Bytes,
) -> std::result::Result<&'static str, StatusCode> {
    let header = |name| headers.get(name)?.to_str().ok();
    let signature = header("x-webhook-signature").ok_or(StatusCode::UNAUTHORIZED)?;
    let timestamp = header("x-webhook-timestamp").ok_or(StatusCode::UNAUTHORIZED)?;
    let expected = STANDARD.decode(signature).map_err(|_| StatusCode::UNAUTHORIZED)?;
    let mac = bare.mac.chain_update(timestamp).chain_update(&body);
    mac.verify_slice(&expected).map_err(|_| StatusCode::UNAUTHORIZED)?;
    let put = bare
        .dynamodb
        .put_item()
        .table_name(bare.table)
        .item("pk", AttributeValue::S("bare".to_owned()))
        .item("sk", AttributeValue::S(signature.to_owned()))
        .item("body", AttributeValue::B(Blob::new(body)))
        .condition_expression("attribute_not_exists(pk)")
        .send()
        .await;
    match put.map_err(SdkError::into_service_error) {
        Ok(_) | Err(PutItemError::ConditionalCheckFailedException(_)) => Ok("{}"),
        Err(_) => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}
