//! The prompt: system prompt, summary, the newest messages, the question; and the files of both.
//!
//! Files go to a model as bytes, not as URLs: docs/decisions/0018.

use std::fmt;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Serialize, Serializer};

use super::file_part::{FILES_PER_TURN_BYTES, FilePart};
use super::message::{Context, Message, Part, Role};
use super::turn::Question;
use crate::uploads::{LONGEST_MODEL_TEXT, text_tokens};

/// One message of a prompt, in the shape of the OpenAI-compatible chat API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PromptMessage {
    /// `system`, `user` or `assistant`.
    pub role: &'static str,
    /// The content.
    pub content: PromptContent,
}

/// The content of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PromptContent {
    /// Text alone.
    Text(String),
    /// Text first, then files.
    Parts(Vec<PromptPart>),
}

/// A part of a message's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum PromptPart {
    /// Text, with the text files.
    Text {
        /// The text.
        text: String,
    },
    /// An image.
    ImageUrl {
        /// Where it is.
        image_url: ImageUrl,
        /// Tokens, estimated.
        #[serde(skip)]
        tokens: u32,
    },
    /// A PDF.
    File {
        /// The file.
        file: FileData,
        /// Tokens, estimated.
        #[serde(skip)]
        tokens: u32,
    },
}

/// An image in a `data:` URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageUrl {
    /// The URL.
    pub url: DataUrl,
}

/// A file in a `data:` URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileData {
    /// Its name.
    pub filename: String,
    /// The URL.
    pub file_data: DataUrl,
}

/// A `data:` URL. It is encoded while the request's body is written, so that the body is the only copy in Base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataUrl {
    media_type: String,
    bytes: Bytes,
}

impl fmt::Display for DataUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "data:{};base64,{}", self.media_type, Base64Display::new(&self.bytes, &STANDARD))
    }
}

impl Serialize for DataUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The files of a turn that are sent, with their bytes. A file that two messages have is there twice.
pub type FileContents<'a> = Vec<(&'a FilePart, Bytes)>;

impl From<&str> for PromptContent {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl PromptContent {
    fn tokens(&self) -> u32 {
        let of_text = |text: &str| text_tokens(text.len() as u64);
        match self {
            Self::Text(text) => of_text(text),
            Self::Parts(parts) => parts.iter().fold(0, |sum: u32, part| {
                sum.saturating_add(match part {
                    PromptPart::Text { text } => of_text(text),
                    PromptPart::ImageUrl { tokens, .. } | PromptPart::File { tokens, .. } => {
                        *tokens
                    }
                })
            }),
        }
    }

    /// Whether it has a PDF.
    pub fn has_pdf(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::Parts(parts) => parts.iter().any(|part| matches!(part, PromptPart::File { .. })),
        }
    }
}

/// Estimates a prompt's tokens: a token of English is about four bytes, and tokenizers differ more from
/// each other than from that. Of files, see [`crate::uploads`].
pub fn estimated_tokens(prompt: &[PromptMessage]) -> u32 {
    prompt.iter().fold(0, |sum, message| sum.saturating_add(message.content.tokens()))
}

/// Estimates the tokens of a prompt whose files are only named, with those of the question's `files`, which have to be sent.
pub fn least_tokens(prompt: &[PromptMessage], files: &[FilePart]) -> u32 {
    let texts = estimated_tokens(prompt);
    let there = files.iter().filter(|file| file.upload().is_some());
    there.fold(texts, |sum, file| sum.saturating_add(file.facts().tokens))
}

/// The files that are sent to a model: those of the question, then those of the context, the newest first, as long as
/// all fit into [`FILES_PER_TURN_BYTES`] and those of the context into `tokens`. So a large file does not end a chat: the
/// next turn names it instead. Images are left out if the model cannot see.
pub fn files_to_send<'a>(
    context: &'a Context,
    files: &'a [FilePart],
    tokens: u32,
    sees_images: bool,
) -> Vec<&'a FilePart> {
    let of_question = files.iter().map(|file| (file, 0));
    let earlier = context.messages.iter().rev().flat_map(Message::files);
    let earlier = earlier.map(|file| (file, file.facts().tokens));
    let (mut bytes, mut tokens) = (FILES_PER_TURN_BYTES, tokens);
    of_question
        .chain(earlier)
        .filter(|(file, _)| file.upload().is_some() && (sees_images || !file.is_image()))
        .map_while(|(file, cost)| {
            bytes = bytes.checked_sub(file.facts().model_bytes)?;
            tokens = tokens.checked_sub(cost)?;
            Some(file)
        })
        .collect()
}

