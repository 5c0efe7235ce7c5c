//! Master keys in AWS KMS: they wrap and unwrap there, and never leave it.
//!
//! The function needs `kms:Decrypt`, and where it makes data keys `kms:GenerateDataKey`, on these
//! keys; its policy can require the encryption context (`kms:EncryptionContext:purpose`).

use std::error::Error;
use std::sync::OnceLock;

use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::operation::RequestId;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::DataKeySpec;
use shared_aws::{Aws, AwsError};
use shared_core::keys::{DataKeyId, WrappedKey};
use zeroize::Zeroizing;

use crate::cipher::Cipher;
use crate::error::VaultError;
use crate::keyring::Keyring;

/// The encryption context: KMS binds it to a wrapped key, and logs it with each call.
const CONTEXT: (&str, &str) = ("purpose", "provider-keys");

/// Keys of KMS, by their ARNs.
#[derive(Debug, Clone)]
pub struct KmsKeys {
    aws: Aws,
    arns: Keyring<String>,
    client: OnceLock<Client>,
}

impl KmsKeys {
    /// Parses ARNs, newest first. The error is worded to follow the variable's name, and repeats no
    /// content.
    pub(crate) fn parse(arns: &str, aws: Aws) -> Result<Self, &'static str> {
        let malformed = "has to be ARNs of KMS keys: arn:aws:kms:<region>:<account>:key/<id> …";
        for arn in arns.split_whitespace() {
            if region(arn).ok_or(malformed)? != aws.region() {
                return Err("names a key of another region than AWS_REGION");
            }
        }
        let arns = Keyring::new(arns.split_whitespace().map(str::to_owned)).ok_or(malformed)?;
        Ok(Self { aws, arns, client: OnceLock::new() })
    }

    pub(crate) fn current(&self) -> &str {
        &self.arns.current
    }

    pub(crate) async fn generate(&self, id: DataKeyId) -> Result<(WrappedKey, Cipher), VaultError> {
        let (name, value) = CONTEXT;
        let generated = self
            .client()
            .generate_data_key()
            .key_id(self.current())
            .key_spec(DataKeySpec::Aes256)
            .encryption_context(name, value)
            .send()
            .await
            .map_err(|error| refused(&error))?;
        let cipher = generated.plaintext.and_then(cipher);
        let (Some(cipher), Some(wrapped)) = (cipher, generated.ciphertext_blob) else {
            return Err(VaultError::Unavailable(AwsError::incomplete("KMS")));
        };
        let master = self.current().to_owned();
        Ok((WrappedKey { id, master, wrapped: wrapped.into_inner() }, cipher))
    }

    pub(crate) async fn unwrap_key(&self, key: &WrappedKey) -> Result<Cipher, VaultError> {
        if !self.arns.iter().any(|arn| *arn == key.master) {
            return Err(VaultError::UnknownMaster(key.master.clone()));
        }
        let (name, value) = CONTEXT;
        let opened = self
            .client()
            .decrypt()
            // The blob names a key too; naming the expected one keeps it from choosing another.
            .key_id(&key.master)
            .ciphertext_blob(Blob::new(&*key.wrapped))
            .encryption_context(name, value)
            .send()
            .await
            .map_err(|error| refused(&error))?;
        opened.plaintext.and_then(cipher).ok_or(VaultError::Forged)
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| Client::new(self.aws.sdk_config()))
    }
}

/// Returns the region in a key's ARN. `None` for an alias: it can be pointed at another key, and it
/// would go unnoticed that data keys are under the former one.
fn region(arn: &str) -> Option<&str> {
    let [_arn, _partition, "kms", region, account, resource] =
        arn.split(':').collect::<Vec<_>>()[..]
    else {
        return None;
    };
    let id = resource.strip_prefix("key/")?;
    let well_formed = account.bytes().all(|byte| byte.is_ascii_digit())
        && !id.is_empty()
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    well_formed.then_some(region)
}

/// Zeroizes this copy of the key; copies that the SDK itself has made are not.
fn cipher(plaintext: Blob) -> Option<Cipher> {
    let key = Zeroizing::new(plaintext.into_inner());
    Some(Cipher::new(key.as_slice().try_into().ok()?))
}

/// Maps KMS's [error codes][codes].
///
/// [codes]: https://docs.aws.amazon.com/kms/latest/APIReference/API_Decrypt.html#API_Decrypt_Errors
fn refused<E>(error: &SdkError<E>) -> VaultError
where
    E: ProvideErrorMetadata + RequestId + Error + 'static,
{
    let failure = AwsError::new("KMS", error);
    match failure.code() {
        Some("AccessDeniedException") => VaultError::Denied(failure),
        Some(
            "DisabledException"
            | "InvalidKeyUsageException"
            | "KMSInvalidStateException"
            | "NotFoundException",
        ) => VaultError::MasterUnusable(failure),
        Some("IncorrectKeyException" | "InvalidCiphertextException") => VaultError::Forged,
        Some(_) | None => VaultError::Unavailable(failure),
    }
}
