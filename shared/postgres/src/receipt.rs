//! Who pays for a turn, as `pay_for_turn` asks and answers it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared_core::plans::{PlanId, Plans};
use shared_core::turn::NewTurn;
use shared_core::vault::{DataKeyId, Sealed, WrappedKey};
use tokio_postgres::Row;
use tokio_postgres::types::Json;
use uuid::Uuid;

use crate::Error;

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
    Key(OwnKey),
}

impl Payer {
    /// The user's own key, if it pays.
    pub fn key(&self) -> Option<&OwnKey> {
        match self {
            Self::Key(key) => Some(key),
            Self::Credits { .. } => None,
        }
    }
}

/// A key that its user has brought, sealed, and what it is sealed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnKey {
    /// The key.
    pub sealed: Sealed,
    /// What it is sealed with.
    pub data_key: WrappedKey,
}

/// What a plan says to one turn.
#[derive(Debug, Serialize)]
pub(crate) struct PlanTerms {
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
pub(crate) fn plan_terms<'a>(turn: &NewTurn, plans: &'a Plans) -> BTreeMap<&'a str, PlanTerms> {
    let of_plan = plans.all().map(|plan| {
        let terms = PlanTerms {
            includes: plan.includes(turn.terms.tier),
            fits: turn.question.as_str().len() <= plan.message_bytes,
            turns: plan.chat_turns,
            credits: plan.credits,
        };
        (plan.id.as_str(), terms)
    });
    of_plan.collect()
}

/// What `pay_for_turn` decided.
pub(crate) struct Receipt {
    pub(crate) plan: PlanId,
    pub(crate) payer: Payer,
}

#[derive(Deserialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Paid {
    Credits { plan: PlanId, credits_of: PlanId, credits: u32, left: u32 },
    Key { plan: PlanId, data_key: Uuid, master: String },
}

impl Receipt {
    /// Reads the row of role `paid`.
    pub(crate) fn read(row: &Row) -> Result<Self, Error> {
        let Json(paid) = row.try_get(1)?;
        match paid {
            Paid::Credits { plan, credits_of: of, credits, left } => {
                Ok(Self { plan, payer: Payer::Credits { credits, left, of } })
            }
            Paid::Key { plan, data_key, master } => {
                let sealed: [Vec<u8>; 3] = row
                    .try_get::<_, Vec<Vec<u8>>>(2)?
                    .try_into()
                    .map_err(|_| Error::unexpected("a key without its parts"))?;
                let [nonce, ciphertext, wrapped] = sealed;
                Ok(Self {
                    plan,
                    payer: Payer::Key(own_key(data_key, nonce, ciphertext, master, wrapped)?),
                })
            }
        }
    }
}

/// Puts together what a row of `provider_keys` and one of `data_keys` hold.
pub(crate) fn own_key(
    data_key: Uuid,
    nonce: Vec<u8>,
    ciphertext: Vec<u8>,
    master: String,
    wrapped: Vec<u8>,
) -> Result<OwnKey, Error> {
    let nonce = nonce.try_into().map_err(|_| Error::unexpected("a nonce of another length"))?;
    let id = DataKeyId(data_key);
    Ok(OwnKey {
        sealed: Sealed { data_key: id, nonce, ciphertext },
        data_key: WrappedKey { id, master, wrapped },
    })
}
