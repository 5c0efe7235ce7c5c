//! The local S3, driven by AWS's SDK and, for what a browser does with a presigned URL, by bytes on a socket.

#![expect(clippy::unwrap_used, reason = "a test stops where it breaks")]

mod cors;
mod faults;
mod keeping;
mod objects;
mod presigned;
mod versions;

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::{BehaviorVersion, Region};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::presigning::{PresignedRequest, PresigningConfig};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use local_s3::{BUCKET, LocalS3};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ORIGIN: &str = "https://chat.example.com";
const KEY: &str = "quarantine/7/report.pdf";
const BODY: &[u8] = b"%PDF-1.7 hello";
const PDF: &str = "application/pdf";

async fn start() -> (LocalS3, Client) {
    let s3 = LocalS3::start(&[ORIGIN]).await.unwrap();
    let client = client(&s3);
    (s3, client)
}

/// A client as the product's, without retries.
fn client(s3: &LocalS3) -> Client {
    client_of(s3, |secret| secret)
}

fn client_of(s3: &LocalS3, change: impl Fn(String) -> String) -> Client {
    let variable = |name| {
        let (_, value) = s3.variables().into_iter().find(|(key, _)| *key == name).unwrap();
        value
    };
    let secret = change(variable("AWS_SECRET_ACCESS_KEY"));
    let credentials = Credentials::new(variable("AWS_ACCESS_KEY_ID"), secret, None, None, "test");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(variable("AWS_REGION")))
        .endpoint_url(variable("AWS_ENDPOINT_URL_S3"))
        .credentials_provider(credentials)
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    Client::from_conf(config.build())
}

fn sha256(bytes: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(bytes))
}

/// Signed now, for five minutes.
fn fresh() -> PresigningConfig {
    PresigningConfig::expires_in(Duration::from_mins(5)).unwrap()
}

/// Signed `age` seconds ago, for an hour.
#[expect(clippy::disallowed_methods, reason = "signatures are verified by this clock")]
fn signed_ago(age: u64) -> PresigningConfig {
    let start = SystemTime::now() - Duration::from_secs(age);
    let config = PresigningConfig::builder().start_time(start);
    config.expires_in(Duration::from_hours(1)).build().unwrap()
}

/// An upload of [`BODY`] to `key`, as the product presigns it.
async fn presigned(client: &Client, key: &str, config: PresigningConfig) -> Upload {
    let put = client.put_object().bucket(BUCKET).key(key).content_type(PDF);
    let length = i64::try_from(BODY.len()).unwrap();
    let put = put.content_length(length).checksum_sha256(sha256(BODY)).if_none_match("*");
    Upload::of(&put.presigned(config).await.unwrap())
}

/// A request that a browser sends; tests change its parts.
#[derive(Debug, Clone)]
struct Upload {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Upload {
    fn of(request: &PresignedRequest) -> Self {
        let headers = request.headers().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self {
            method: request.method().to_owned(),
            url: request.uri().to_owned(),
            headers: headers.collect(),
            body: BODY.to_vec(),
        }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self = self.without(name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(header, _)| header != name);
        self
    }

    fn body(mut self, body: &[u8]) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    fn at(mut self, old: &str, new: &str) -> Self {
        assert!(self.url.contains(old), "{old} in {}", self.url);
        self.url = self.url.replacen(old, new, 1);
        self
    }

    async fn send(&self) -> Answer {
        self.attempted().await.unwrap()
    }

    /// `None` if the connection is closed without an answer.
    async fn attempted(&self) -> Option<Answer> {
        let rest = self.url.strip_prefix("http://").unwrap();
        let (host, path) = rest.split_once('/').unwrap();
        let mut head = format!("{} /{path} HTTP/1.1\r\nhost: {host}\r\n", self.method);
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head += "connection: close\r\n\r\n";
        let mut socket = TcpStream::connect(host).await.unwrap();
        socket.write_all(&[head.as_bytes(), &self.body].concat()).await.unwrap();
        let mut bytes = Vec::new();
        // A reset follows an answer that came before the body was read.
        let _ = socket.read_to_end(&mut bytes).await;
        Answer::parse(&bytes)
    }
}

/// A response.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines.filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        Some(Self { status, headers: headers.collect(), body: body.to_owned() })
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| &**value)
    }

    /// Status, and S3's error code if there is one.
    fn outcome(&self) -> (u16, &str) {
        let code = self.body.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
        (self.status, code.map_or("", |(code, _)| code))
    }
}

/// S3's error: status and code.
fn refusal<T, E>(result: Result<T, SdkError<E>>) -> (u16, String)
where
    E: ProvideErrorMetadata + std::fmt::Debug,
    T: std::fmt::Debug,
{
    let error = result.unwrap_err();
    let status = error.raw_response().unwrap().status().as_u16();
    (status, error.code().unwrap_or_default().to_owned())
}

fn refused(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}
