//! A received file is the one that was described, or none.

use shared_core::uploads::FileForm;

use crate::setup::{ADA, ONE, s3};

fn quarantine() -> String {
    format!("quarantine/{ADA}/{ONE}")
}

#[tokio::test]
async fn a_received_file_is_described_read_kept_and_discarded() {
    let (s3, files) = s3().await;
    assert_eq!(files.received(ADA, ONE).await.unwrap(), None);
    s3.put(&quarantine(), &b"hello"[..], "text/csv").await.unwrap();
    let received = files.received(ADA, ONE).await.unwrap().unwrap();
    assert_eq!((received.size, received.content_type.as_str()), (5, "text/csv"));
    assert_eq!(files.read_received(&received).await.unwrap().as_deref(), Some(&b"hello"[..]));
    let kept = files.keep_received(&received, ADA, ONE, FileForm::Model, "application/pdf");
    assert!(kept.await.unwrap());
    let (bytes, media_type) = s3.object(&format!("clean/{ADA}/{ONE}/model")).await.unwrap();
    assert_eq!((&*bytes, media_type.as_str()), (&b"hello"[..], "application/pdf"));
    files.discard(&received).await.unwrap();
    files.discard(&received).await.unwrap();
    assert_eq!(s3.all_versions("quarantine/"), 0);
}

#[tokio::test]
async fn a_file_that_was_replaced_since_is_neither_read_nor_kept_nor_discarded() {
    let (s3, files) = s3().await;
    s3.put(&quarantine(), &b"first"[..], "text/plain").await.unwrap();
    let received = files.received(ADA, ONE).await.unwrap().unwrap();
    s3.put(&quarantine(), &b"other"[..], "text/plain").await.unwrap();
    assert_eq!(files.read_received(&received).await.unwrap(), None);
    let kept = files.keep_received(&received, ADA, ONE, FileForm::Model, "application/pdf");
    assert!(!kept.await.unwrap());
    files.discard(&received).await.unwrap();
    assert_eq!(s3.keys(), [quarantine()]);
    assert_eq!(&*s3.object(&quarantine()).await.unwrap().0, b"other");
}

#[tokio::test]
async fn a_form_is_read_as_it_was_kept_and_only_its_users() {
    let (_s3, files) = s3().await;
    let forms = [FileForm::View, FileForm::Model, FileForm::Thumb];
    for (form, bytes) in forms.into_iter().zip([&b"view"[..], b"model", b"thumb"]) {
        files.keep(ADA, ONE, form, bytes.into(), "image/png").await.unwrap();
        let read = files.read(ADA, ONE, form, 5).await.unwrap();
        assert_eq!(read.as_deref(), Some(bytes));
        assert_eq!(files.read(crate::setup::EVE, ONE, form, 5).await.unwrap(), None);
        assert_eq!(files.read(ADA, crate::setup::OTHER, form, 5).await.unwrap(), None);
    }
}
