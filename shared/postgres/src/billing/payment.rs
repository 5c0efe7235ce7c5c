//! Who pays for a turn, as `pay_for_turn` takes and returns it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared_core::billing::{PlanId, Plans};
use shared_core::chat::NewTurn;
use shared_core::keys::{DataKeyId, Sealed, WrappedKey};
use tokio_postgres::Row;
use tokio_postgres::types::Json;
use uuid::Uuid;

use crate::error::DatabaseError;

/// Who pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payer {
    /// The platform, for credits.
    Credits {
        /// Credits that are reserved.
        credits: u32,
        /// The allowance's balance after that.
        left: u32,
        /// The plan that granted the allowance.
        of: PlanId,
    },
    /// The user's own key.
    Byok(EncryptedKey),
}

impl Payer {
    /// The user's own key, if it pays.
    pub fn key(&self) -> Option<&EncryptedKey> {
        match self {
            Self::Byok(key) => Some(key),
            Self::Credits { .. } => None,
        }
    }
}

/// A user's own key under envelope encryption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedKey {
    /// The key, encrypted by the data key.
    pub sealed: Sealed,
    /// The data key, encrypted by a master key.
    pub data_key: WrappedKey,
}

/// A plan's rules for one turn: an entry of `plan_rules`.
#[derive(Debug, Serialize)]
pub(crate) struct PlanRules {
    /// Whether it includes the model.
    includes: bool,
    /// Whether the question is short enough.
    fits: bool,
    /// How many turns a chat may hold.
    turns: u32,
    /// Credits that a day grants.
    credits: u32,
}

/// Each plan's rules for `turn`.
pub(crate) fn plan_rules<'a>(turn: &NewTurn, plans: &'a Plans) -> BTreeMap<&'a str, PlanRules> {
    let of_plan = plans.all().map(|plan| {
        let rules = PlanRules {
            includes: plan.includes(turn.pricing.tier),
            fits: turn.question.as_str().len() <= plan.message_bytes.get(),
            turns: plan.chat_turns.get(),
            credits: plan.credits.get(),
        };
        (plan.id.as_str(), rules)
    });
    of_plan.collect()
}

/// What `pay_for_turn` decided.
pub(crate) struct PaymentDecision {
    pub(crate) plan: PlanId,
    pub(crate) payer: Payer,
}

#[derive(Deserialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Decision {
    Credits { plan: PlanId, credits_plan: PlanId, credits: u32, left: u32 },
    Byok { plan: PlanId, data_key: Uuid, master: String },
}

impl PaymentDecision {
    /// Reads the row of kind `payment`.
    pub(crate) fn read(row: &Row) -> Result<Self, DatabaseError> {
        let Json(decision) = row.try_get("body")?;
        match decision {
            Decision::Credits { plan, credits_plan: of, credits, left } => {
                Ok(Self { plan, payer: Payer::Credits { credits, left, of } })
            }
            Decision::Byok { plan, data_key, master } => {
                let columns: [Vec<u8>; 3] = row
                    .try_get::<_, Vec<Vec<u8>>>("encrypted_key")?
                    .try_into()
                    .map_err(|_| DatabaseError::unexpected("a key without its columns"))?;
                let [nonce, ciphertext, wrapped] = columns;
                let data_key = WrappedKey { id: DataKeyId(data_key), master, wrapped };
                Ok(Self {
                    plan,
                    payer: Payer::Byok(EncryptedKey::new(data_key, nonce, ciphertext)?),
                })
            }
        }
    }
}

impl EncryptedKey {
    fn new(
        data_key: WrappedKey,
        nonce: Vec<u8>,
        ciphertext: Vec<u8>,
    ) -> Result<Self, DatabaseError> {
        let nonce =
            nonce.try_into().map_err(|_| DatabaseError::unexpected("a nonce of another length"))?;
        Ok(Self { sealed: Sealed { data_key: data_key.id, nonce, ciphertext }, data_key })
    }
}

/// Reads a row of `provider_keys` joined with its row of `data_keys`, whose id is selected as `data_key`. None where an
/// outer join found no key.
pub(crate) fn encrypted_key(row: &Row) -> Result<Option<EncryptedKey>, DatabaseError> {
    let Some(id) = row.try_get::<_, Option<Uuid>>("data_key")? else { return Ok(None) };
    let data_key = WrappedKey {
        id: DataKeyId(id),
        master: row.try_get("master")?,
        wrapped: row.try_get("wrapped")?,
    };
    EncryptedKey::new(data_key, row.try_get("nonce")?, row.try_get("ciphertext")?).map(Some)
}
