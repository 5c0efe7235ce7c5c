//! Debug output and errors hold no key and no secret.

use fake_aws::{FakeAws, Trouble};
use shared_vault::VaultError;

use crate::setup::{
    ADA, BOB, KeyFile, NEW, OLD, SECRET, config, data_key, secret, with_file, with_kms,
};

/// Asserts that `shown` holds neither the secret nor a key or ciphertext, as numbers or as text.
fn assert_silent(shown: &str, bytes: &[&[u8]]) {
    assert!(!shown.contains(SECRET) && !shown.contains("hunter2"), "{shown}");
    for line in [OLD, NEW] {
        let (_, digits) = line.split_once(':').unwrap();
        assert!(!shown.contains(&digits[..8]), "{shown}");
    }
    for bytes in bytes {
        let numbers = format!("{:?}", &bytes[..4]);
        let numbers = numbers.trim_matches(['[', ']']);
        assert!(!shown.contains(numbers), "{shown}");
    }
    // 00 11 22 33, as a list of bytes.
    assert!(!shown.contains("0, 17, 34, 51") && !shown.contains("255, 238, 221, 204"), "{shown}");
}

#[tokio::test]
async fn debug_output_holds_no_key() {
    let file = KeyFile::of(&[NEW, OLD]);
    let fake = FakeAws::start().await.unwrap();
    let arn = fake.put_key("chat");
    for vault in [with_file(&[NEW, OLD]), with_kms(&fake, &arn)] {
        let key = vault.new_data_key(data_key(1)).await.unwrap();
        let sealed = vault.seal(&key, ADA, &secret()).await.unwrap();
        let opened = vault.open(&key, ADA, &sealed).await.unwrap();
        let shown = format!("{vault:?} {key:?} {sealed:?} {opened:?}");
        assert_silent(&shown, &[&key.wrapped, &sealed.nonce, &sealed.ciphertext]);
    }
    let configs = [config(&file.variable(), None), config(&arn, Some(&fake))];
    let shown = format!("{configs:?}");
    assert!(shown.contains("old") && shown.contains("key/chat"), "{shown}");
    assert_silent(&shown, &[]);
}

#[tokio::test]
async fn errors_hold_no_key_and_no_message_of_kms() {
    let fake = FakeAws::start().await.unwrap();
    let arn = fake.put_key("chat");
    let vault = with_kms(&fake, &arn);
    let key = vault.new_data_key(data_key(1)).await.unwrap();
    let sealed = vault.seal(&key, ADA, &secret()).await.unwrap();
    let body = format!(r#"{{"__type":"AccessDeniedException","message":"{SECRET}"}}"#);
    fake.script(1, &Trouble::Answer { status: 400, body });
    let errors = [
        vault.open(&key, BOB, &sealed).await.unwrap_err(),
        with_kms(&fake, &arn).open(&key, ADA, &sealed).await.unwrap_err(),
        with_file(&[NEW]).open(&key, ADA, &sealed).await.unwrap_err(),
    ];
    assert!(matches!(
        &errors,
        [VaultError::Forged, VaultError::Denied(_), VaultError::UnknownMaster(_)]
    ));
    let shown = format!("{errors:?} {}", errors.each_ref().map(ToString::to_string).join(" "));
    assert_silent(&shown, &[&key.wrapped, &sealed.nonce, &sealed.ciphertext]);

    for line in [NEW.replace("ff", "fg"), NEW.replace("new:", "")] {
        let error = config(&KeyFile::of(&[&line]).variable(), None).unwrap_err();
        assert_silent(&format!("{error} {error:?}"), &[]);
    }
}
