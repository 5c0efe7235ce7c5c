//! Plans: a user's credits, models and limits.
//!
//! The operator's table (`plans.toml` at the repository's root) explains each figure. Postgres stores
//! which user has which plan; this module holds the plans' terms.

use std::fmt;
use std::num::{NonZeroU32, NonZeroUsize};

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use super::order::Offer;
use super::paise::Paise;
use crate::env::ConfigError;
use crate::limits::Limit;
use crate::models::Tier;

/// The lowest price, in paise: the payment provider takes no order below one rupee.
const LOWEST_PRICE: u32 = 100;
/// The longest period, in days.
const LONGEST_PERIOD: u32 = 366;

/// A plan's id, such as `premium`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct PlanId(String);

impl PlanId {
    /// Accepts 1 to 32 of `[a-z0-9-]`; does not check that the plan exists.
    pub fn parse(raw: &str) -> Option<Self> {
        let well_formed = (1..=32).contains(&raw.len())
            && raw.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        well_formed.then(|| Self(raw.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PlanId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = String::deserialize(deserializer)?;
        Self::parse(&raw).ok_or_else(|| D::Error::custom("an id is 1 to 32 of a-z, 0-9 and '-'"))
    }
}

/// How often a plan's credits are granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GrantInterval {
    /// Each day in UTC: only the free plan.
    Day,
    /// Each paid period: all other plans.
    Period,
}

/// A plan's terms.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The id under which it is stored.
    pub id: PlanId,
    /// The display name.
    pub name: String,
    /// The credits of one grant.
    pub credits: NonZeroU32,
    /// How often they are granted.
    pub every: GrantInterval,
    /// The price in paise, at least 100; `None` if it is not sold.
    #[serde(default, deserialize_with = "price")]
    pub price_paise: Option<u32>,
    /// The length of the period that is bought, in days, 1 to 366; with a price, and only then.
    #[serde(default, deserialize_with = "days")]
    pub days: Option<u32>,
    /// The tiers of models that it includes, at least one.
    #[serde(deserialize_with = "at_least_one")]
    pub tiers: Vec<Tier>,
    /// The longest prompt, in estimated tokens.
    pub context_tokens: NonZeroU32,
    /// The longest message, in bytes of UTF-8.
    pub message_bytes: NonZeroUsize,
    /// How many turns a chat may hold.
    pub chat_turns: NonZeroU32,
    /// The largest file, in MiB.
    pub upload_mib: NonZeroU32,
    /// The most that a user's files may take, in MiB.
    pub stored_mib: NonZeroU32,
    /// Turns in any minute.
    pub turns_per_minute: NonZeroU32,
    /// Files in any hour.
    pub uploads_per_hour: NonZeroU32,
    /// Changes of the user's own key in any 24 hours.
    pub key_changes_per_day: NonZeroU32,
}

fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Tier>, D::Error> {
    let tiers = Vec::deserialize(deserializer)?;
    if tiers.is_empty() {
        Err(D::Error::custom("a plan includes at least one tier"))
    } else {
        Ok(tiers)
    }
}

fn price<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let price = u32::deserialize(deserializer)?;
    if price < LOWEST_PRICE {
        return Err(D::Error::custom(format!("a price is at least {LOWEST_PRICE} paise")));
    }
    Ok(Some(price))
}

fn days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    let days = u32::deserialize(deserializer)?;
    if !(1..=LONGEST_PERIOD).contains(&days) {
        return Err(D::Error::custom(format!("a period has 1 to {LONGEST_PERIOD} days")));
    }
    Ok(Some(days))
}

impl Plan {
    /// What it is sold for, if it is.
    pub fn offer(&self) -> Option<Offer> {
        Some(Offer {
            plan: self.id.clone(),
            price: Paise::new(self.price_paise?.into()),
            days: self.days?,
            credits: self.credits.get(),
        })
    }

    /// Whether models of this tier are part of it.
    pub fn includes(&self, tier: Tier) -> bool {
        self.tiers.contains(&tier)
    }

    /// The most that a user's files may take, in bytes.
    pub fn stored_bytes(&self) -> u64 {
        u64::from(self.stored_mib.get()) << 20
    }

    /// The limit on turns.
    pub fn turn_limit(&self) -> Limit {
        Limit::per_minute(self.turns_per_minute.get())
    }

    /// The limit on uploads.
    pub fn upload_limit(&self) -> Limit {
        Limit::per_hour(self.uploads_per_hour.get())
    }

    /// The limit on changes of the user's own key.
    pub fn key_change_limit(&self) -> Limit {
        Limit::per_day(self.key_changes_per_day.get())
    }
}

/// The operator's table of plans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plans {
    /// In the table's order, the cheapest first.
    plans: Vec<Plan>,
    free: usize,
}

fn unreadable(problem: impl fmt::Display) -> ConfigError {
    ConfigError::new("plans.toml", format!("cannot be read: {problem}"))
}

