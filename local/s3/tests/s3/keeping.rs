//! What stays on the disk.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use super::*;

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn directory(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("local-s3-{name}-{}", std::process::id()))
}

/// All files below `path`, with their contents.
fn files(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            found.push((path, bytes));
        }
    }
    found
}

#[tokio::test]
async fn versions_and_their_bytes_survive_a_restart_on_the_same_port() {
    let directory = directory("restart");
    let s3 = LocalS3::keeping(&directory, ANY_PORT, &[ORIGIN]).await.unwrap();
    let (client, url) = (client(&s3), s3.url());
    let upload = presigned(&client, KEY, fresh()).await;
    assert_eq!(upload.send().await.status, 200);
    s3.put("clean/1", BODY, PDF).await.unwrap();
    client.delete_object().bucket(BUCKET).key("clean/1").send().await.unwrap();
    let listed = client.list_object_versions().bucket(BUCKET).send().await.unwrap();
    s3.stop().await;
    drop(s3);

    let address: SocketAddr = url.strip_prefix("http://").unwrap().parse().unwrap();
    let s3 = LocalS3::keeping(&directory, address, &[ORIGIN]).await.unwrap();
    assert_eq!(s3.url(), url);
    assert_eq!(s3.object(KEY).await.unwrap(), (BODY.into(), PDF.to_owned()));
    let again = client.list_object_versions().bucket(BUCKET).send().await.unwrap();
    assert_eq!(again.versions(), listed.versions());
    assert_eq!(again.delete_markers(), listed.delete_markers());
    assert_eq!(upload.send().await.outcome(), (412, "PreconditionFailed"));
    std::fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test]
async fn nothing_of_a_deleted_version_or_a_refused_upload_stays_on_the_disk() {
    let directory = directory("erased");
    let s3 = LocalS3::keeping(&directory, ANY_PORT, &[]).await.unwrap();
    let client = client(&s3);
    let refused = presigned(&client, KEY, fresh()).await.body(b"%PDF-1.7 jello");
    assert_eq!(refused.send().await.status, 400);
    let put = client.put_object().bucket(BUCKET).key("clean/1").body(BODY.to_vec().into());
    let put = put.metadata("name", "secret-name").send().await.unwrap();
    assert!(files(&directory).iter().any(|(_, bytes)| bytes.starts_with(BODY)));
    let delete = client.delete_object().bucket(BUCKET).key("clean/1");
    delete.version_id(put.version_id().unwrap()).send().await.unwrap();
    let left: Vec<_> = files(&directory).into_iter().map(|(path, _)| path).collect();
    assert_eq!(left, [directory.join("versions.json")]);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test]
async fn an_upload_that_was_cut_off_by_the_end_of_the_process_is_erased() {
    let directory = directory("cut-off");
    let s3 = LocalS3::keeping(&directory, ANY_PORT, &[]).await.unwrap();
    s3.put("clean/1", BODY, PDF).await.unwrap();
    drop(s3);
    let cut_off = directory.join("objects").join(BUCKET).join("uncommitted");
    std::fs::write(&cut_off, BODY).unwrap();
    let s3 = LocalS3::keeping(&directory, ANY_PORT, &[]).await.unwrap();
    assert!(!cut_off.exists());
    assert!(s3.object("clean/1").await.is_some());
    std::fs::remove_dir_all(&directory).unwrap();
}

#[tokio::test]
async fn the_data_of_a_test_ends_with_it() {
    let (s3, _) = start().await;
    s3.put("clean/the-only-one", BODY, PDF).await.unwrap();
    let prefix = format!("local-s3-{}-", std::process::id());
    let entries = std::fs::read_dir(std::env::temp_dir()).unwrap();
    let mut directories = entries.map(|entry| entry.unwrap().path()).filter(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        let index = std::fs::read_to_string(path.join("versions.json")).unwrap_or_default();
        name.starts_with(&prefix) && index.contains("the-only-one")
    });
    let directory = directories.next().unwrap();
    drop(s3);
    assert!(!directory.exists());
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error() {
    let (s3, _) = start().await;
    let address: SocketAddr = s3.url().strip_prefix("http://").unwrap().parse().unwrap();
    let second = LocalS3::keeping(&directory("taken"), address, &[]).await;
    assert!(matches!(second, Err(local_s3::LocalS3Error::Io(_))), "{second:?}");
}
