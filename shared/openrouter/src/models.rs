//! The provider's list of models.

use serde::Deserialize;
use serde_json::value::RawValue;
use shared_core::models::{ListedModel, ModelId};

/// The list of models cannot be fetched.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// No response, or an error status.
    #[error("the provider's list of models: {0}")]
    Http(#[from] reqwest::Error),
    /// Not the documented JSON.
    #[error("the provider's list of models: {0}")]
    Malformed(#[from] serde_json::Error),
}

#[derive(Deserialize)]
struct ApiResponse<'a> {
    #[serde(borrow)]
    data: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    name: String,
    context_length: Option<f64>,
    #[serde(default)]
    architecture: Architecture,
    #[serde(default)]
    pricing: Pricing,
    #[serde(default)]
    supported_parameters: Vec<String>,
}

#[derive(Deserialize, Default)]
struct Architecture {
    #[serde(default)]
    input_modalities: Vec<String>,
    #[serde(default)]
    output_modalities: Vec<String>,
}

#[derive(Deserialize, Default)]
struct Pricing {
    #[serde(default)]
    prompt: String,
    #[serde(default)]
    completion: String,
}

/// Parses the list; skips a malformed entry rather than losing all others.
pub(crate) fn read_list(body: &[u8]) -> Result<Vec<ListedModel>, ListError> {
    let api_response: ApiResponse<'_> = serde_json::from_slice(body)?;
    let entries =
        api_response.data.iter().filter_map(|entry| serde_json::from_str(entry.get()).ok());
    Ok(entries.filter_map(listed).collect())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a length in tokens, clamped to 0 and above"
)]
fn listed(entry: Entry) -> Option<ListedModel> {
    Some(ListedModel {
        id: ModelId::parse(&entry.id)?,
        name: entry.name,
        context_length: entry.context_length.unwrap_or(0.0).max(0.0) as u64,
        input_modalities: entry.architecture.input_modalities,
        output_modalities: entry.architecture.output_modalities,
        reasoning: entry.supported_parameters.iter().any(|parameter| parameter == "reasoning"),
        prompt_price: entry.pricing.prompt,
        completion_price: entry.pricing.completion,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_entry_is_skipped() {
        let body = br#"{"data":[{"id":"a/b","name":"B","context_length":8000,"pricing":{"prompt":"0.000001","completion":"0"},
            "architecture":{"input_modalities":["text","image"],"output_modalities":["text"]},"supported_parameters":["reasoning"]},
            {"id":7},{"id":"c/d","name":"D","context_length":null}]}"#;
        let models = read_list(body).unwrap();
        assert_eq!(
            models.iter().map(|model| model.id.as_str()).collect::<Vec<_>>(),
            ["a/b", "c/d"]
        );
        assert!(models[0].reasoning && !models[1].reasoning);
        assert_eq!((models[0].context_length, models[0].prompt_price.as_str()), (8000, "0.000001"));
    }
}
