//! Versions and deletions.

use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::*;

/// The versions of all keys that start with `prefix`, page by page: key, version, whether it is a delete marker.
async fn listed(client: &Client, prefix: &str, page: i32) -> Vec<(String, String, bool)> {
    let list = client.list_object_versions().bucket(BUCKET).prefix(prefix).max_keys(page);
    let (mut found, mut next) = (Vec::new(), (None, None));
    loop {
        let asked = list.clone().set_key_marker(next.0).set_version_id_marker(next.1);
        let answer = asked.send().await.unwrap();
        let named = |key: Option<&str>, id: Option<&str>, is_marker| {
            (key.unwrap().to_owned(), id.unwrap().to_owned(), is_marker)
        };
        let objects = answer.versions().iter().map(|it| named(it.key(), it.version_id(), false));
        let markers =
            answer.delete_markers().iter().map(|it| named(it.key(), it.version_id(), true));
        let entries: Vec<_> = objects.chain(markers).collect();
        assert!(entries.len() <= usize::try_from(page).unwrap());
        found.extend(entries);
        if answer.is_truncated() != Some(true) {
            return found;
        }
        next = (
            answer.next_key_marker().map(str::to_owned),
            answer.next_version_id_marker().map(str::to_owned),
        );
    }
}

#[tokio::test]
async fn a_deletion_hides_the_object_and_keeps_its_bytes() {
    let (s3, client) = start().await;
    s3.put("clean/1", BODY, PDF).await.unwrap();
    let deleted = client.delete_object().bucket(BUCKET).key("clean/1").send().await.unwrap();
    assert_eq!(deleted.delete_marker(), Some(true));
    let marker = deleted.version_id().unwrap();
    assert!(s3.keys().is_empty() && s3.object("clean/1").await.is_none());
    let get = client.get_object().bucket(BUCKET).key("clean/1");
    assert_eq!(refusal(get.clone().send().await), refused(404, "NoSuchKey"));
    let of_marker = get.clone().version_id(marker).send().await;
    assert_eq!(refusal(of_marker), refused(405, "MethodNotAllowed"));

    let versions = client.list_object_versions().bucket(BUCKET).send().await.unwrap();
    let [hidden] = versions.versions() else { panic!("{versions:?}") };
    assert_eq!((hidden.is_latest(), hidden.size()), (Some(false), Some(14)));
    assert_eq!(versions.delete_markers()[0].is_latest(), Some(true));
    let earlier = get.version_id(hidden.version_id().unwrap()).send().await.unwrap();
    assert_eq!(earlier.body.collect().await.unwrap().to_vec(), BODY);

    // Without the marker, the object is current again.
    let undo = client.delete_object().bucket(BUCKET).key("clean/1").version_id(marker);
    assert_eq!(undo.send().await.unwrap().delete_marker(), Some(true));
    assert_eq!(s3.keys(), ["clean/1"]);
}

#[tokio::test]
async fn a_version_that_is_deleted_is_gone() {
    let (s3, client) = start().await;
    let put = client.put_object().bucket(BUCKET).key("clean/1").body(b"1".to_vec().into());
    let first = put.send().await.unwrap();
    s3.put("clean/1", "2", PDF).await.unwrap();
    let delete = client.delete_object().bucket(BUCKET).key("clean/1");
    let gone = delete.version_id(first.version_id().unwrap()).send().await.unwrap();
    assert_eq!((gone.delete_marker(), gone.version_id()), (None, first.version_id()));
    let get = client.get_object().bucket(BUCKET).key("clean/1");
    let get = get.version_id(first.version_id().unwrap()).send().await;
    assert_eq!(refusal(get), refused(404, "NoSuchVersion"));
    assert_eq!((s3.all_versions(""), &*s3.object("clean/1").await.unwrap().0), (1, &b"2"[..]));
}

#[tokio::test]
async fn a_key_whose_deletion_is_current_is_free_for_an_upload() {
    let (s3, client) = start().await;
    let upload = presigned(&client, KEY, fresh()).await;
    assert_eq!(upload.send().await.status, 200);
    client.delete_object().bucket(BUCKET).key(KEY).send().await.unwrap();
    assert_eq!(upload.send().await.status, 200);
    assert_eq!(s3.all_versions(KEY), 3);
}

