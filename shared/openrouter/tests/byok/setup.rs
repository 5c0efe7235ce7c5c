//! A client of the fake.

use std::time::Duration;

use fake_openrouter::FakeOpenRouter;
use shared_core::env::Env;
use shared_core::keys::ProviderKey;
use shared_openrouter::{OpenRouter, OpenRouterConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

/// Part of every key in these tests, and of no other text.
pub(crate) const SECRET: &str = "c0ffee";
pub(crate) const GOOD: &str = "sk-or-v1-c0ffee-mine";

pub(crate) fn key(text: &str) -> ProviderKey {
    ProviderKey::parse(text).unwrap()
}

/// A client with this platform key.
pub(crate) fn with_platform_key(base_url: &str, platform: &str) -> OpenRouter {
    OpenRouter::new(&OpenRouterConfig::from_env(&env(base_url, platform)).unwrap()).unwrap()
}

/// A client without a platform key: only users' own keys (BYOK) pay.
pub(crate) fn without_platform_key(base_url: &str) -> OpenRouter {
    let env = env(base_url, "");
    let client = OpenRouter::new(&OpenRouterConfig::without_key(&env).unwrap()).unwrap();
    assert!(!env.asked().contains("OPENROUTER_API_KEY"));
    client
}

fn env<'a>(base_url: &'a str, platform: &'a str) -> Env<'a> {
    Env::new(move |name| match name {
        "OPENROUTER_BASE_URL" => Some(base_url.to_owned()),
        "OPENROUTER_API_KEY" => Some(platform.to_owned()),
        "APP_ORIGIN" => Some("https://chat.example.com".to_owned()),
        _ => None,
    })
}

/// The fake, and a client of it without a platform key.
pub(crate) async fn start() -> (FakeOpenRouter, OpenRouter) {
    let fake = FakeOpenRouter::start().await.unwrap();
    let client = without_platform_key(&fake.base_url());
    (fake, client)
}

/// A server that answers every request with these bytes, and never closes a connection.
pub(crate) async fn answering(answer: String) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let _ = socket.read(&mut [0; 4096]).await;
            let _ = socket.write_all(answer.as_bytes()).await;
            open.push(socket);
        }
    });
    (base_url, server)
}

/// Asserts that `call` gives up after exactly `patience`; returns its result. Its server answers with these
/// bytes and then nothing more. The clock is paused once they are sent: the wait is virtual, and a busy
/// machine adds nothing to it.
pub(crate) async fn gives_up_after<T>(
    patience: Duration,
    answer: &str,
    call: impl AsyncFnOnce(String) -> T,
) -> T {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let began = Instant::now();
    let stalling = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = socket.read(&mut [0; 4096]).await;
        socket.write_all(answer.as_bytes()).await.unwrap();
        time::pause();
        (Instant::now(), socket)
    };
    let call = time::timeout(Duration::from_hours(1), call(base_url));
    let (result, (paused, _socket)) = tokio::join!(call, stalling);
    assert!(began.elapsed() >= patience, "after {:?}", began.elapsed());
    // Not all of `patience`: it began to wait before. A timer is rounded up to a millisecond.
    let waited = paused.elapsed();
    assert!(waited <= patience + Duration::from_millis(1), "after {waited:?}");
    time::resume();
    result.unwrap()
}
