//! How frames become writes.

use std::io::{Read as _, Write as _};

use fake_openrouter::FakeOpenRouter;

use crate::client::{KEY, ask, question};

#[tokio::test]
async fn each_frame_is_a_chunk_of_its_own() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = ask(&fake, "fake/echo", "one two").await;
    assert_eq!(answer.chunks.len(), 7);
    assert!(answer.chunks.iter().all(|chunk| chunk.ends_with(b"\n\n")));
}

#[tokio::test]
async fn crlf_ends_every_line_with_both_characters() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = ask(&fake, "fake/crlf", "one two").await;
    let text = answer.text();
    assert_eq!(text.matches("\r\n\r\n").count(), 7);
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    assert_eq!(answer.deltas(), ["one ", "two"]);
}

#[tokio::test]
async fn burst_sends_everything_in_one_chunk() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = ask(&fake, "fake/burst", "one two").await;
    assert_eq!(answer.chunks.len(), 1);
    assert_eq!(answer.deltas(), ["one ", "two"]);
    assert!(answer.is_done());
}

#[tokio::test]
async fn bytes_sends_every_byte_alone() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = ask(&fake, "fake/bytes", "one two").await;
    assert!(answer.chunks.iter().all(|chunk| chunk.len() == 1));
    assert_eq!(answer.deltas(), ["one ", "two"]);
    assert!(answer.is_done());
}

#[tokio::test]
async fn utf8_is_split_inside_characters() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = ask(&fake, "fake/utf8", "anything").await;
    assert!(answer.chunks.iter().any(|chunk| str::from_utf8(chunk).is_err()));
    assert_eq!(answer.deltas().concat(), "Grüße — 世界 🚀 καλημέρα 👩‍🚀 ñandú");
}

#[tokio::test]
async fn every_byte_leaves_in_a_write_of_its_own() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let address = fake.address();
    let body = question("fake/bytes", "one two").to_string();
    let head = format!("authorization: Bearer {KEY}\r\ncontent-length: {}", body.len());
    let request =
        format!("POST /api/v1/chat/completions HTTP/1.1\r\nhost: fake\r\n{head}\r\n\r\n{body}");
    let reads = tokio::task::spawn_blocking(move || {
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        socket.write_all(request.as_bytes()).unwrap();
        let (mut received, mut reads) = (Vec::new(), 0);
        while !received.ends_with(b"0\r\n\r\n") {
            let mut buffer = [0; 8_192];
            let length = socket.read(&mut buffer).unwrap();
            received.extend_from_slice(&buffer[..length]);
            reads += 1;
        }
        reads
    });
    // More than a thousand writes. How many of them one read gathers is the kernel's choice, but
    // writes that were joined before they left would fit a handful of reads.
    assert!(reads.await.unwrap() > 20);
}