/// Builds a prompt.
///
/// The summary joins the system prompt: several providers take one system message only. Messages
/// without content (an answer that failed before its first word) are left out, because an empty
/// assistant message is refused by some models and helps none.
///
/// A file without `contents` is named in a line: a model that does not know that it has not seen a file makes up what is
/// in it.
pub fn prompt(
    system: &str,
    context: &Context,
    question: &Question,
    files: &[FilePart],
    contents: &FileContents<'_>,
) -> Vec<PromptMessage> {
    let mut messages = Vec::with_capacity(context.messages.len() + 2);
    let system = match &context.summary {
        Some(summary) => format!("{system}\n\nThe conversation so far, in summary:\n{summary}"),
        None => system.to_owned(),
    };
    messages.push(PromptMessage { role: "system", content: PromptContent::Text(system) });
    for message in &context.messages {
        let role = match message.role {
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        if let Some(content) = content(message.text(), message.files(), contents) {
            messages.push(PromptMessage { role, content });
        }
    }
    if let Some(content) = content(question.as_str().to_owned(), files.iter(), contents) {
        messages.push(PromptMessage { role: "user", content });
    }
    messages
}

impl Message {
    /// The files, in their order.
    pub fn files(&self) -> impl Iterator<Item = &FilePart> {
        self.parts.iter().filter_map(|part| match part {
            Part::File(file) => Some(file),
            Part::Text { .. } | Part::Reasoning { .. } | Part::SourceUrl { .. } => None,
        })
    }
}

/// A message's content; `None` if there is none.
fn content<'a>(
    mut text: String,
    files: impl Iterator<Item = &'a FilePart>,
    contents: &FileContents<'_>,
) -> Option<PromptContent> {
    let (mut images, mut pdfs) = (Vec::new(), Vec::new());
    for file in files {
        let sent = contents.iter().find(|(sent, _)| std::ptr::eq(*sent, file));
        let facts = file.facts();
        let data_url =
            |bytes: &Bytes| DataUrl { media_type: facts.model_type.clone(), bytes: bytes.clone() };
        match sent.map(|(_, bytes)| bytes) {
            None => {
                add_paragraph(
                    &mut text,
                    &format!("[The file {:?} was shown here.]", file.filename),
                );
            }
            Some(bytes) if file.is_image() => images.push(PromptPart::ImageUrl {
                image_url: ImageUrl { url: data_url(bytes) },
                tokens: facts.tokens,
            }),
            Some(bytes) if facts.model_type == "application/pdf" => pdfs.push(PromptPart::File {
                file: FileData { filename: file.filename.clone(), file_data: data_url(bytes) },
                tokens: facts.tokens,
            }),
            Some(bytes) => add_paragraph(&mut text, &fenced(&file.filename, bytes)),
        }
    }
    if images.is_empty() && pdfs.is_empty() {
        return (!text.is_empty()).then_some(PromptContent::Text(text));
    }
    let text = (!text.is_empty()).then_some(PromptPart::Text { text });
    Some(PromptContent::Parts(text.into_iter().chain(images).chain(pdfs).collect()))
}

fn add_paragraph(text: &mut String, paragraph: &str) {
    if !text.is_empty() {
        text.push_str("\n\n");
    }
    text.push_str(paragraph);
}

/// A text file with its name, in a fence that is longer than any in the text.
fn fenced(filename: &str, bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat((longest + 1).max(3));
    // A character that the limit would have cut has up to four bytes.
    let is_cut = bytes.len() + 3 >= LONGEST_MODEL_TEXT;
    let part = if is_cut { " (its beginning)" } else { "" };
    let end = if text.ends_with('\n') { "" } else { "\n" };
    format!("The file {filename:?}{part}:\n{fence}\n{text}{end}{fence}")
}

#[cfg(test)]
mod tests {
    use super::super::file_part::{FileFacts, FileMetadata};
    use super::*;

    fn message(role: Role, text: &str) -> Message {
        Message {
            role,
            parts: vec![Part::Reasoning { text: "hm".into() }, Part::Text { text: text.into() }],
        }
    }

