//! What a client sends: the body of the AI SDK's `DefaultChatTransport`, or its reduced form.
//!
//! Of a history, only the last message is read: the rest is in the database, where it can be
//! believed.

use serde::Deserialize;
use serde_json::value::RawValue;
use shared_core::catalogue::{ModelId, ModelPricing, ModelTable};
use shared_core::ids::{ChatId, MalformedId, MessageId};
use shared_core::random::Entropy;
use shared_core::turn::{IdempotencyKey, NewTurn, Placement, Question, TurnError};
use utoipa::ToSchema;

/// A turn, as a client asks for it.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChatRequest {
    /// The chat: 8 to 64 letters, digits, `-` or `_`. Made by its first turn.
    #[schema(example = "q2dXzYk3vN8aLm0P")]
    id: String,
    /// The question.
    #[schema(value_type = Option<IncomingMessage>)]
    message: Option<Box<RawValue>>,
    /// Or the whole history, of which the last message is the question.
    #[schema(value_type = Option<Vec<IncomingMessage>>)]
    messages: Option<Vec<Box<RawValue>>>,
    /// A new question (the default), or another answer to the last one.
    #[serde(default)]
    trigger: Trigger,
    /// With `submit-message`: the earlier question that this one replaces.
    message_id: Option<String>,
    /// The model; the table's default if left out.
    #[schema(example = "anthropic/claude-sonnet-4.5")]
    model: Option<String>,
}

#[derive(Deserialize, ToSchema, Default, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Trigger {
    #[default]
    SubmitMessage,
    RegenerateMessage,
}

/// A message, in the shape of the AI SDK's `UIMessage`.
#[derive(Deserialize, ToSchema)]
pub(crate) struct IncomingMessage {
    /// The message's id; made here if left out.
    id: Option<String>,
    /// `user`, for a question.
    role: String,
    /// What it says: parts of type `text`.
    parts: Vec<IncomingPart>,
}

#[derive(Deserialize, ToSchema)]
pub(crate) struct IncomingPart {
    /// `text`.
    #[serde(rename = "type")]
    kind: String,
    /// The text.
    text: Option<String>,
}

/// What a request is read against.
pub(crate) struct Rules<'a> {
    pub(crate) table: &'a ModelTable,
    pub(crate) message_limit: usize,
    pub(crate) entropy: &'a Entropy,
    /// The header `idempotency-key`.
    pub(crate) idempotency_key: Option<IdempotencyKey>,
    pub(crate) now: jiff::Timestamp,
}

/// Why a request cannot be read.
pub(crate) enum Unreadable {
    /// The message is not one.
    Json(serde_json::Error),
    /// It can be read, but not asked.
    Turn(TurnError),
}

impl From<TurnError> for Unreadable {
    fn from(error: TurnError) -> Self {
        Self::Turn(error)
    }
}

impl ChatRequest {
    /// The turn that is asked for, if it can be asked.
    pub(crate) fn into_turn(self, rules: Rules<'_>) -> Result<NewTurn, Unreadable> {
        let chat = ChatId::parse(&self.id).map_err(malformed("id"))?;
        let (model, pricing) = model(self.model, rules.table)?;
        let message =
            self.message.or_else(|| self.messages.and_then(|mut messages| messages.pop()));
        let message = message.ok_or(TurnError::NoMessage)?;
        let message: IncomingMessage =
            serde_json::from_str(message.get()).map_err(Unreadable::Json)?;
        if message.role != "user" {
            return Err(TurnError::NotAQuestion.into());
        }
        let question = Question::parse(texts(&message.parts)?, rules.message_limit)?;
        let new_id = || MessageId::from(rules.entropy.uuid(rules.now));
        let id = message
            .id
            .as_deref()
            .map(MessageId::parse)
            .transpose()
            .map_err(malformed("message.id"))?;
        let placement = match (self.trigger, id) {
            (Trigger::RegenerateMessage, Some(question)) => Placement::Regenerate { question },
            (Trigger::RegenerateMessage, None) => return Err(TurnError::MessageNotFound.into()),
            (Trigger::SubmitMessage, id) => match self.message_id {
                None => Placement::Append { question: id.unwrap_or_else(new_id) },
                Some(replaced) => {
                    let question = MessageId::parse(&replaced).map_err(malformed("messageId"))?;
                    Placement::Edit { question, displaced_id: new_id() }
                }
            },
        };
        Ok(NewTurn {
            chat,
            placement,
            question,
            answer: new_id(),
            model,
            pricing,
            idempotency_key: rules.idempotency_key,
        })
    }
}

fn model(asked: Option<String>, table: &ModelTable) -> Result<(ModelId, ModelPricing), TurnError> {
    let model = match &asked {
        Some(asked) => ModelId::parse(asked),
        None => Some(table.default_model().clone()),
    };
    let offered = model.and_then(|model| table.offered(&model).map(|pricing| (model, pricing)));
    let asked = asked.unwrap_or_default();
    offered.ok_or_else(|| TurnError::UnknownModel { model: asked.chars().take(128).collect() })
}

fn texts(parts: &[IncomingPart]) -> Result<Vec<&str>, TurnError> {
    let text = |part: &'_ IncomingPart| match (part.kind.as_str(), &part.text) {
        ("text", Some(_)) => Ok(()),
        _ => Err(TurnError::UnsupportedPart { kind: part.kind.chars().take(64).collect() }),
    };
    parts.iter().try_for_each(text)?;
    Ok(parts.iter().filter_map(|part| part.text.as_deref()).collect())
}

fn malformed(field: &'static str) -> impl Fn(MalformedId) -> TurnError {
    move |source| TurnError::MalformedId { field, source }
}
