//! One-time login codes: stored as HMACs, compared and counted in one atomic script.

use std::sync::LazyLock;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use redis::Script;
use secrecy::ExposeSecret;
use sha2::Sha256;
use shared_core::env::{ConfigError, Env};
use shared_core::identity::{CODE_LIFETIME, CODE_TRIES, Code, Email, Guess};

use crate::config::Pepper;
use crate::{Cache, CacheError, Subject};

/// KEYS[1] the code; ARGV the MAC, tries, expiry (Unix ms), TTL (ms). A new code replaces an earlier
/// one and its remaining tries.
static ISSUE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        redis.call('del', KEYS[1])
        redis.call('hset', KEYS[1], 'mac', ARGV[1], 'left', ARGV[2], 'ends', ARGV[3])
        redis.call('pexpire', KEYS[1], ARGV[4])
        ",
    )
});

/// KEYS[1] the code; ARGV the guess's MAC, now (ms). The try is counted before the comparison, and a
/// right guess or the last wrong one deletes the code: of two concurrent guesses, one finds it.
/// Returns -1 for no code, -2 for right, or the number of tries left.
static GUESS: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
        local code = redis.call('hmget', KEYS[1], 'mac', 'ends')
        if not code[1] then
          return -1
        end
        if tonumber(code[2]) <= tonumber(ARGV[2]) then
          redis.call('del', KEYS[1])
          return -1
        end
        local left = redis.call('hincrby', KEYS[1], 'left', -1)
        local right = code[1] == ARGV[1]
        if right or left <= 0 then
          redis.call('del', KEYS[1])
        end
        return right and -2 or left
        ",
    )
});

/// The store of pending one-time codes.
#[derive(Clone, Debug)]
pub struct Codes {
    cache: Cache,
    pepper: Pepper,
}

impl Codes {
    /// Stores codes in `cache`, hashed with the pepper of the variable `LOGIN_PEPPER`.
    pub fn from_env(cache: Cache, env: &Env<'_>) -> Result<Self, ConfigError> {
        Ok(Self::new(cache, Pepper::from_env(env)?))
    }

    /// Stores codes in `cache`, hashed with `pepper`.
    pub fn new(cache: Cache, pepper: Pepper) -> Self {
        Self { cache, pepper }
    }

    /// The e-mail address as the subject of limits and keys: hashed, so that the cache holds no
    /// addresses.
    pub fn subject(&self, email: &Email) -> Subject {
        Subject::Address(self.mac(&["address", email.as_str()]))
    }

    /// Stores `code` as the only valid code of `email`.
    pub async fn issue(
        &self,
        email: &Email,
        code: &Code,
        now: Timestamp,
    ) -> Result<(), CacheError> {
        let lifetime = i64::try_from(CODE_LIFETIME.as_millis()).unwrap_or(i64::MAX);
        let mut script = ISSUE.prepare_invoke();
        script
            .key(self.key(email))
            .arg(self.code_mac(email, code))
            .arg(CODE_TRIES)
            .arg(now.as_millisecond() + lifetime)
            .arg(lifetime);
        self.cache.run(&script).await
    }

    /// Counts a guess and returns its result.
    pub async fn guess(
        &self,
        email: &Email,
        code: &Code,
        now: Timestamp,
    ) -> Result<Guess, CacheError> {
        let mut script = GUESS.prepare_invoke();
        script.key(self.key(email)).arg(self.code_mac(email, code)).arg(now.as_millisecond());
        let answer: i64 = self.cache.run(&script).await?;
        Ok(match answer {
            -2 => Guess::Right,
            left => {
                u32::try_from(left).map_or(Guess::NoCode, |tries_left| Guess::Wrong { tries_left })
            }
        })
    }

    fn key(&self, email: &Email) -> String {
        self.subject(email).key(self.cache.prefix(), "code")
    }

    fn code_mac(&self, email: &Email, code: &Code) -> String {
        self.mac(&["code", email.as_str(), code.as_str()])
    }

    /// Ends each field with a byte that none can contain, so that no two lists collide.
    fn mac(&self, fields: &[&str]) -> String {
        let key = self.pepper.0.expose_secret().as_bytes();
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
            unreachable!("HMAC takes a key of any length");
        };
        for field in fields {
            mac.update(field.as_bytes());
            mac.update(&[0]);
        }
        mac.finalize().into_bytes().iter().fold(String::with_capacity(64), |mut hex, byte| {
            use std::fmt::Write;
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}
