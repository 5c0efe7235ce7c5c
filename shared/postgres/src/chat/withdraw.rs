//! Withdraws a turn that was never sent to a model, as if it had not begun.

use deadpool_postgres::Object;
use jiff::Timestamp;
use serde::Serialize;
use shared_core::chat::{NewTurn, Placement};
use shared_core::ids::{ChatId, MessageId, UserId};
use shared_core::store::StoreError;
use tokio_postgres::types::Json;

use super::placement::PlacementFields;
use crate::error::DatabaseError;
use crate::{BegunTurn, Database};

pub(super) const WITHDRAW: &str = "select withdraw_turn($1, $2, $3, $4)";

/// The turn to withdraw.
pub(super) struct Withdrawal<'a> {
    user: UserId,
    fields: Fields<'a>,
}

/// The `turn` of `withdraw_turn`.
#[derive(Debug, Serialize)]
struct Fields<'a> {
    chat: &'a ChatId,
    answer: &'a MessageId,
    #[serde(flatten)]
    placement: PlacementFields<'a>,
}

impl<'a> Withdrawal<'a> {
    fn new(
        user: UserId,
        chat: &'a ChatId,
        answer: &'a MessageId,
        placement: &'a Placement,
    ) -> Self {
        Self { user, fields: Fields { chat, answer, placement: placement.into() } }
    }

    /// Of a turn that may or may not have begun: its connection died.
    pub(super) fn of_attempt(turn: &'a NewTurn, user: UserId) -> Self {
        Self::new(user, &turn.chat, &turn.answer, &turn.placement)
    }

    /// Idempotent: changes nothing if the turn has not begun, or is withdrawn already.
    pub(super) async fn run(
        &self,
        client: &Object,
        code: &str,
        now: Timestamp,
    ) -> Result<(), DatabaseError> {
        let withdraw = client.prepare_cached(WITHDRAW).await?;
        client.query(&withdraw, &[&self.user.0, &now, &code, &Json(&self.fields)]).await?;
        Ok(())
    }
}

impl Database {
    /// Withdraws a turn. Where another one has begun below it meanwhile, its messages stay and the answer has failed
    /// with `code`.
    pub async fn withdraw_turn(
        &self,
        turn: &BegunTurn,
        code: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let withdrawal = &Withdrawal::new(turn.user, &turn.chat, &turn.answer, &turn.placement);
        Ok(self.retrying(|client| async move { withdrawal.run(&client, code, now).await }).await?)
    }
}
