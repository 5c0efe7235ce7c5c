//! KMS's API, driven by AWS's SDK.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::collections::HashMap;

use aws_sdk_kms::Client;
use aws_sdk_kms::operation::generate_data_key::GenerateDataKeyOutput;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use fake_aws::{FakeAws, KeyState};
use shared_aws::{Aws, AwsError};
use shared_core::env::Env;

fn client(fake: &FakeAws) -> Client {
    let variables = fake.variables();
    let found = |name: &str| variables.iter().find(|(key, _)| *key == name);
    let env = Env::new(|name| found(name).map(|(_, value)| value.clone()));
    Client::new(Aws::from_env(&env).unwrap().sdk_config())
}

fn context(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

async fn generate(client: &Client, arn: &str, pairs: &[(&str, &str)]) -> GenerateDataKeyOutput {
    let asked = client.generate_data_key().key_id(arn).key_spec(DataKeySpec::Aes256);
    asked.set_encryption_context(Some(context(pairs))).send().await.unwrap()
}

/// Returns the plaintext, or KMS's error code. With an empty `arn`, the blob names the key.
async fn decrypt(
    client: &Client,
    arn: &str,
    blob: &[u8],
    pairs: &[(&str, &str)],
) -> Result<Vec<u8>, String> {
    let arn = (!arn.is_empty()).then(|| arn.to_owned());
    let asked = client.decrypt().set_key_id(arn).ciphertext_blob(Blob::new(blob));
    let answer = asked.set_encryption_context(Some(context(pairs))).send().await;
    match answer {
        Ok(answer) => Ok(answer.plaintext.unwrap().into_inner()),
        Err(error) => Err(AwsError::new("KMS", &error).code().unwrap().to_owned()),
    }
}

fn code<T>(code: &str) -> Result<T, String> {
    Err(code.to_owned())
}

#[tokio::test]
async fn each_data_key_is_new_and_its_blob_decrypts_to_it() {
    let fake = FakeAws::start().await.unwrap();
    let (arn, client) = (fake.put_key("chat"), client(&fake));
    let first = generate(&client, &arn, &[("a", "1"), ("b", "2")]).await;
    let second = generate(&client, &arn, &[("a", "1"), ("b", "2")]).await;
    assert_ne!(first.plaintext, second.plaintext);
    assert_eq!(first.key_id(), Some("arn:aws:kms:ap-south-1:111122223333:key/chat"));

    let (plain, blob) = (first.plaintext.unwrap().into_inner(), first.ciphertext_blob.unwrap());
    assert_eq!(plain.len(), 32);
    assert!(!blob.as_ref().windows(8).any(|window| plain.starts_with(window)));
    for named in [&*arn, ""] {
        let decrypted = decrypt(&client, named, blob.as_ref(), &[("b", "2"), ("a", "1")]).await;
        assert_eq!(decrypted.as_ref(), Ok(&plain));
    }
    let operations: Vec<_> = fake.calls().into_iter().map(|call| call.operation).collect();
    assert_eq!(operations, ["GenerateDataKey", "GenerateDataKey", "Decrypt", "Decrypt"]);
}

#[tokio::test]
async fn a_blob_decrypts_in_its_context_only() {
    let fake = FakeAws::start().await.unwrap();
    let (arn, client) = (fake.put_key("chat"), client(&fake));
    let blob = generate(&client, &arn, &[("a", "1")]).await.ciphertext_blob.unwrap();
    for pairs in [&[][..], &[("a", "2")], &[("b", "1")], &[("a", "1"), ("b", "2")]] {
        let decrypted = decrypt(&client, &arn, blob.as_ref(), pairs).await;
        assert_eq!(decrypted, code("InvalidCiphertextException"), "{pairs:?}");
    }
}

#[tokio::test]
async fn a_damaged_blob_is_refused() {
    let fake = FakeAws::start().await.unwrap();
    let (arn, client) = (fake.put_key("chat"), client(&fake));
    let blob = generate(&client, &arn, &[]).await.ciphertext_blob.unwrap().into_inner();
    let damaged = |place: usize| {
        let mut damaged = blob.clone();
        damaged[place] ^= 1;
        damaged
    };
    let refused = code("InvalidCiphertextException");
    for blob in [damaged(blob.len() - 1), damaged(blob.len() - 20), blob[..9].to_vec(), vec![0]] {
        assert_eq!(decrypt(&client, "", &blob, &[]).await, refused);
    }
}

#[tokio::test]
async fn a_blob_decrypts_under_its_own_key_only() {
    let fake = FakeAws::start().await.unwrap();
    let (arn, other) = (fake.put_key("chat"), fake.put_key("other"));
    let client = client(&fake);
    let blob = generate(&client, &arn, &[]).await.ciphertext_blob.unwrap();
    assert_eq!(decrypt(&client, &other, blob.as_ref(), &[]).await, code("IncorrectKeyException"));
    // A new key of the same id has other key material.
    fake.put_key("chat");
    let decrypted = decrypt(&client, &arn, blob.as_ref(), &[]).await;
    assert_eq!(decrypted, code("InvalidCiphertextException"));
}

#[tokio::test]
async fn an_unusable_key_is_refused_with_the_reason() {
    let fake = FakeAws::start().await.unwrap();
    let (arn, client) = (fake.put_key("chat"), client(&fake));
    let blob = generate(&client, &arn, &[]).await.ciphertext_blob.unwrap();
    let gone = arn.replace("chat", "gone");
    for (state, arn, refusal) in [
        (KeyState::Disabled, &arn, "DisabledException"),
        (KeyState::PendingDeletion, &arn, "KMSInvalidStateException"),
        (KeyState::Enabled, &gone, "NotFoundException"),
    ] {
        fake.set_key_state(arn, state);
        assert_eq!(decrypt(&client, arn, blob.as_ref(), &[]).await, code(refusal));
        let asked = client.generate_data_key().key_id(arn).key_spec(DataKeySpec::Aes256);
        let error = asked.send().await.unwrap_err();
        assert_eq!(AwsError::new("KMS", &error).code(), Some(refusal));
    }
    fake.set_key_state(&arn, KeyState::Enabled);
    decrypt(&client, &arn, blob.as_ref(), &[]).await.unwrap();
}

#[tokio::test]
async fn a_data_key_needs_a_key_spec() {
    let fake = FakeAws::start().await.unwrap();
    let arn = fake.put_key("chat");
    let error = client(&fake).generate_data_key().key_id(arn).send().await.unwrap_err();
    assert_eq!(AwsError::new("KMS", &error).code(), Some("ValidationException"));
}
