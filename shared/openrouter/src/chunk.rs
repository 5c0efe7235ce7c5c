//! Parses one event of the provider's stream, without copying where JSON allows it.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use shared_core::billing::nano_usd;
use shared_core::chat::{FinishReason, ModelEvent, Usage};

use crate::error::{ErrorObject, KeyOwner, ProviderError};

/// Text that borrows from the event unless it holds escapes. A type of its own, because serde
/// borrows a `Cow` only where it is a field by itself.
#[derive(Deserialize, Debug)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    model: Option<Text<'a>>,
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    error: Option<ErrorObject>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    #[serde(borrow)]
    finish_reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Option<Text<'a>>,
    #[serde(borrow)]
    reasoning: Option<Text<'a>>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Annotation<'a> {
    #[serde(borrow)]
    url_citation: Option<UrlCitation<'a>>,
}

#[derive(Deserialize)]
struct UrlCitation<'a> {
    #[serde(borrow)]
    url: Text<'a>,
    #[serde(borrow)]
    title: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct UsageObject {
    prompt_tokens: Option<u32>,
    completion_tokens: Option<u32>,
    cost: Option<f64>,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u32>,
}

#[derive(Deserialize)]
struct CompletionDetails {
    reasoning_tokens: Option<u32>,
}

/// Maximum cost of one answer, in US dollars. Costs are summed up per key, so a negative or absurd figure
/// must neither lower that sum nor overflow it.
const DEAREST_ANSWER_USD: f64 = 1_000_000.0;