#[tokio::test]
async fn versions_are_listed_by_key_and_newest_first_in_pages() {
    let (s3, client) = start().await;
    for body in ["1", "2", "3"] {
        for key in ["clean/b", "clean/a", "other/a"] {
            s3.put(key, body, PDF).await.unwrap();
        }
    }
    client.delete_object().bucket(BUCKET).key("clean/a").send().await.unwrap();
    let all = listed(&client, "clean/", 1).await;
    let keys: Vec<_> = all.iter().map(|(key, _, is_marker)| (&**key, *is_marker)).collect();
    let (a, b) = (("clean/a", false), ("clean/b", false));
    assert_eq!(keys, [("clean/a", true), a, a, a, b, b, b]);
    for (body, (key, id, _)) in ["3", "2", "1", "3", "2", "1"].into_iter().zip(&all[1..]) {
        let got = client.get_object().bucket(BUCKET).key(key).version_id(id).send().await.unwrap();
        assert_eq!(got.body.collect().await.unwrap().to_vec(), body.as_bytes());
    }
    for page in [2, 3, 7, 1000] {
        let mut paged = listed(&client, "clean/", page).await;
        let mut all = all.clone();
        paged.sort();
        all.sort();
        assert_eq!(paged, all, "{page}");
    }
    assert_eq!((s3.all_versions("clean/"), s3.all_versions("other/")), (7, 3));
}

#[tokio::test]
async fn a_list_goes_on_after_versions_that_were_deleted_meanwhile() {
    let (s3, client) = start().await;
    for body in ["1", "2", "3", "4", "5"] {
        s3.put("clean/a", body, PDF).await.unwrap();
    }
    let list = client.list_object_versions().bucket(BUCKET);
    let first = list.clone().max_keys(2).send().await.unwrap();
    for version in first.versions() {
        let delete = client.delete_object().bucket(BUCKET).key("clean/a");
        delete.version_id(version.version_id().unwrap()).send().await.unwrap();
    }
    let rest = list.set_key_marker(first.next_key_marker().map(str::to_owned));
    let rest = rest.set_version_id_marker(first.next_version_id_marker().map(str::to_owned));
    assert_eq!(rest.send().await.unwrap().versions().len(), 3);
}

#[tokio::test]
async fn a_batch_deletes_up_to_a_thousand_versions() {
    let (s3, client) = start().await;
    for key in ["clean/a", "clean/b", "clean/c"] {
        s3.put(key, BODY, PDF).await.unwrap();
    }
    client.delete_object().bucket(BUCKET).key("clean/a").send().await.unwrap();
    let batch = |entries: &[(String, String, bool)], is_quiet| {
        let objects = entries.iter().map(|(key, id, _)| {
            ObjectIdentifier::builder().key(key).version_id(id).build().unwrap()
        });
        let delete = Delete::builder().set_objects(Some(objects.collect())).quiet(is_quiet);
        client.delete_objects().bucket(BUCKET).delete(delete.build().unwrap()).send()
    };
    let all = listed(&client, "", 1000).await;
    let answer = batch(&all[..2], false).await.unwrap();
    assert_eq!((answer.deleted().len(), answer.errors().len()), (2, 0));
    let answer = batch(&all[2..], true).await.unwrap();
    assert_eq!((answer.deleted().len(), answer.errors().len()), (0, 0));
    assert_eq!(s3.all_versions(""), 0);

    // What is missing counts as deleted.
    let entry = |number| (format!("clean/{number}"), "none".to_owned(), false);
    let thousand: Vec<_> = (0..1000).map(entry).collect();
    assert_eq!(batch(&thousand, false).await.unwrap().deleted().len(), 1000);
    let more: Vec<_> = (0..1001).map(entry).collect();
    assert_eq!(refusal(batch(&more, false).await), refused(400, "MalformedXML"));
}

#[tokio::test]
async fn a_batch_without_versions_hides_the_objects() {
    let (s3, client) = start().await;
    s3.put("clean/a", BODY, PDF).await.unwrap();
    let object = ObjectIdentifier::builder().key("clean/a").build().unwrap();
    let delete = Delete::builder().objects(object).build().unwrap();
    let answer = client.delete_objects().bucket(BUCKET).delete(delete).send().await.unwrap();
    assert_eq!(answer.deleted()[0].delete_marker(), Some(true));
    assert_eq!((s3.keys().len(), s3.all_versions("")), (0, 2));
}
