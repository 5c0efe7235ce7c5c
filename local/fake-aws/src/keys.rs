//! KMS: `GenerateDataKey` and `Decrypt`, with symmetric keys.

use std::collections::BTreeMap;

use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::answer::{Refusal, json_answer};
use crate::memory::Memory;
use crate::{ACCOUNT, REGION};

const NONCE: usize = 12;
const TAG: usize = 16;

/// State of a KMS key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// It can be used.
    Enabled,
    /// An operator has disabled it, and can enable it again.
    Disabled,
    /// It is scheduled for deletion, and cannot be used until then.
    PendingDeletion,
}

/// A key with its key material, which never leaves the server, as in KMS.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) arn: String,
    pub(crate) state: KeyState,
    cipher: Aes256Gcm,
}

impl Key {
    pub(crate) fn new(id: &str) -> Self {
        let arn = format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/{id}");
        Self { arn, state: KeyState::Enabled, cipher: Aes256Gcm::new(&random::<32>().into()) }
    }

    /// Encrypts a data key. The blob holds the key's ARN, nonce, ciphertext and tag; the context is
    /// authenticated, but not included.
    fn wrap(&self, data_key: &[u8], context: &Context) -> Option<Vec<u8>> {
        let nonce = random::<NONCE>();
        let mut text = data_key.to_vec();
        let in_place = text.as_mut_slice().into();
        let tag = self.cipher.encrypt_inout_detached(&nonce.into(), &context.bytes(), in_place);
        let named = [&[u8::try_from(self.arn.len()).ok()?], self.arn.as_bytes()].concat();
        Some([&named, nonce.as_slice(), &text, tag.ok()?.as_slice()].concat())
    }

    fn unwrap(&self, sealed: &[u8], context: &Context) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
        let (text, tag) = sealed.split_last_chunk::<TAG>()?;
        let mut text = text.to_vec();
        let (in_place, bound) = (text.as_mut_slice().into(), context.bytes());
        self.cipher.decrypt_inout_detached(nonce.into(), &bound, in_place, tag.into()).ok()?;
        Some(text)
    }

    fn usable(self) -> Result<Self, Refusal> {
        let Self { arn, state, .. } = &self;
        match state {
            KeyState::Enabled => Ok(self),
            KeyState::Disabled => {
                Err(Refusal::new(400, "DisabledException", format!("{arn} is disabled.")))
            }
            KeyState::PendingDeletion => {
                let message = format!("{arn} is pending deletion.");
                Err(Refusal::new(400, "KMSInvalidStateException", message))
            }
        }
    }
}

/// The encryption context; the order of its pairs has no meaning.
struct Context(BTreeMap<String, Value>);

impl Context {
    fn of(parameters: &Value) -> Self {
        let pairs = parameters["EncryptionContext"].as_object().into_iter().flatten();
        Self(pairs.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(&self.0).unwrap_or_default()
    }
}

pub(crate) fn generate_data_key(memory: &Memory, parameters: &Value) -> Result<Response, Refusal> {
    let key = key(memory, text(parameters, "KeyId")?)?.usable()?;
    if parameters["KeySpec"] != "AES_256" {
        let message = "Please specify either number of bytes or key spec.";
        return Err(Refusal::new(400, "ValidationException", message));
    }
    let data_key = random::<32>();
    let wrapped = key.wrap(&data_key, &Context::of(parameters)).ok_or_else(Refusal::broken)?;
    Ok(json_answer(
        200,
        &json!({
            "CiphertextBlob": STANDARD.encode(wrapped),
            "KeyId": key.arn,
            "Plaintext": STANDARD.encode(data_key),
        }),
    ))
}

pub(crate) fn decrypt(memory: &Memory, parameters: &Value) -> Result<Response, Refusal> {
    let damaged = || Refusal::new(400, "InvalidCiphertextException", "");
    let blob = STANDARD.decode(text(parameters, "CiphertextBlob")?).map_err(|_| damaged())?;
    let (arn, sealed) = named(&blob).ok_or_else(damaged)?;
    if let Some(meant) = parameters["KeyId"].as_str()
        && key(memory, meant)?.arn != arn
    {
        let message =
            "The key ID in the request does not identify a CMK that can perform this operation.";
        return Err(Refusal::new(400, "IncorrectKeyException", message));
    }
    let key = key(memory, arn)?.usable()?;
    let data_key = key.unwrap(sealed, &Context::of(parameters)).ok_or_else(damaged)?;
    Ok(json_answer(
        200,
        &json!({
            "EncryptionAlgorithm": "SYMMETRIC_DEFAULT",
            "KeyId": key.arn,
            "Plaintext": STANDARD.encode(data_key),
        }),
    ))
}

/// Splits a blob into the key's ARN and the rest.
fn named(blob: &[u8]) -> Option<(&str, &[u8])> {
    let (&length, rest) = blob.split_first()?;
    let (arn, sealed) = rest.split_at_checked(length.into())?;
    let arn = str::from_utf8(arn).ok().filter(|arn| arn.starts_with("arn:"))?;
    Some((arn, sealed))
}

fn key(memory: &Memory, arn: &str) -> Result<Key, Refusal> {
    memory.key(arn).ok_or_else(|| {
        Refusal::new(400, "NotFoundException", format!("Key '{arn}' does not exist"))
    })
}

fn text<'a>(parameters: &'a Value, name: &str) -> Result<&'a str, Refusal> {
    parameters[name].as_str().ok_or_else(|| {
        let message = format!("1 validation error detected: {name} must not be null");
        Refusal::new(400, "ValidationException", message)
    })
}

#[expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    reason = "KMS draws its keys itself, and nothing that is guessable must stand in for one"
)]
fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    bytes
}