/// Parses one event and passes its contents to `emit`. Usage comes with or without choices; an error may come
/// with a choice whose finish reason is `error`. Returns `Err` for an event that violates the protocol.
pub(crate) fn read(
    data: &[u8],
    key_owner: KeyOwner,
    emit: &mut impl FnMut(ModelEvent<'_>),
) -> Result<(), serde_json::Error> {
    if data == b"[DONE]" {
        emit(ModelEvent::Done);
        return Ok(());
    }
    if data.is_empty() {
        return Ok(());
    }
    let chunk: Chunk<'_> = serde_json::from_slice(data)?;
    if let (Some(id), Some(model)) = (&chunk.id, &chunk.model) {
        emit(ModelEvent::Identified { generation: &id.0, model: &model.0 });
    }
    for choice in chunk.choices.iter().flatten() {
        if let Some(delta) = &choice.delta {
            read_delta(delta, emit);
        }
        if let Some(reason) = &choice.finish_reason {
            emit(ModelEvent::Finished(finish_reason(&reason.0)));
        }
    }
    if let Some(usage) = chunk.usage.and_then(lenient::<UsageObject>) {
        emit(ModelEvent::Used(usage_of(&usage)));
    }
    if let Some(error) = chunk.error {
        emit(ModelEvent::Failed(ProviderError::of_event(key_owner, &error).model_error()));
    }
    Ok(())
}

fn read_delta(delta: &Delta<'_>, emit: &mut impl FnMut(ModelEvent<'_>)) {
    if let Some(reasoning) = &delta.reasoning {
        emit(ModelEvent::Reasoning(&reasoning.0));
    }
    if let Some(content) = &delta.content {
        emit(ModelEvent::Text(&content.0));
    }
    let annotations = delta.annotations.and_then(lenient::<Vec<Annotation<'_>>>);
    for citation in annotations.into_iter().flatten().filter_map(|note| note.url_citation) {
        let title = citation.title.as_ref().map(|title| title.0.as_ref());
        emit(ModelEvent::Citation { url: &citation.url.0, title });
    }
}

/// Parses metadata leniently: a malformed value is dropped, and must not fail the answer.
fn lenient<'a, T: Deserialize<'a>>(raw: &'a RawValue) -> Option<T> {
    let read = serde_json::from_str::<Option<T>>(raw.get());
    read.inspect_err(|error| tracing::debug!(%error, "dropped malformed metadata of the provider"))
        .ok()?
}

fn finish_reason(reason: &str) -> FinishReason {
    match reason {
        "stop" => FinishReason::Stop,
        "length" => FinishReason::Length,
        "content_filter" => FinishReason::ContentFilter,
        "tool_calls" => FinishReason::ToolCalls,
        "error" => FinishReason::Error,
        _ => FinishReason::Other,
    }
}

fn usage_of(usage: &UsageObject) -> Usage {
    Usage {
        prompt_tokens: usage.prompt_tokens.unwrap_or(0),
        completion_tokens: usage.completion_tokens.unwrap_or(0),
        reasoning_tokens: usage
            .completion_tokens_details
            .as_ref()
            .and_then(|d| d.reasoning_tokens)
            .unwrap_or(0),
        cached_tokens: usage
            .prompt_tokens_details
            .as_ref()
            .and_then(|d| d.cached_tokens)
            .unwrap_or(0),
        cost_nano_usd: usage.cost.map(answer_cost),
    }
}

/// Converts the cost of an answer to billionths of a US dollar, clamped to plausible bounds.
pub(crate) fn answer_cost(usd: f64) -> i64 {
    nano_usd(usd.clamp(0.0, DEAREST_ANSWER_USD))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(json: &str) -> Vec<String> {
        let mut events = Vec::new();
        let mut emit = |event: ModelEvent<'_>| events.push(format!("{event:?}"));
        read(json.as_bytes(), KeyOwner::Platform, &mut emit).unwrap();
        events
    }

    #[test]
    fn usage_is_read_with_and_without_choices() {
        let usage = r#""usage":{"prompt_tokens":10,"completion_tokens":15,"cost":0.0012,"prompt_tokens_details":{"cached_tokens":2},"completion_tokens_details":{"reasoning_tokens":5}}"#;
        let expected = "Used(Usage { prompt_tokens: 10, completion_tokens: 15, reasoning_tokens: 5, cached_tokens: 2, cost_nano_usd: Some(1200000) })";
        assert_eq!(decoded(&format!(r#"{{"choices":[],{usage}}}"#)), [expected]);
        assert_eq!(
            decoded(&format!(
                r#"{{"choices":[{{"index":0,"delta":{{"content":null}},"finish_reason":null}}],{usage}}}"#
            )),
            [expected]
        );
    }

    #[test]
    fn an_absurd_cost_is_clamped() {
        for (cost, nano_usd) in [
            ("0", "Some(0)"),
            ("-0.25", "Some(0)"),
            ("-1e300", "Some(0)"),
            ("999999.5", "Some(999999500000000)"),
            ("1000000.01", "Some(1000000000000000)"),
            ("1e300", "Some(1000000000000000)"),
            ("null", "None"),
        ] {
            let events = decoded(&format!(r#"{{"usage":{{"cost":{cost}}}}}"#));
            let expected = format!("cost_nano_usd: {nano_usd} }})");
            assert!(events[0].ends_with(&expected), "{cost}: {events:?}");
        }
    }

    #[test]
    fn an_error_is_read_whether_its_code_is_a_number_or_a_word() {
        for code in ["429", "\"rate_limit_exceeded\""] {
            let events = decoded(&format!(
                r#"{{"id":"g","model":"m","error":{{"code":{code},"message":"x","metadata":{{"error_type":"rate_limit_exceeded"}}}},"choices":[{{"delta":{{"content":""}},"finish_reason":"error"}}]}}"#
            ));
            assert!(events.last().unwrap().starts_with("Failed(RateLimited"), "{events:?}");
        }
    }

    #[test]
    fn null_and_unknown_fields_are_ignored() {
        let json = r#"{"id":null,"choices":[{"delta":{"role":"assistant","content":"a","refusal":null,"reasoning_details":[{}],"annotations":null},"finish_reason":null,"native_finish_reason":null}],"usage":null,"provider":"X"}"#;
        assert_eq!(decoded(json), [r#"Text("a")"#]);
    }

    #[test]
    fn malformed_metadata_does_not_fail_the_answer() {
        for chunk in [
            r#""usage":{"prompt_tokens":"many"},"choices":[{"delta":{"content":"a"}}]"#,
            r#""usage":null,"choices":[{"delta":{"content":"a","annotations":[{"url_citation":{"url":null}}]}}]"#,
            r#""error":null,"choices":[{"delta":{"content":"a","annotations":7}}]"#,
        ] {
            assert_eq!(decoded(&format!("{{{chunk}}}")), [r#"Text("a")"#], "{chunk}");
        }
        assert_eq!(decoded(r#"{"choices":null}"#), [""; 0]);
        assert_eq!(decoded(""), [""; 0]);
        let error =
            decoded(r#"{"choices":null,"error":{"code":503,"message":null,"metadata":null}}"#);
        assert!(error[0].starts_with("Failed(Unavailable"), "{error:?}");
    }

    #[test]
    fn text_with_escapes_is_read_too() {
        assert_eq!(
            decoded(r#"{"choices":[{"delta":{"content":"a\n\u00e9"}}]}"#),
            [r#"Text("a\né")"#]
        );
    }
}
