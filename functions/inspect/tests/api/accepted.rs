//! Files that are accepted.

use serde_json::{Value, json};
use testkit::TestStack;

use crate::api::files::{gif, jpeg, jpeg_with_comment, png};
use crate::api::setup::{User, expect, in_state, of, samples, upload};

#[tokio::test]
async fn a_file_of_each_kind_becomes_ready() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let mut bytes = 0;
    for (sample, found) in samples().into_iter().zip([
        json!({ "width": 7, "height": 5 }),
        json!({ "width": 33, "height": 17 }),
        json!({ "pages": 3 }),
        json!({}),
    ]) {
        let id = ada.sent(&sample).await;
        let completed = upload(&ada.complete(&id).await);
        let mut expected = json!({
            "id": id, "filename": sample.filename, "contentType": sample.content_type,
            "size": sample.bytes.len(), "state": "ready", "usedIn": [],
            "createdAt": stack.clock.now().to_string(), "url": format!("/api/uploads/{id}"),
        });
        expected.as_object_mut().unwrap().extend(found.as_object().unwrap().clone());
        assert_eq!(completed, expected);
        assert_eq!(upload(&ada.show(&id).await), expected);

        assert_eq!(ada.forms(&stack, &id), sample.forms);
        assert_eq!(stack.s3.all_versions("quarantine/"), 0);
        bytes += i64::try_from(sample.bytes.len()).unwrap();
        assert_eq!(stack.stored_bytes(&ada.session).await, bytes);
    }
    assert_eq!(in_state(&stack, "ready").await, 4);
}

#[tokio::test]
async fn completing_twice_is_completing_once() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    for sample in samples() {
        let id = ada.sent(&sample).await;
        let first = upload(&ada.complete(&id).await);
        let versions = stack.s3.all_versions("");
        stack.s3.clear_requests();
        assert_eq!(upload(&ada.complete(&id).await), first);
        assert_eq!(upload(&ada.again(&stack).complete(&id).await), first);
        assert_eq!((stack.s3.requests(), stack.s3.all_versions("")), (vec![], versions));
    }
}

#[tokio::test]
async fn what_people_get_is_what_was_kept() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    for sample in samples() {
        let id = ada.sent(&sample).await;
        let completed = upload(&ada.complete(&id).await);
        let fetched = expect(200, ada.fetched(&id).await);
        let content_type = fetched.header("content-type").unwrap();
        match sample.content_type {
            "text/markdown" => assert_eq!(fetched.body.as_bytes(), sample.bytes),
            _ => assert_eq!(completed["contentType"], content_type),
        }
        for form in sample.forms {
            let key = format!("{}{form}", ada.clean(&id));
            let (bytes, media_type) = stack.s3.object(&key).await.unwrap();
            assert!(!bytes.is_empty());
            let row = stack
                .owner()
                .await
                .query_one(
                    "select model_type, model_bytes from uploads where id::text = $1",
                    &[&id],
                )
                .await
                .unwrap();
            if *form == "model" {
                assert!(media_type.starts_with(row.get::<_, &str>(0)), "{media_type}");
                assert_eq!(i64::try_from(bytes.len()).unwrap(), row.get::<_, i64>(1));
            }
        }
        if sample.content_type == "application/pdf" {
            let key = format!("{}model", ada.clean(&id));
            assert_eq!(stack.s3.object(&key).await.unwrap().0, sample.bytes);
        }
    }
}

#[tokio::test]
async fn metadata_and_what_follows_an_image_are_not_kept() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let secret = b"48.8584 N 2.2945 E <script>alert(1)</script>";
    for sample in [
        of("image/jpeg", jpeg_with_comment(secret)),
        of("image/jpeg", [jpeg(8, 8), secret.to_vec()].concat()),
        of("image/png", [png(8, 8), secret.to_vec()].concat()),
    ] {
        let id = ada.sent(&sample).await;
        upload(&ada.complete(&id).await);
        for form in ["view", "model", "thumb"] {
            let (bytes, _) = stack.s3.object(&format!("{}{form}", ada.clean(&id))).await.unwrap();
            let is_there = bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!is_there, "{} {form}", sample.content_type);
        }
    }
    assert_eq!(stack.s3.all_versions("quarantine/"), 0);
}

#[tokio::test]
async fn html_and_svg_are_text_and_are_served_as_text() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    for content_type in ["text/html", "image/svg+xml", "application/xhtml+xml"] {
        let id = ada.sent(&of(content_type, b"<script>alert(1)</script>".to_vec())).await;
        let completed = upload(&ada.complete(&id).await);
        assert_eq!(completed["contentType"], content_type);
        assert_eq!((&completed["width"], &completed["pages"]), (&Value::Null, &Value::Null));
        let fetched = expect(200, ada.fetched(&id).await);
        assert_eq!(fetched.header("content-type"), Some("text/plain; charset=utf-8"));
        assert!(fetched.header("content-disposition").unwrap().starts_with("attachment"));
        // Also without the type that the URL asks for.
        let (_, kept) = stack.s3.object(&format!("{}view", ada.clean(&id))).await.unwrap();
        assert_eq!(kept, "text/plain; charset=utf-8");
    }
}

#[tokio::test]
async fn a_still_gif_is_accepted() {
    let stack = TestStack::start().await;
    let ada = User::new(&stack, "ada").await;
    let id = ada.sent(&of("image/gif", gif(1))).await;
    let completed = upload(&ada.complete(&id).await);
    assert_eq!((&completed["width"], &completed["height"]), (&json!(2), &json!(2)));
    // It is encoded anew, as a type that is no GIF.
    assert_eq!(completed["contentType"], "image/png");
}
