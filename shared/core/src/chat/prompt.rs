//! The prompt: system prompt, summary, the newest messages, the question.

use serde::Serialize;

use super::message::{Context, Role};
use super::turn::Question;

/// One message of a prompt, in the shape of the OpenAI-compatible chat API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PromptMessage {
    /// `system`, `user` or `assistant`.
    pub role: &'static str,
    /// The text.
    pub content: String,
}

/// Estimates a prompt's tokens: a token of English is about four bytes, and tokenizers differ more from
/// each other than from that.
pub fn estimated_tokens(prompt: &[PromptMessage]) -> u32 {
    let bytes: usize = prompt.iter().map(|message| message.content.len()).sum();
    u32::try_from(bytes / 4).unwrap_or(u32::MAX)
}

/// Builds a prompt.
///
/// The summary joins the system prompt: several providers take one system message only. Messages
/// without text (an answer that failed before its first word) are left out, because an empty
/// assistant message is refused by some models and helps none.
pub fn prompt(system: &str, context: &Context, question: &Question) -> Vec<PromptMessage> {
    let mut messages = Vec::with_capacity(context.messages.len() + 2);
    let system = match &context.summary {
        Some(summary) => format!("{system}\n\nThe conversation so far, in summary:\n{summary}"),
        None => system.to_owned(),
    };
    messages.push(PromptMessage { role: "system", content: system });
    for message in &context.messages {
        let role = match message.role {
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        let content = message.text();
        if !content.is_empty() {
            messages.push(PromptMessage { role, content });
        }
    }
    messages.push(PromptMessage { role: "user", content: question.as_str().to_owned() });
    messages
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::{Message, Part};

    fn message(role: Role, text: &str) -> Message {
        Message {
            role,
            parts: vec![Part::Reasoning { text: "hm".into() }, Part::Text { text: text.into() }],
        }
    }

    #[test]
    fn it_is_system_summary_context_question_in_that_order() {
        let context = Context {
            summary: Some("They like ships.".into()),
            messages: vec![
                message(Role::User, "hi"),
                message(Role::Assistant, "hello"),
                message(Role::Assistant, ""),
            ],
        };
        let question = Question::parse(["why?"], 100).unwrap();
        let messages = prompt("Be brief.", &context, &question);
        let got: Vec<_> = messages.iter().map(|m| (m.role, m.content.as_str())).collect();
        assert_eq!(
            got,
            [
                ("system", "Be brief.\n\nThe conversation so far, in summary:\nThey like ships."),
                ("user", "hi"),
                ("assistant", "hello"),
                ("user", "why?"),
            ]
        );
    }
}
