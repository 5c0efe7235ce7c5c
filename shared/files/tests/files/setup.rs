//! A bucket, and a server that answers as it is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use local_s3::LocalS3;
use shared_aws::Aws;
use shared_core::env::Env;
use shared_core::ids::UserId;
use shared_core::uploads::UploadId;
use shared_files::Files;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use uuid::Uuid;

pub(crate) const ADA: UserId = UserId(Uuid::from_u128(0xada));
pub(crate) const EVE: UserId = UserId(Uuid::from_u128(0xe4e));
pub(crate) const ONE: UploadId = UploadId(Uuid::from_u128(1));
pub(crate) const OTHER: UploadId = UploadId(Uuid::from_u128(2));

pub(crate) async fn s3() -> (LocalS3, Files) {
    let s3 = LocalS3::start(&[]).await.unwrap();
    let files = files(&s3.variables());
    (s3, files)
}

/// Files as a function with these variables has them.
pub(crate) fn files(variables: &[(&str, String)]) -> Files {
    let env = Env::new(|name| {
        variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.clone())
    });
    Files::from_env(&env, &Aws::from_env(&env).unwrap()).unwrap()
}

/// The variables of a function, without an endpoint.
pub(crate) fn variables() -> Vec<(&'static str, String)> {
    [
        ("AWS_REGION", "ap-south-1"),
        ("AWS_ACCESS_KEY_ID", "AKIATESTTESTTESTTEST"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("UPLOADS_BUCKET", "uploads"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .to_vec()
}

/// What a server answers with, and whether it keeps the connection open and silent afterwards.
#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) head: String,
    pub(crate) body: String,
    pub(crate) stalls: bool,
}

/// An answer whose body is as long as it says.
pub(crate) fn reply(status: &str, body: &str) -> Reply {
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    Reply { head, body: body.to_owned(), stalls: false }
}

/// An answer whose body is to have `length` bytes.
pub(crate) fn cut_short(length: usize, body: &str, stalls: bool) -> Reply {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\netag: \"x\"\r\n\r\n");
    Reply { head, body: body.to_owned(), stalls }
}

/// A server that answers each request by its first line. Dropped, it stops.
pub(crate) struct Scripted {
    pub(crate) files: Files,
    asked: Arc<AtomicUsize>,
    _server: JoinSet<()>,
}

impl Scripted {
    pub(crate) async fn start(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut variables = variables();
        let url = format!("http://{}", listener.local_addr().unwrap());
        variables.push(("AWS_ENDPOINT_URL_S3", url));
        let (answer, asked) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
        let mut server = JoinSet::new();
        server.spawn(accept_loop::serve(listener, {
            let asked = Arc::clone(&asked);
            move |socket| converse(socket, Arc::clone(&answer), Arc::clone(&asked))
        }));
        Self { files: files(&variables), asked, _server: server }
    }

    /// The same answer to every request.
    pub(crate) async fn always(reply: Reply) -> Self {
        Self::start(move |_| reply.clone()).await
    }

    /// Number of requests so far.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// One request with its body, and the answer.
async fn converse(
    mut socket: TcpStream,
    answer: Arc<impl Fn(&str) -> Reply>,
    asked: Arc<AtomicUsize>,
) {
    let mut request = Vec::new();
    while !is_whole(&request) {
        if socket.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    asked.fetch_add(1, Ordering::Relaxed);
    let request = String::from_utf8_lossy(&request).into_owned();
    let reply = answer(request.lines().next().unwrap());
    // The client may have gone.
    let _ = socket.write_all(format!("{}{}", reply.head, reply.body).as_bytes()).await;
    if reply.stalls {
        std::future::pending::<()>().await;
    }
}

fn is_whole(request: &[u8]) -> bool {
    let request = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.is_none_or(|length| body.len() >= length.parse().unwrap())
}
