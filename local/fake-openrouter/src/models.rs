//! Scripts of the built-in models. The crate's documentation has the table of them.

use std::time::Duration;

use crate::catalogue;
use crate::request::{Prompt, words};
use crate::script::{
    Citation, ErrorCode, Script, Step, Stream, Usage, delta, done, error, finish, heartbeat, pause,
    processing, reasoning, role, silent, status, stop,
};

const THOUGHT: &str = "The user said something, so I say it again.";
const UNFINISHED: &str = "This answer will not be";
/// Characters of two, three and four bytes, and a joined emoji.
const MULTIBYTE: &str = "Grüße — 世界 🚀 καλημέρα 👩‍🚀 ñandú";

/// Limits of a paced answer: more chunks or longer gaps are a typing error.
const MOST_CHUNKS: u32 = 1_000_000;
const LONGEST_GAP_MS: u64 = 60_000;

/// The script of a built-in model; `None` if there is no such model.
pub(crate) fn script(id: &str, prompt: &Prompt) -> Option<Script> {
    let answer = Answer { id, prompt };
    let echo = || answer.complete(&prompt.question, "stop");
    if catalogue::is_real(id) {
        return Some(echo().into());
    }
    let name = id.strip_prefix("fake/")?;
    let script: Script = match name.strip_suffix(":free").unwrap_or(name) {
        "echo" | "blind" => echo().into(),
        "slow" | "unstoppable" => answer.counting().into(),
        "reasoning" => answer.reasoned().into(),
        "cited" => answer.cited().into(),
        "usage-with-choices" => echo().into_iter().map(keep_choices).collect::<Vec<_>>().into(),
        "crlf" => Stream::from(echo()).crlf().into(),
        "burst" => Stream::from(echo()).burst().into(),
        "bytes" => Stream::from(echo()).pieces(1).into(),
        "utf8" => Stream::from(answer.complete(MULTIBYTE, "stop")).pieces(7).into(),
        "length" => answer.complete(&prompt.question, "length").into(),
        "filtered" => answer.complete(UNFINISHED, "content_filter").into(),
        "empty" => answer.complete("", "stop").into(),
        "fail-midstream" => failing(429_u16.into()).into(),
        "fail-midstream-string" => failing("server_error".into()).into(),
        "fail-first" => {
            vec![error(502, "Provider returned an invalid response", "provider_unavailable")].into()
        }
        "cut" => ending(said(UNFINISHED), [Step::Cut]).into(),
        "silent" => vec![processing(), silent()].into(),
        "comments" => vec![processing(), heartbeat(Duration::from_millis(100))].into(),
        "hang" => Script::Hang,
        other => return numbered(other),
    };
    Some(script)
}

/// `status-<N>` and `bench-<chunks>-<gap in ms>`.
fn numbered(name: &str) -> Option<Script> {
    if let Some(code) = name.strip_prefix("status-") {
        let code: u16 = code.parse().ok()?;
        return (400..600).contains(&code).then(|| status(code).into());
    }
    let (chunks, gap_ms) = name.strip_prefix("bench-")?.split_once('-')?;
    let chunks = chunks.parse().ok().filter(|chunks| *chunks <= MOST_CHUNKS)?;
    let gap_ms = gap_ms.parse().ok().filter(|gap| *gap <= LONGEST_GAP_MS)?;
    Some(Script::Paced { chunks, gap: Duration::from_millis(gap_ms) })
}

/// The usage of an answer by `id`, charged at the catalogue's prices.
pub(crate) fn usage(id: &str, prompt_tokens: u32, completion_tokens: u32) -> Usage {
    let cost = Some(catalogue::cost(id, prompt_tokens, completion_tokens));
    Usage { prompt_tokens, completion_tokens, cost, ..Usage::default() }
}

struct Answer<'a> {
    id: &'a str,
    prompt: &'a Prompt,
}

impl Answer<'_> {
    fn complete(&self, text: &str, reason: &str) -> Vec<Step> {
        ending(said(text), [finish(reason), self.usage(words(text), 0), done()])
    }

    fn counting(&self) -> Vec<Step> {
        let numbers = (1..=200).flat_map(|number| {
            let gap = (number > 1).then(|| pause(Duration::from_millis(25)));
            gap.into_iter().chain([delta(format!("{number} "))])
        });
        let start = [processing(), role()].into_iter();
        start.chain(numbers).chain([stop(), self.usage(200, 0), done()]).collect()
    }

    fn reasoned(&self) -> Vec<Step> {
        let question = &self.prompt.question;
        let thought = words(THOUGHT);
        let steps = [processing(), role()].into_iter();
        steps
            .chain(pieces(THOUGHT).map(reasoning))
            .chain(pieces(question).map(delta))
            .chain([stop(), self.usage(thought + words(question), thought), done()])
            .collect()
    }

    fn cited(&self) -> Vec<Step> {
        let question = &self.prompt.question;
        let length = u32::try_from(question.chars().count()).unwrap_or(u32::MAX);
        let source = |name: &str| {
            Step::Citation(Citation {
                url: format!("https://example.com/{name}"),
                title: format!("The {name} source"),
                content: format!("What the {name} source says."),
                start_index: 0,
                end_index: length,
            })
        };
        let usage = self.usage(words(question), 0);
        ending(said(question), [source("first"), source("second"), stop(), usage, done()])
    }

    fn usage(&self, completion_tokens: u32, reasoning_tokens: u32) -> Step {
        let usage = usage(self.id, self.prompt.tokens, completion_tokens);
        Step::Usage { usage: Usage { reasoning_tokens, ..usage }, with_choices: false }
    }
}

/// The usual start of a stream, and the text word by word.
fn said(text: &str) -> Vec<Step> {
    let start = [processing(), role()];
    start.into_iter().chain(pieces(text).map(delta)).collect()
}

/// No `[DONE]` after the error: the documentation promises none.
fn failing(code: ErrorCode) -> Vec<Step> {
    let (message, error_type) = match &code {
        ErrorCode::Number(_) => ("Rate limit exceeded", "rate_limit_exceeded"),
        ErrorCode::Text(_) => ("Provider disconnected unexpectedly", "server"),
    };
    ending(said(UNFINISHED), [error(code, message, error_type)])
}

fn ending<const N: usize>(mut steps: Vec<Step>, end: [Step; N]) -> Vec<Step> {
    steps.extend(end);
    steps
}

fn keep_choices(step: Step) -> Step {
    if let Step::Usage { usage, .. } = step {
        return Step::Usage { usage, with_choices: true };
    }
    step
}

/// The words of a text, each with the whitespace after it; joined they are the text.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let word = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
        let gap = rest[word..].find(char::is_whitespace).map_or(rest.len(), |at| word + at);
        let end = rest[gap..].find(|c: char| !c.is_whitespace()).map_or(rest.len(), |at| gap + at);
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}
