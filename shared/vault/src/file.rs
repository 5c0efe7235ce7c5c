//! Master keys in a file: a local replacement of KMS for development and tests.

use shared_core::keys::{DataKeyId, WrappedKey};
use shared_core::random::Entropy;
use zeroize::Zeroizing;

use crate::cipher::{Cipher, KEY, NONCE};
use crate::error::VaultError;
use crate::keyring::Keyring;

/// Domain separation in the AAD: no other kind of ciphertext can be substituted.
const PURPOSE: &[u8; 10] = b"data-key/1";

/// Master keys from a file.
#[derive(Debug, Clone)]
pub struct FileKeys(Keyring<FileKey>);

#[derive(Debug, Clone)]
struct FileKey {
    id: String,
    cipher: Cipher,
}

impl FileKeys {
    /// Parses lines of `<id>:<64 hex digits>`, newest first; skips empty ones and those that begin with
    /// `#`. The error is worded to follow the variable's name, and repeats no content.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Vec::<FileKey>::new();
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = FileKey::parse(line).ok_or_else(|| {
                format!("names a file whose line {number} is not <id>:<64 hex digits>")
            })?;
            if keys.iter().any(|other| other.id == key.id) {
                return Err(format!("names a file whose line {number} has the id of another"));
            }
            keys.push(key);
        }
        Keyring::new(keys).map(Self).ok_or_else(|| "names a file without a key".to_owned())
    }

    pub(crate) fn current(&self) -> &str {
        &self.0.current.id
    }

    pub(crate) fn generate(&self, id: DataKeyId, entropy: &Entropy) -> (WrappedKey, Cipher) {
        let FileKey { id: master, cipher } = &self.0.current;
        let data_key = Zeroizing::new(entropy.bytes::<KEY>());
        let nonce = entropy.bytes::<NONCE>();
        let mut wrapped = nonce.to_vec();
        wrapped.extend(cipher.encrypt(&nonce, &bound_to(id), &*data_key));
        (WrappedKey { id, master: master.clone(), wrapped }, Cipher::new(&data_key))
    }

    pub(crate) fn unwrap_key(&self, key: &WrappedKey) -> Result<Cipher, VaultError> {
        let master = self.0.iter().find(|master| master.id == key.master);
        let master = master.ok_or_else(|| VaultError::UnknownMaster(key.master.clone()))?;
        let (nonce, sealed) = key.wrapped.split_first_chunk().ok_or(VaultError::Forged)?;
        let data_key = master.cipher.decrypt(nonce, &bound_to(key.id), sealed);
        let data_key = data_key.ok_or(VaultError::Forged)?;
        Ok(Cipher::new(data_key.as_slice().try_into().map_err(|_| VaultError::Forged)?))
    }
}

impl FileKey {
    fn parse(line: &str) -> Option<Self> {
        let (id, digits) = line.split_once(':')?;
        let well_formed = !id.is_empty()
            && id.bytes().all(|byte| byte.is_ascii_graphic())
            && digits.len() == 2 * KEY
            && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if !well_formed {
            return None;
        }
        let mut key = Zeroizing::new([0; KEY]);
        for (byte, place) in key.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&digits[place..place + 2], 16).ok()?;
        }
        Some(Self { id: id.to_owned(), cipher: Cipher::new(&key) })
    }
}

fn bound_to(id: DataKeyId) -> Vec<u8> {
    [PURPOSE, id.0.as_bytes().as_slice()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_empty_lines_are_skipped() {
        let (a, b) = ("a".repeat(64), "B".repeat(64));
        let keys = FileKeys::parse(&format!("# keys\n\n  new:{a}  \nold:{b}\n#{a}\n")).unwrap();
        let ids: Vec<_> = keys.0.iter().map(|key| &*key.id).collect();
        assert_eq!((keys.current(), ids), ("new", vec!["new", "old"]));
    }

    #[test]
    fn a_malformed_line_is_named_by_its_number() {
        let good = format!("new:{}", "a".repeat(64));
        for (text, problem) in [
            (String::new(), "without a key"),
            ("# nothing".into(), "without a key"),
            (good.replace("new:", ""), "whose line 1 is not"),
            (good.replace("new", ""), "whose line 1 is not"),
            (good.replace("new", "a b"), "whose line 1 is not"),
            (format!("\n{good}a"), "whose line 2 is not"),
            (good.replace(":aa", ":+a"), "whose line 1 is not"),
            (good.replace(":aa", ":é"), "whose line 1 is not"),
            (format!("{good}\n{good}"), "whose line 2 has the id of another"),
        ] {
            let error = FileKeys::parse(&text).unwrap_err();
            assert!(error.starts_with("names a file") && error.contains(problem), "{error}");
            assert!(!error.contains("aaaa"), "{error}");
        }
    }
}
