//! The models of `GET /models`, and the prices of all answers.

use serde_json::{Value, json};

/// A listed model.
struct Listed {
    id: &'static str,
    name: &'static str,
    provider: &'static str,
    context_length: u32,
    max_completion_tokens: u32,
    /// Billionths of a US dollar per token, so that the table holds whole numbers.
    prompt_price: u32,
    completion_price: u32,
    input: &'static [&'static str],
    tokenizer: &'static str,
    reasons: bool,
}

const TEXT: &[&str] = &["text"];
const TEXT_AND_IMAGE: &[&str] = &["text", "image"];
const ANY_INPUT: &[&str] = &["text", "image", "file"];

/// Real models, which answer like `fake/echo`. Their prices have the right magnitude, but may be outdated.
const REAL: &[Listed] = &[
    Listed {
        id: "openai/gpt-5-mini",
        name: "OpenAI: GPT-5 Mini",
        provider: "OpenAI",
        context_length: 400_000,
        max_completion_tokens: 128_000,
        prompt_price: 250,
        completion_price: 2_000,
        input: ANY_INPUT,
        tokenizer: "GPT",
        reasons: true,
    },
    Listed {
        id: "anthropic/claude-sonnet-4.5",
        name: "Anthropic: Claude Sonnet 4.5",
        provider: "Anthropic",
        context_length: 1_000_000,
        max_completion_tokens: 64_000,
        prompt_price: 3_000,
        completion_price: 15_000,
        input: ANY_INPUT,
        tokenizer: "Claude",
        reasons: true,
    },
    Listed {
        id: "google/gemini-2.5-flash",
        name: "Google: Gemini 2.5 Flash",
        provider: "Google",
        context_length: 1_048_576,
        max_completion_tokens: 65_535,
        prompt_price: 300,
        completion_price: 2_500,
        input: ANY_INPUT,
        tokenizer: "Gemini",
        reasons: true,
    },
    Listed {
        id: "deepseek/deepseek-chat-v3.1",
        name: "DeepSeek: DeepSeek V3.1",
        provider: "DeepSeek",
        context_length: 163_840,
        max_completion_tokens: 32_768,
        prompt_price: 200,
        completion_price: 800,
        input: TEXT,
        tokenizer: "DeepSeek",
        reasons: true,
    },
    Listed {
        id: "meta-llama/llama-3.3-70b-instruct",
        name: "Meta: Llama 3.3 70B Instruct",
        provider: "DeepInfra",
        context_length: 131_072,
        max_completion_tokens: 16_384,
        prompt_price: 130,
        completion_price: 390,
        input: TEXT,
        tokenizer: "Llama3",
        reasons: false,
    },
    Listed {
        id: "meta-llama/llama-3.3-70b-instruct:free",
        name: "Meta: Llama 3.3 70B Instruct (free)",
        provider: "DeepInfra",
        context_length: 65_536,
        max_completion_tokens: 16_384,
        prompt_price: 0,
        completion_price: 0,
        input: TEXT,
        tokenizer: "Llama3",
        reasons: false,
    },
];

/// Template of a fake model; [`document`] lists one for each of [`FAKES`].
const FAKE: Listed = Listed {
    id: "",
    name: "",
    provider: "Fake",
    context_length: 128_000,
    max_completion_tokens: 16_000,
    prompt_price: 1_000,
    completion_price: 2_000,
    input: TEXT_AND_IMAGE,
    tokenizer: "Other",
    reasons: false,
};

/// The fake models that are listed; other statuses and paces work, too.
const FAKES: &[&str] = &[
    "fake/echo",
    "fake/echo:free",
    "fake/blind",
    "fake/slow",
    "fake/unstoppable",
    "fake/reasoning",
    "fake/cited",
    "fake/usage-with-choices",
    "fake/crlf",
    "fake/burst",
    "fake/utf8",
    "fake/bytes",
    "fake/length",
    "fake/filtered",
    "fake/empty",
    "fake/fail-first",
    "fake/fail-midstream",
    "fake/fail-midstream-string",
    "fake/cut",
    "fake/silent",
    "fake/hang",
    "fake/comments",
    "fake/status-400",
    "fake/status-401",
    "fake/status-402",
    "fake/status-403",
    "fake/status-404",
    "fake/status-408",
    "fake/status-413",
    "fake/status-422",
    "fake/status-429",
    "fake/status-500",
    "fake/status-502",
    "fake/status-503",
    "fake/status-524",
    "fake/status-529",
    "fake/bench-200-10",
];

