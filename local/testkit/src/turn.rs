//! Sample turns for the database.

use shared_core::chat::{Answer, FinishReason, ModelEvent, NewTurn, Placement, Question, Usage};
use shared_core::ids::{ChatId, MessageId};
use shared_core::models::{ModelId, ModelPricing, Tier};

/// A message's id.
pub fn message_id(raw: &str) -> MessageId {
    MessageId::parse(raw).unwrap()
}

/// A turn of a free model that costs one credit.
pub fn new_turn(chat: &str, placement: Placement, answer: &str) -> NewTurn {
    NewTurn {
        chat: ChatId::parse(chat).unwrap(),
        placement,
        question: Question::parse([format!("question of {answer}").as_str()], 1000).unwrap(),
        files: Vec::new(),
        answer: message_id(answer),
        model: ModelId::parse("fake/echo").unwrap(),
        pricing: ModelPricing { tier: Tier::Free, credits: 1 },
        idempotency_key: None,
    }
}

/// The turn `number` of a chat, appended after the one before it; its message ids contain the number.
pub fn next_turn(chat: &str, number: usize) -> NewTurn {
    let question = message_id(&format!("question-{number}"));
    new_turn(chat, Placement::Append { question }, &format!("answer-{number:02}"))
}

/// A finished answer with a usage of 3 and 2 tokens and 7 nano-dollars.
pub fn answer_of(text: &str) -> Answer {
    let mut answer = Answer::default();
    let usage = Usage {
        prompt_tokens: 3,
        completion_tokens: 2,
        cost_nano_usd: Some(7),
        ..Usage::default()
    };
    for event in [
        ModelEvent::Identified { generation: "gen-1", model: "fake/other" },
        ModelEvent::Text(text),
        ModelEvent::Finished(FinishReason::Stop),
        ModelEvent::Used(usage),
    ] {
        answer.apply(&event, &mut |_| ());
    }
    answer
}
