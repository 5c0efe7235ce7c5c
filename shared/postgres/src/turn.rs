//! The two transactions of a turn: one before the model is asked, one after it has answered.

use deadpool_postgres::Object;
use jiff::Timestamp;
use shared_core::answer::{Answer, FinishReason};
use shared_core::catalogue::ModelId;
use shared_core::chat::{CONTEXT_MESSAGES, Context, Message, Part, Role, title_of};
use shared_core::ids::{ChatId, MessageId, UserId};
use shared_core::limits::{Limit, LimitReached};
use shared_core::turn::{NewTurn, Place, Question};
use tokio_postgres::Row;
use tokio_postgres::types::{Json, ToSql};

use crate::{Database, Error, Request, chats, messages};

const BE_USER: &str = "select set_config('app.user_id', $1::uuid::text, true)";

/// A turn whose question is stored and whose answer is open.
#[derive(Clone, Debug)]
pub struct BegunTurn {
    /// Whose turn it is.
    pub user: UserId,
    /// The chat.
    pub chat: ChatId,
    /// The open answer.
    pub answer: MessageId,
    /// The model that is asked.
    pub model: ModelId,
    /// What was asked; for another answer to an old question, as it was stored.
    pub question: Question,
    /// What was said before.
    pub context: Context,
    /// Where it went, for taking it back.
    place: Place,
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The model was done.
    Complete,
    /// It broke off; the code says why.
    Failed {
        /// The same code as the client was given.
        code: &'static str,
    },
}

/// What the last transaction stores.
#[derive(Clone, Copy, Debug)]
pub struct Ending<'a> {
    /// What was said, and what it took.
    pub answer: &'a Answer,
    /// How it ended.
    pub outcome: Outcome,
    /// When.
    pub at: Timestamp,
}

impl Request<'_> {
    /// Stores the question and an open answer, and reads what was said before: one statement, one
    /// round trip. The rules that two at once could break are the database's: an id is used once, a
    /// message is tied to its chat and the chat's owner, and turns of one chat queue for its head.
    pub async fn begin_turn(&self, turn: &NewTurn) -> Result<BegunTurn, Error> {
        self.database.retrying(|client| async move { self.begin_on(&client, turn).await }).await
    }

    async fn begin_on(&self, client: &Object, turn: &NewTurn) -> Result<BegunTurn, Error> {
        let begin = client.prepare_cached(messages::BEGIN_TURN).await?;
        let (place, question, aside, context_size) = match &turn.place {
            Place::Next { question } => ("next", question, None, CONTEXT_MESSAGES),
            Place::Instead { question, aside } => {
                ("instead", question, Some(aside.as_str()), CONTEXT_MESSAGES)
            }
            // The question itself is read too.
            Place::Again { question } => ("again", question, None, CONTEXT_MESSAGES + 1),
        };
        let user = self.session.user;
        let params: &[&(dyn ToSql + Sync)] = &[
            &user.0,
            &self.session.id.0,
            &self.now,
            &self.idle_since(),
            &turn.chat.as_str(),
            &title_of(turn.question.as_str()),
            &place,
            &question.as_str(),
            &aside,
            &Json(turn.question.to_parts()),
            &turn.answer.as_str(),
            &turn.model.as_str(),
            &i32::try_from(context_size).unwrap_or(i32::MAX),
        ];
        let rows = client.query(&begin, params).await?;
        let (question, context) = question_and_context(turn, &rows)?;
        Ok(BegunTurn {
            user,
            chat: turn.chat.clone(),
            answer: turn.answer.clone(),
            model: turn.model.clone(),
            question,
            context,
            place: turn.place.clone(),
        })
    }

    /// The limit on turns, as Postgres can tell it: for the time when the cache is away. Turns
    /// that are being stored at this moment are not seen, so a burst may pass.
    pub async fn turn_limit(&self, limit: Limit) -> Result<Result<(), LimitReached>, Error> {
        let since = self.now - limit.window;
        let rows = self.query(messages::COUNT_TURNS_SINCE, &[&self.session.user.0, &since]).await?;
        let Some(row) = rows.first() else {
            return Ok(Ok(()));
        };
        let (count, oldest): (i64, Option<Timestamp>) = (row.try_get(0)?, row.try_get(1)?);
        if count <= i64::from(limit.count) {
            return Ok(Ok(()));
        }
        let free_at = oldest.unwrap_or(self.now) + limit.window;
        let seconds = u64::try_from(self.now.until(free_at).map_or(1, |span| span.get_seconds()))
            .unwrap_or(1);
        Ok(Err(LimitReached { retry_after: std::time::Duration::from_secs(seconds.max(1)) }))
    }
}

impl Database {
    /// Connects and prepares what a turn will need, so that the first one costs no more than others.
    pub async fn warm_for_turns(self) -> Result<(), Error> {
        let client = self.connection().await?;
        tokio::try_join!(
            biased;
            client.prepare_cached(messages::BEGIN_TURN),
            client.prepare_cached(BE_USER),
            client.prepare_cached(messages::FINISH),
        )?;
        Ok(())
    }