/// The whole response body of `GET /models`.
pub(crate) fn document() -> Value {
    let fakes = FAKES.iter().map(|&id| {
        let price = |price| if id.ends_with(":free") { 0 } else { price };
        entry(&Listed {
            id,
            name: id,
            prompt_price: price(FAKE.prompt_price),
            completion_price: price(FAKE.completion_price),
            reasons: id == "fake/reasoning",
            input: input(id),
            ..FAKE
        })
    });
    let data: Vec<Value> = fakes.chain(REAL.iter().map(entry)).collect();
    json!({ "total_count": data.len(), "data": data, "links": { "next": null } })
}

/// Whether `id` is one of the real models.
pub(crate) fn is_real(id: &str) -> bool {
    REAL.iter().any(|listed| listed.id == id)
}

/// The provider of this model.
pub(crate) fn provider(id: &str) -> &'static str {
    listed(id).provider
}

/// Whether the provider goes on, and charges for it, when the client disconnects.
pub(crate) fn goes_on(id: &str) -> bool {
    provider(id) == "Google" || id.starts_with("fake/unstoppable")
}

/// Whether the model takes images.
pub(crate) fn reads_images(id: &str) -> bool {
    input(id).contains(&"image")
}

fn input(id: &str) -> &'static [&'static str] {
    if id.starts_with("fake/blind") { TEXT } else { listed(id).input }
}

/// Cost of these tokens in US dollars; more than 0 except for `:free`.
pub(crate) fn cost(id: &str, prompt_tokens: u32, completion_tokens: u32) -> f64 {
    if id.ends_with(":free") {
        return 0.0;
    }
    let listed = listed(id);
    // Whole billionths until the last step, so that the figure has no rounding noise in it.
    let prompt = f64::from(prompt_tokens) * f64::from(listed.prompt_price);
    let completion = f64::from(completion_tokens) * f64::from(listed.completion_price);
    (prompt + completion) / 1e9
}

fn listed(id: &str) -> &'static Listed {
    REAL.iter().find(|listed| listed.id == id).unwrap_or(&FAKE)
}

fn entry(listed: &Listed) -> Value {
    let mut parameters = vec![
        "frequency_penalty",
        "max_tokens",
        "presence_penalty",
        "response_format",
        "seed",
        "stop",
        "temperature",
        "tool_choice",
        "tools",
        "top_p",
    ];
    if listed.reasons {
        parameters.extend(["include_reasoning", "reasoning"]);
    }
    let mut entry = json!({
        "id": listed.id,
        "canonical_slug": listed.id,
        "name": listed.name,
        "created": 1_754_000_000,
        "description": format!("{} as the fake OpenRouter plays it.", listed.name),
        "context_length": listed.context_length,
        "architecture": {
            "modality": format!("{}->text", listed.input.join("+")),
            "input_modalities": listed.input,
            "output_modalities": ["text"],
            "tokenizer": listed.tokenizer,
            "instruct_type": null,
        },
        "pricing": {
            "prompt": per_token(listed.prompt_price),
            "completion": per_token(listed.completion_price),
            "request": "0",
            "image": "0",
            "web_search": "0",
            "internal_reasoning": "0",
            "input_cache_read": per_token(listed.prompt_price / 10),
            "input_cache_write": "0",
        },
        "top_provider": {
            "context_length": listed.context_length,
            "max_completion_tokens": listed.max_completion_tokens,
            "is_moderated": listed.provider == "OpenAI",
        },
        "supported_parameters": parameters,
        "expiration_date": null,
        "per_request_limits": null,
    });
    if listed.reasons {
        entry["reasoning"] = json!({
            "supported_efforts": ["high", "medium", "low", "none"],
            "default_effort": "medium",
            "default_enabled": true,
            "mandatory": false,
        });
    }
    entry
}

/// Formats billionths of a dollar as `OpenRouter` writes a price: `"0.00000025"`.
fn per_token(billionths: u32) -> String {
    if billionths == 0 {
        return "0".to_owned();
    }
    let price = format!("{}.{:09}", billionths / 1_000_000_000, billionths % 1_000_000_000);
    price.trim_end_matches('0').trim_end_matches('.').to_owned()
}
