//! Who pays for a turn, as `pay_for_turn` asks and answers it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared_core::plans::{PlanId, Plans};
use shared_core::turn::NewTurn;
use shared_core::vault::{DataKeyId, Sealed, WrappedKey};
use tokio_postgres::Row;
use tokio_postgres::types::Json;
use uuid::Uuid;

use crate::DatabaseError;

/// Who pays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payer {
    /// The platform, for credits.
    Credits {
        /// What is reserved.
        credits: u32,
        /// What is left of the allowance after that.
        left: u32,
        /// The plan that granted it.
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

/// A key that its user has brought, sealed, and what it is sealed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptedKey {
    /// The key.
    pub sealed: Sealed,
    /// What it is sealed with.
    pub data_key: WrappedKey,
}

/// What a plan says to one turn.
#[derive(Debug, Serialize)]
pub(crate) struct PlanRules {
    /// Whether it includes the model.
    includes: bool,
    /// Whether the question is short enough.
    fits: bool,
    /// How many turns a chat may hold.
    turns: u32,
    /// What a day brings.
    credits: u32,
}

/// What each plan says to `turn`.
pub(crate) fn plan_rules<'a>(turn: &NewTurn, plans: &'a Plans) -> BTreeMap<&'a str, PlanRules> {
    let of_plan = plans.all().map(|plan| {
        let pricing = PlanRules {
            includes: plan.includes(turn.pricing.tier),
            fits: turn.question.as_str().len() <= plan.message_bytes.get(),
            turns: plan.chat_turns.get(),
            credits: plan.credits.get(),
        };
        (plan.id.as_str(), pricing)
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
enum Paid {
    Credits { plan: PlanId, credits_plan: PlanId, credits: u32, left: u32 },
    Key { plan: PlanId, data_key: Uuid, master: String },
}

impl PaymentDecision {
    /// Reads the row of role `paid`.
    pub(crate) fn read(row: &Row) -> Result<Self, DatabaseError> {
        let Json(paid) = row.try_get(1)?;
        match paid {
            Paid::Credits { plan, credits_plan: of, credits, left } => {
                Ok(Self { plan, payer: Payer::Credits { credits, left, of } })
            }
            Paid::Key { plan, data_key, master } => {
                let sealed: [Vec<u8>; 3] = row
                    .try_get::<_, Vec<Vec<u8>>>(2)?
                    .try_into()
                    .map_err(|_| DatabaseError::unexpected("a key without its parts"))?;
                let [nonce, ciphertext, wrapped] = sealed;
                Ok(Self {
                    plan,
                    payer: Payer::Byok(encrypted_key(
                        data_key, nonce, ciphertext, master, wrapped,
                    )?),
                })
            }
        }
    }
}

/// Puts together what a row of `provider_keys` and one of `data_keys` hold.
pub(crate) fn encrypted_key(
    data_key: Uuid,
    nonce: Vec<u8>,
    ciphertext: Vec<u8>,
    master: String,
    wrapped: Vec<u8>,
) -> Result<EncryptedKey, DatabaseError> {
    let nonce =
        nonce.try_into().map_err(|_| DatabaseError::unexpected("a nonce of another length"))?;
    let id = DataKeyId(data_key);
    Ok(EncryptedKey {
        sealed: Sealed { data_key: id, nonce, ciphertext },
        data_key: WrappedKey { id, master, wrapped },
    })
}