    /// Stores the answer and what it took, and closes it: one transaction, on disk when it returns.
    ///
    /// Not through [`Request`]: somebody who logs out while the model speaks still gets the answer.
    pub async fn finish_turn(&self, turn: &BegunTurn, ending: Ending<'_>) -> Result<(), Error> {
        self.retrying(|client| async move {
            let (be_user, finish) = tokio::try_join!(
                biased;
                client.prepare_cached(BE_USER),
                client.prepare_cached(messages::FINISH),
            )?;
            let (status, error_code) = match ending.outcome {
                Outcome::Complete => ("complete", None),
                Outcome::Failed { code } => ("failed", Some(code)),
            };
            let answer = ending.answer;
            let usage = answer.usage();
            let tokens =
                |count: Option<u32>| count.map(|count| i32::try_from(count).unwrap_or(i32::MAX));
            let (begun, known, finished, committed) = tokio::join!(
                biased;
                client.batch_execute("begin"),
                async { client.execute(&be_user, &[&turn.user.0]).await },
                async {
                    let params: &[&(dyn ToSql + Sync)] = &[
                        &turn.answer.as_str(),
                        &status,
                        &Json(answer.parts()),
                        &answer.model(),
                        &answer.generation(),
                        &answer.finish_reason().map(FinishReason::as_str),
                        &error_code,
                        &tokens(usage.map(|usage| usage.prompt_tokens)),
                        &tokens(usage.map(|usage| usage.completion_tokens)),
                        &tokens(usage.map(|usage| usage.reasoning_tokens)),
                        &tokens(usage.map(|usage| usage.cached_tokens)),
                        &usage.and_then(|usage| usage.cost_nano_usd),
                        &ending.at,
                    ];
                    client.execute(&finish, params).await
                },
                client.batch_execute("commit"),
            );
            begun?;
            known?;
            let finished = finished?;
            committed?;
            if finished == 1 { Ok(()) } else { Err(Error::AnswerNotOpen) }
        })
        .await
    }

    /// Takes back a turn that must not happen after all, as if it had never been sent. Where another
    /// turn has begun below it meanwhile, it stays, as one that failed.
    pub async fn withdraw_turn(&self, turn: &BegunTurn) -> Result<(), Error> {
        self.retrying(|client| async move {
            let (be_user, lock, head_back, withdraw, close, step_back, forget) = tokio::try_join!(
                biased;
                client.prepare_cached(BE_USER),
                client.prepare_cached(chats::LOCK),
                client.prepare_cached(chats::MOVE_HEAD_BACK),
                client.prepare_cached(messages::WITHDRAW),
                client.prepare_cached(messages::CLOSE),
                client.prepare_cached(messages::STEP_BACK),
                client.prepare_cached(chats::FORGET_IF_EMPTY),
            )?;
            let chat = turn.chat.as_str();
            let answer = turn.answer.as_str();
            let (added, stepped_aside) = match &turn.place {
                Place::Next { question } => (vec![question.as_str(), answer], None),
                Place::Instead { question, aside } => {
                    (vec![question.as_str(), answer], Some((aside, question)))
                }
                Place::Again { .. } => (vec![answer], None),
            };
            tokio::try_join!(
                biased;
                client.batch_execute("begin"),
                async { client.execute(&be_user, &[&turn.user.0]).await },
                async { client.execute(&lock, &[&chat]).await },
                async { client.execute(&head_back, &[&chat, &added]).await },
                async { client.execute(&withdraw, &[&added]).await },
                async { client.execute(&close, &[&answer]).await },
                async {
                    let Some((aside, question)) = stepped_aside else { return Ok(0) };
                    client.execute(&step_back, &[&aside.as_str(), &question.as_str(), &chat]).await
                },
                async { client.execute(&forget, &[&chat]).await },
                client.batch_execute("commit"),
            )?;
            Ok(())
        })
        .await
    }
}

fn question_and_context(turn: &NewTurn, rows: &[Row]) -> Result<(Question, Context), Error> {
    let mut context = Context::default();
    let mut again = matches!(turn.place, Place::Again { .. });
    let mut question = turn.question.clone();
    for row in rows {
        let role = match row.try_get(0)? {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            _ => {
                context.summary = Some(row.try_get::<_, Json<String>>(1)?.0);
                continue;
            }
        };
        let message = Message { role, parts: row.try_get::<_, Json<Vec<Part>>>(1)?.0 };
        if std::mem::take(&mut again) {
            // A question that is stored was within the limit of its day.
            question = Question::parse([message.text().as_str()], usize::MAX)
                .map_err(|error| Error::Unavailable(error.into()))?;
        } else {
            context.messages.push(message);
        }
    }
    // The branch is walked upwards; people read downwards.
    context.messages.reverse();
    Ok((question, context))
}
