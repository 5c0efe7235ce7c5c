//! Taking a turn back that must not happen after all, as if it had never been sent.

use deadpool_postgres::Object;
use jiff::Timestamp;
use shared_core::ids::{ChatId, MessageId, UserId};
use shared_core::turn::{NewTurn, Placement};

use crate::finish::BE_USER;
use crate::{BegunTurn, Database, DatabaseError, chats, messages, turns};

/// What is to be taken back.
pub(crate) struct Withdrawal<'a> {
    user: UserId,
    chat: &'a ChatId,
    answer: &'a MessageId,
    place: &'a Placement,
}

impl<'a> Withdrawal<'a> {
    fn of_begun(turn: &'a BegunTurn) -> Self {
        Self { user: turn.user, chat: &turn.chat, answer: &turn.answer, place: &turn.place }
    }

    /// Of a turn of which nobody knows whether it has begun.
    pub(crate) fn of_tried(turn: &'a NewTurn, user: UserId) -> Self {
        Self { user, chat: &turn.chat, answer: &turn.answer, place: &turn.place }
    }

    /// Changes nothing if the turn has not begun, or is withdrawn already.
    pub(crate) async fn run(
        &self,
        client: &Object,
        code: &str,
        now: Timestamp,
    ) -> Result<(), DatabaseError> {
        let (be_user, uncount, head_back, withdraw, close, step_back, forget, end) = tokio::try_join!(
            biased;
            client.prepare_cached(BE_USER),
            client.prepare_cached(chats::UNCOUNT_TURN),
            client.prepare_cached(chats::MOVE_HEAD_BACK),
            client.prepare_cached(messages::WITHDRAW),
            client.prepare_cached(messages::CLOSE),
            client.prepare_cached(messages::STEP_BACK),
            client.prepare_cached(chats::FORGET_IF_EMPTY),
            client.prepare_cached(turns::WITHDRAW),
        )?;
        let (chat, answer) = (self.chat.as_str(), self.answer.as_str());
        let (added, stepped_aside) = match self.place {
            Placement::Append { question } => (vec![question.as_str(), answer], None),
            Placement::Edit { question, displaced_id } => {
                (vec![question.as_str(), answer], Some((displaced_id, question)))
            }
            Placement::Regenerate { .. } => (vec![answer], None),
        };
        tokio::try_join!(
            biased;
            client.batch_execute("begin"),
            async { client.execute(&be_user, &[&self.user.0]).await },
            async { client.execute(&uncount, &[&chat, &answer]).await },
            async { client.execute(&head_back, &[&chat, &added]).await },
            async { client.execute(&withdraw, &[&added, &answer]).await },
            async { client.execute(&close, &[&answer, &code]).await },
            async {
                let Some((displaced_id, question)) = stepped_aside else { return Ok(0) };
                client.execute(&step_back, &[&displaced_id.as_str(), &question.as_str(), &chat]).await
            },
            async { client.execute(&forget, &[&chat]).await },
            async { client.execute(&end, &[&answer, &now]).await },
            client.batch_execute("commit"),
        )?;
        Ok(())
    }
}

impl Database {
    /// Takes back a turn. Where another has begun below it meanwhile, it stays, as one that failed with
    /// `code`.
    pub async fn withdraw_turn(
        &self,
        turn: &BegunTurn,
        code: &str,
        now: Timestamp,
    ) -> Result<(), DatabaseError> {
        let withdrawal = &Withdrawal::of_begun(turn);
        self.retrying(|client| async move { withdrawal.run(&client, code, now).await }).await
    }
}