    fn file(last_digit: u8, filename: &str, model_type: &str, model_bytes: u64) -> FilePart {
        let url = format!("/api/uploads/0198c5a0-7b1e-7cc3-98c4-dc0c0c07398{last_digit}");
        let facts = FileFacts {
            width: None,
            height: None,
            pages: None,
            model_type: model_type.to_owned(),
            model_bytes,
            tokens: 100,
        };
        FilePart {
            url,
            media_type: model_type.to_owned(),
            filename: filename.to_owned(),
            provider_metadata: FileMetadata { upload: facts },
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
        let messages = prompt("Be brief.", &context, &question, &[], &FileContents::new());
        let got = serde_json::to_value(&messages).unwrap();
        let expected = serde_json::json!([
            { "role": "system", "content": "Be brief.\n\nThe conversation so far, in summary:\nThey like ships." },
            { "role": "user", "content": "hi" },
            { "role": "assistant", "content": "hello" },
            { "role": "user", "content": "why?" },
        ]);
        assert_eq!(got, expected);
    }

    #[test]
    fn text_comes_first_then_images_then_pdfs() {
        let files = [
            file(1, "a.pdf", "application/pdf", 3),
            file(2, "b.png", "image/png", 3),
            file(3, "c.md", "text/plain", 3),
        ];
        let bytes = [b"pdf".as_slice(), b"png", b"a ``` b"].map(Bytes::from_static);
        let contents = files.iter().zip(bytes).collect();
        let question = Question::parse(["why?"], 100).unwrap();
        let messages = prompt("x", &Context::default(), &question, &files, &contents);
        let got = serde_json::to_value(&messages[1].content).unwrap();
        let expected = serde_json::json!([
            { "type": "text", "text": "why?\n\nThe file \"c.md\":\n````\na ``` b\n````" },
            { "type": "image_url", "image_url": { "url": "data:image/png;base64,cG5n" } },
            { "type": "file", "file": { "filename": "a.pdf", "file_data": "data:application/pdf;base64,cGRm" } },
        ]);
        assert_eq!(got, expected);
        assert!(messages[1].content.has_pdf());
        assert_eq!(estimated_tokens(&messages[1..]), 10 + 200);
    }

    #[test]
    fn a_file_that_is_not_sent_is_named() {
        let mut gone = file(1, "a \"b\".png", "image/png", 3);
        gone.url = String::new();
        let messages =
            prompt("x", &Context::default(), &Question::default(), &[gone], &FileContents::new());
        let got = serde_json::to_value(&messages[1].content).unwrap();
        assert_eq!(got, "[The file \"a \\\"b\\\".png\" was shown here.]");
    }

    #[test]
    fn a_file_that_two_messages_have_counts_twice() {
        let again = file(1, "x.pdf", "application/pdf", 8 << 20);
        let parts = vec![Part::File(again.clone())];
        let context = Context {
            summary: None,
            messages: vec![Message { role: Role::User, parts: parts.clone() }; 3],
        };
        let files = [again];
        let sent = files_to_send(&context, &files, u32::MAX, true);
        assert_eq!(sent.len(), 2);
        let contents = sent.into_iter().map(|file| (file, Bytes::from_static(b"pdf"))).collect();
        let messages = prompt("x", &context, &Question::default(), &files, &contents);
        let with_pdf = messages.iter().map(|message| message.content.has_pdf());
        assert_eq!(with_pdf.collect::<Vec<_>>(), [false, false, false, true, true]);
    }

    #[test]
    fn the_newest_files_are_sent_as_long_as_they_fit() {
        let mib = |digit, mib: u64| file(digit, "x.pdf", "application/pdf", mib << 20);
        let with = |file: FilePart| Message { role: Role::User, parts: vec![Part::File(file)] };
        let context = Context {
            summary: None,
            messages: vec![with(mib(1, 1)), with(mib(2, 9)), with(mib(3, 8))],
        };
        let of_question = [mib(4, 4)];
        let digits = |tokens| {
            let sent = files_to_send(&context, &of_question, tokens, true).into_iter();
            sent.map(|file| file.url[file.url.len() - 1..].to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(digits(u32::MAX), ["4", "3"]);
        // Each takes 100 tokens of the room that the question leaves.
        assert_eq!(digits(99), ["4"]);
        let image = with(file(5, "x.png", "image/png", 18 << 20));
        let context = Context { summary: None, messages: vec![with(mib(3, 8)), image] };
        let of_a_blind_model = files_to_send(&context, &of_question, u32::MAX, false);
        assert_eq!(of_a_blind_model.len(), 2, "an image that is not sent takes no room");
        let (context, question) = (Context::default(), Question::default());
        let named = prompt("four", &context, &question, &of_question, &FileContents::new());
        assert_eq!(least_tokens(&named, &of_question), 1 + 8 + 100);
    }
}
