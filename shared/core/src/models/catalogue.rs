//! The catalogue of offered models: the operator's table, joined with the provider's list.
//!
//! The table (`models.toml` at the repository's root) lists the offered ids, their tier, and the
//! credits per message.
//! A turn checks its model against the table alone, without a request; the provider's metadata
//! (names, prices, context lengths) is only for display, in `GET /api/models`.

use std::fmt;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::env::ConfigError;

/// A model's id at the provider, such as `anthropic/claude-sonnet-4.5`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelId(String);

impl ModelId {
    /// Accepts 1 to 128 printable ASCII characters without spaces; does not check that the model
    /// exists.
    pub fn parse(raw: &str) -> Option<Self> {
        let well_formed =
            (1..=128).contains(&raw.len()) && raw.bytes().all(|b| b.is_ascii_graphic());
        well_formed.then(|| Self(raw.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The kind of plan that a model requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// For all users.
    Free,
    /// For paying users.
    Premium,
}

/// A model's tier and its price in credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelPricing {
    /// Which plans include it.
    pub tier: Tier,
    /// Credits per message, at least 1.
    pub credits: u32,
}

/// The operator's table of models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelTable {
    default: ModelId,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    /// An exact id, or a prefix that ends in `*`.
    id: String,
    tier: Tier,
    #[serde(default = "one")]
    credits: NonZeroU32,
}

fn one() -> NonZeroU32 {
    NonZeroU32::MIN
}

impl Rule {
    fn pricing(&self) -> ModelPricing {
        ModelPricing { tier: self.tier, credits: self.credits.get() }
    }

    fn covers(&self, model: &str) -> bool {
        match self.id.strip_suffix('*') {
            Some(prefix) => model.starts_with(prefix),
            None => self.id == model,
        }
    }
}

fn unreadable(problem: impl fmt::Display) -> ConfigError {
    ConfigError::new("models.toml", format!("cannot be read: {problem}"))
}

impl ModelTable {
    /// The operator's table, `models.toml` at the repository's root, compiled in.
    pub fn compiled_in() -> Result<Self, ConfigError> {
        Self::parse(include_str!("../../../../models.toml"))
    }

    /// Reads the table from TOML: a `default` and a list of `[[model]]` with `id`, `tier` and, if
    /// a message costs more than one, `credits`.
    pub fn parse(toml: &str) -> Result<Self, ConfigError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            default: String,
            model: Vec<Rule>,
        }
        let file: File = toml::from_str(toml).map_err(unreadable)?;
        let malformed =
            || unreadable(format!("the default {:?} is not among the models", file.default));
        let default = ModelId::parse(&file.default).ok_or_else(malformed)?;
        let table = Self { default: default.clone(), rules: file.model };
        table.offered(&default).ok_or_else(malformed)?;
        Ok(table)
    }

    /// The model of requests that name none.
    pub fn default_model(&self) -> &ModelId {
        &self.default
    }

    /// A model's pricing; `None` if it is not offered. The first matching rule wins.
    pub fn offered(&self, model: &ModelId) -> Option<ModelPricing> {
        self.rules.iter().find(|rule| rule.covers(model.as_str())).map(Rule::pricing)
    }

    /// Filters the provider's list to the offered models, in the table's order, then the provider's.
    pub fn offer(&self, listed: Vec<ListedModel>) -> Vec<OfferedModel> {
        let mut offered: Vec<(usize, OfferedModel)> = listed
            .into_iter()
            .filter_map(|model| {
                let place = self.rules.iter().position(|rule| rule.covers(model.id.as_str()))?;
                Some((place, OfferedModel { pricing: self.rules[place].pricing(), model }))
            })
            .collect();
        offered.sort_by_key(|(place, _)| *place);
        offered.into_iter().map(|(_, model)| model).collect()
    }
}

/// A model as the provider lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedModel {
    /// The id.
    pub id: ModelId,
    /// The display name.
    pub name: String,
    /// The context window in tokens, prompt and answer together.
    pub context_length: u64,
    /// The input modalities: `text`, `image`, `file`, …
    pub input_modalities: Vec<String>,
    /// The output modalities: `text`, `image`, …
    pub output_modalities: Vec<String>,
    /// Whether it can return its reasoning.
    pub reasoning: bool,
    /// US dollars per token of prompt, as the provider's decimal text.
    pub prompt_price: String,
    /// US dollars per token of answer, as the provider's decimal text.
    pub completion_price: String,
}

/// A model that is offered here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedModel {
    /// Its tier and price.
    pub pricing: ModelPricing,
    /// The provider's metadata.
    pub model: ListedModel,
}

/// The provider's list of models cannot be fetched, and none is cached.
#[derive(Debug, thiserror::Error)]
#[error("the list of models cannot be fetched right now; try again in a minute")]
pub struct CatalogueError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r#"
        default = "openai/gpt-5-mini"
        [[model]]
        id = "anthropic/claude-opus-4.1"
        tier = "premium"
        credits = 5
        [[model]]
        id = "anthropic/*"
        tier = "free"
        [[model]]
        id = "openai/gpt-5-mini"
        tier = "free"
    "#;

    fn listed(id: &str) -> ListedModel {
        ListedModel {
            id: ModelId::parse(id).unwrap(),
            name: id.to_owned(),
            context_length: 1,
            input_modalities: vec![],
            output_modalities: vec![],
            reasoning: false,
            prompt_price: "0".into(),
            completion_price: "0".into(),
        }
    }

    #[test]
    fn the_first_matching_rule_wins() {
        let table = ModelTable::parse(TABLE).unwrap();
        let offered = |id| table.offered(&ModelId::parse(id).unwrap());
        let pricing = |tier, credits| Some(ModelPricing { tier, credits });
        assert_eq!(offered("anthropic/claude-opus-4.1"), pricing(Tier::Premium, 5));
        assert_eq!(offered("anthropic/claude-haiku-4.5"), pricing(Tier::Free, 1));
        assert_eq!(offered("openai/gpt-5-mini-2"), None);
    }

    #[test]
    fn a_price_of_zero_credits_is_refused() {
        let error = ModelTable::parse(&TABLE.replace("= 5", "= 0")).unwrap_err().to_string();
        assert!(error.contains("line 6") && error.contains("nonzero"), "{error}");
    }

    #[test]
    fn only_models_in_both_the_table_and_the_providers_list_are_offered() {
        let table = ModelTable::parse(TABLE).unwrap();
        let offered = table.offer(vec![
            listed("openai/gpt-5-mini"),
            listed("x/y"),
            listed("anthropic/claude-opus-4.1"),
        ]);
        let ids: Vec<_> = offered.iter().map(|o| o.model.id.as_str()).collect();
        assert_eq!(ids, ["anthropic/claude-opus-4.1", "openai/gpt-5-mini"]);
        assert_eq!(offered[0].pricing, ModelPricing { tier: Tier::Premium, credits: 5 });
    }

    #[test]
    fn a_table_whose_default_is_not_offered_is_refused() {
        let error = ModelTable::parse("default = \"x/y\"\nmodel = []").unwrap_err();
        assert!(error.to_string().contains("x/y"), "{error}");
        assert!(ModelTable::parse("default = 3").is_err());
    }
}