impl Plans {
    /// The operator's table, `plans.toml` at the repository's root, compiled in.
    pub fn compiled_in() -> Result<Self, ConfigError> {
        Self::parse(include_str!("../../../../plans.toml"))
    }

    /// The id of the free plan.
    const FREE: &str = "free";

    /// Reads the table from TOML: a list of `[[plan]]` with all of [`Plan`]'s fields. The error names the
    /// line, or the plan.
    pub fn parse(toml: &str) -> Result<Self, ConfigError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            plan: Vec<Plan>,
        }
        let File { plan: plans } = toml::from_str(toml).map_err(unreadable)?;
        for (place, plan) in plans.iter().enumerate() {
            if plans[..place].iter().any(|earlier| earlier.id == plan.id) {
                return Err(unreadable(format!("there are two plans {:?}", plan.id.as_str())));
            }
        }
        let free = plans.iter().position(|plan| plan.id.as_str() == Self::FREE);
        let free = free.ok_or_else(|| unreadable("there is no plan \"free\""))?;
        for (place, plan) in plans.iter().enumerate() {
            let (every, why) = if place == free {
                (GrantInterval::Day, "\"day\": it has no paid period")
            } else {
                (GrantInterval::Period, "\"period\": only \"free\" grants each day")
            };
            if plan.every != every {
                let id = plan.id.as_str();
                return Err(unreadable(format!("the plan {id:?} has to grant every {why}")));
            }
            if plan.price_paise.is_some() != plan.days.is_some() {
                let id = plan.id.as_str();
                return Err(unreadable(format!(
                    "the plan {id:?} needs both price_paise and days, or neither"
                )));
            }
        }
        if plans[free].price_paise.is_some() {
            return Err(unreadable(
                "the plan \"free\" cannot be sold: remove price_paise and days",
            ));
        }
        Ok(Self { plans, free })
    }

    /// The free plan, of users who pay for none.
    pub fn free(&self) -> &Plan {
        &self.plans[self.free]
    }

    /// The plan with this id, if there is (still) one.
    pub fn get(&self, id: &PlanId) -> Option<&Plan> {
        self.all().find(|plan| plan.id == *id)
    }

    /// A user's effective plan: the free one if they have none, or one that the table no longer has.
    pub fn of(&self, id: Option<&PlanId>) -> &Plan {
        id.and_then(|id| self.get(id)).unwrap_or(self.free())
    }

    /// All plans, the cheapest first.
    pub fn all(&self) -> impl Iterator<Item = &Plan> {
        self.plans.iter()
    }

    /// The next more expensive plan, if any.
    pub fn after(&self, id: &PlanId) -> Option<&Plan> {
        self.all().skip_while(|plan| plan.id != *id).nth(1)
    }

    /// The cheapest plan that includes a tier, if any: the upgrade that users without it are offered.
    pub fn first_with(&self, tier: Tier) -> Option<&Plan> {
        self.all().find(|plan| plan.includes(tier))
    }

    /// The longest message that any plan allows, in bytes: the most that is read of a request before
    /// its user is known.
    pub fn longest_message(&self) -> usize {
        self.all().map(|plan| plan.message_bytes.get()).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TABLE: &str = r#"
[[plan]]
id = "free"
name = "Free"
credits = 5
every = "day"
tiers = ["free"]
context_tokens = 32_000
message_bytes = 32_768
chat_turns = 100
upload_mib = 5
stored_mib = 100
turns_per_minute = 10
uploads_per_hour = 20
key_changes_per_day = 10

[[plan]]
id = "premium"
name = "Premium"
credits = 250
every = "period"
price_paise = 45_000
days = 30
tiers = ["free", "premium"]
context_tokens = 200_000
message_bytes = 131_072
chat_turns = 1_000
upload_mib = 25
stored_mib = 2_048
turns_per_minute = 60
uploads_per_hour = 200
key_changes_per_day = 30
"#;

    fn refusal(table: &str) -> String {
        Plans::parse(table).unwrap_err().to_string()
    }

    fn id(raw: &str) -> PlanId {
        PlanId::parse(raw).unwrap()
    }

    #[test]
    fn plans_keep_the_tables_order_and_are_found_by_id() {
        let plans = Plans::parse(TABLE).unwrap();
        let ids: Vec<_> = plans.all().map(|plan| plan.id.as_str()).collect();
        assert_eq!(ids, ["free", "premium"]);
        assert_eq!((plans.free().credits.get(), plans.free().every), (5, GrantInterval::Day));
        let premium = plans.get(&id("premium")).unwrap();
        assert_eq!((premium.credits.get(), premium.every), (250, GrantInterval::Period));
        assert_eq!(plans.get(&id("gold")), None);
        assert_eq!(plans.longest_message(), 131_072);
    }

    #[test]
    fn a_tier_leads_to_the_cheapest_plan_that_includes_it() {
        let plans = Plans::parse(TABLE).unwrap();
        assert!(!plans.free().includes(Tier::Premium));
        assert_eq!(plans.first_with(Tier::Free).unwrap().id, id("free"));
        assert_eq!(plans.first_with(Tier::Premium).unwrap().id, id("premium"));
        let without = Plans::parse(&TABLE.replace(", \"premium\"]", "]")).unwrap();
        assert_eq!(without.first_with(Tier::Premium), None);
    }

    #[test]
    fn a_plans_rate_limits_slide_over_a_minute_an_hour_and_a_day() {
        let plans = Plans::parse(TABLE).unwrap();
        let limit = |count, secs| Limit { count, window: Duration::from_secs(secs) };
        assert_eq!(plans.free().turn_limit(), limit(10, 60));
        assert_eq!(plans.free().upload_limit(), limit(20, 3600));
        assert_eq!(plans.free().key_change_limit(), limit(10, 86_400));
    }

    #[test]
    fn an_invalid_table_is_refused_with_the_line() {
        for (right, wrong, why) in [
            ("credits = 5\n", "credits = 0\n", "nonzero"),
            ("message_bytes = 32_768", "message_bytes = 0", "nonzero"),
            ("chat_turns = 100\n", "chat_turns = -1\n", "-1"),
            ("every = \"day\"", "every = \"week\"", "week"),
            ("tiers = [\"free\"]", "tiers = []", "at least one tier"),
            ("tiers = [\"free\"]", "tiers = [\"gold\"]", "gold"),
            ("id = \"free\"", "id = \"Free of charge\"", "1 to 32"),
            ("upload_mib = 5\n", "upload_mb = 5\n", "upload_mb"),
        ] {
            let line = 1 + TABLE[..TABLE.find(right).unwrap()].matches('\n').count();
            let refusal = refusal(&TABLE.replacen(right, wrong, 1));
            assert!(refusal.contains(&format!("line {line},")), "{wrong}: {refusal}");
            assert!(refusal.contains(why), "{wrong}: {refusal}");
        }
        assert!(refusal(&TABLE.replacen("upload_mib = 5\n", "", 1)).contains("upload_mib"));
    }

    #[test]
    fn there_is_one_free_plan_and_only_it_grants_daily() {
        assert!(refusal("plan = []").contains("no plan \"free\""));
        assert!(
            refusal(&TABLE.replace("\"premium\"\nname", "\"free\"\nname"))
                .contains("two plans \"free\"")
        );
        for (right, wrong, why) in [
            ("day", "period", "the plan \"free\" has to grant every \"day\""),
            ("period", "day", "the plan \"premium\" has to grant every \"period\""),
        ] {
            let (right, wrong) = (format!("every = {right:?}"), format!("every = {wrong:?}"));
            let refusal = refusal(&TABLE.replace(&right, &wrong));
            assert!(refusal.contains(why), "{refusal}");
        }
    }

    #[test]
    fn a_plan_with_a_price_and_a_period_is_for_sale() {
        let plans = Plans::parse(TABLE).unwrap();
        assert_eq!(plans.free().offer(), None);
        let offer = plans.get(&id("premium")).unwrap().offer().unwrap();
        assert_eq!(
            (offer.price.to_string(), offer.days, offer.credits),
            ("450.00".into(), 30, 250)
        );
        let unsold = TABLE.replace("price_paise = 45_000\ndays = 30\n", "");
        assert_eq!(Plans::parse(&unsold).unwrap().get(&id("premium")).unwrap().offer(), None);
    }

    #[test]
    fn an_invalid_price_or_period_is_refused_with_the_line_or_the_plan() {
        let line = |field: &str| 1 + TABLE[..TABLE.find(field).unwrap()].matches('\n').count();
        for (right, wrong, why) in [
            ("price_paise = 45_000", "price_paise = 99", "at least 100 paise"),
            ("price_paise = 45_000", "price_paise = 450.00", "450"),
            ("price_paise = 45_000", "price_paise = -1", "-1"),
            ("days = 30", "days = 0", "1 to 366 days"),
            ("days = 30", "days = 367", "1 to 366 days"),
        ] {
            let refusal = refusal(&TABLE.replace(right, wrong));
            assert!(refusal.contains(&format!("line {},", line(right))), "{wrong}: {refusal}");
            assert!(refusal.contains(why), "{wrong}: {refusal}");
        }
        for half in ["price_paise = 45_000\n", "days = 30\n"] {
            let refusal = refusal(&TABLE.replace(half, ""));
            assert!(refusal.contains("\"premium\" needs both price_paise and days"), "{refusal}");
        }
        let free = TABLE.replacen(
            "every = \"day\"\n",
            "every = \"day\"\nprice_paise = 100\ndays = 1\n",
            1,
        );
        assert!(refusal(&free).contains("\"free\" cannot be sold"));
    }

    #[test]
    fn an_id_is_short_and_plain() {
        assert!(PlanId::parse("a-1").is_some() && PlanId::parse(&"a".repeat(32)).is_some());
        for raw in ["", "A", "a b", "a_b", "é", &"a".repeat(33)] {
            assert_eq!(PlanId::parse(raw), None, "{raw:?}");
        }
    }
}
