//! A chat's messages, and the parts of a message.

use serde::{Deserialize, Serialize};

use super::file_part::FilePart;

/// The author of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The user.
    User,
    /// The model.
    Assistant,
}

/// The state of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AnswerStatus {
    /// The turn is running, or is orphaned and not yet closed.
    Streaming,
    /// The model finished.
    Complete,
    /// The user stopped it.
    Stopped,
    /// The turn was orphaned (its process is gone); the partial answer is kept.
    Interrupted,
    /// The turn failed; an error code says why.
    Failed,
}

impl AnswerStatus {
    /// Parses the database value.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "streaming" => Some(Self::Streaming),
            "complete" => Some(Self::Complete),
            "stopped" => Some(Self::Stopped),
            "interrupted" => Some(Self::Interrupted),
            "failed" => Some(Self::Failed),
            _ => None,
        }
    }
}

/// One part of a message, in the shape of the AI SDK's `UIMessage` parts. Stored in the same shape:
/// what the database holds is what the browser renders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Part {
    /// Text for the reader.
    Text {
        /// The text, Markdown by convention.
        text: String,
    },
    /// The model's reasoning.
    Reasoning {
        /// The reasoning, as far as the provider reveals it.
        text: String,
    },
    /// A page that the answer cites.
    SourceUrl {
        /// Unique within the message.
        source_id: String,
        /// The page's URL.
        url: String,
        /// Its title.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
    },
    /// An uploaded file.
    File(FilePart),
}

/// An earlier message, as far as a prompt needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The author.
    pub role: Role,
    /// The content.
    pub parts: Vec<Part>,
}

impl Message {
    /// Concatenates the text parts; skips reasoning, sources and files.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text { text: more } => text.push_str(more),
                Part::Reasoning { .. } | Part::SourceUrl { .. } | Part::File(_) => {}
            }
        }
        text
    }
}

/// How many earlier messages of the branch go into a prompt; the summary covers all before them.
pub const CONTEXT_MESSAGES: usize = 5;

/// A turn's context: its chat before the question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The newest summary, if any.
    pub summary: Option<String>,
    /// The newest [`CONTEXT_MESSAGES`] messages of the branch, oldest first.
    pub messages: Vec<Message>,
}

/// Longest title, in characters.
const LONGEST_TITLE: usize = 80;

/// A chat's first title: the beginning of its first question, on one line, cut at a word.
pub fn title_of(question: &str) -> String {
    let mut title = String::new();
    for word in question.split_whitespace() {
        let room = LONGEST_TITLE - title.chars().count();
        if word.chars().count() + usize::from(!title.is_empty()) > room {
            if title.is_empty() {
                title.extend(word.chars().take(LONGEST_TITLE - 1));
            }
            title.push('…');
            break;
        }
        if !title.is_empty() {
            title.push(' ');
        }
        title.push_str(word);
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_stored_in_the_shape_of_ui_message_parts() {
        let part =
            Part::SourceUrl { source_id: "0".into(), url: "https://a.example".into(), title: None };
        let json = serde_json::to_string(&part).unwrap();
        assert_eq!(json, r#"{"type":"source-url","sourceId":"0","url":"https://a.example"}"#);
        assert_eq!(serde_json::from_str::<Part>(&json).unwrap(), part);
    }

    #[test]
    fn a_title_is_one_line_cut_at_a_word() {
        assert_eq!(title_of("How do\n  ships float?"), "How do ships float?");
        let long = title_of(&"word ".repeat(40));
        assert!(long.ends_with("word…") && long.chars().count() <= LONGEST_TITLE + 1, "{long}");
        assert_eq!(title_of(&"x".repeat(200)).chars().count(), LONGEST_TITLE);
    }
}
