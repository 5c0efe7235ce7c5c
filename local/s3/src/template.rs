//! What `infra/data.yaml` says about the bucket `Uploads`: its CORS rules and its policy. What the stand-in cannot
//! enforce is an error, so that it never silently allows more than the deployed bucket.

use serde_norway::Value;

use crate::LocalS3Error;
use crate::cors::CorsRule;
use crate::policy::{ANY_ACTION, Condition, Deny, GET_OBJECT, PUT_OBJECT};

const DATA: &str = include_str!("../../../infra/data.yaml");
/// The bucket's ARN in the template, of which resources are made.
const ARN: &str = "${Uploads.Arn}";

/// The rules of the bucket.
pub(crate) struct Template {
    pub(crate) cors: Vec<CorsRule>,
    pub(crate) policy: Vec<Deny>,
}

impl Template {
    /// Reads the template. `origins` replaces the parameter `AppOrigin`.
    pub(crate) fn read(origins: &[&str]) -> Result<Self, LocalS3Error> {
        Self::parse(DATA, origins)
    }

    fn parse(yaml: &str, origins: &[&str]) -> Result<Self, LocalS3Error> {
        let template: Value = serde_norway::from_str(yaml)?;
        let bucket = &template["Resources"]["Uploads"]["Properties"];
        if bucket["VersioningConfiguration"]["Status"].as_str() != Some("Enabled") {
            return Err(unknown("a bucket without versioning"));
        }
        let rules = list(&bucket["CorsConfiguration"]["CorsRules"])?;
        let document = &template["Resources"]["UploadsPolicy"]["Properties"]["PolicyDocument"];
        let statements = list(&document["Statement"])?;
        // What is not denied is allowed here.
        let denied = statements.iter().filter(|statement| statement["Effect"] == "Deny");
        Ok(Self {
            cors: rules.iter().map(|rule| cors_rule(rule, origins)).collect::<Result<_, _>>()?,
            policy: denied.map(deny).collect::<Result<_, _>>()?,
        })
    }
}

fn cors_rule(rule: &Value, origins: &[&str]) -> Result<CorsRule, LocalS3Error> {
    for origin in list(&rule["AllowedOrigins"])? {
        let is_parameter = matches!(origin, Value::Tagged(tagged) if tagged.tag == "Ref" && tagged.value == "AppOrigin");
        if !is_parameter {
            return Err(unknown("an allowed origin other than !Ref AppOrigin"));
        }
    }
    Ok(CorsRule {
        origins: origins.iter().map(|&origin| origin.to_owned()).collect(),
        methods: strings(&rule["AllowedMethods"])?,
        headers: strings(&rule["AllowedHeaders"])?.iter().map(|name| name.to_lowercase()).collect(),
        exposed: strings(&rule["ExposedHeaders"])?,
        max_age: rule["MaxAge"].as_u64(),
    })
}

fn deny(statement: &Value) -> Result<Deny, LocalS3Error> {
    let sid = statement["Sid"].as_str().unwrap_or_default().to_owned();
    let unreadable = |what: &str| unknown(&format!("{what} in the policy's statement {sid}"));
    if statement["Principal"] != "*" {
        return Err(unreadable("a principal other than '*'"));
    }
    for (name, _) in statement.as_mapping().into_iter().flatten() {
        let known = ["Sid", "Effect", "Principal", "Action", "Resource", "Condition"];
        if !name.as_str().is_some_and(|name| known.contains(&name)) {
            return Err(unreadable(&format!("{name:?}")));
        }
    }
    let mut conditions = Vec::new();
    for (operator, keys) in statement["Condition"].as_mapping().into_iter().flatten() {
        for (key, value) in keys.as_mapping().into_iter().flatten() {
            let condition = condition(operator.as_str(), key.as_str(), value)
                .ok_or_else(|| unreadable(&format!("the condition {operator:?} {key:?}")))?;
            conditions.push(condition);
        }
    }
    let resources = one_or_more(&statement["Resource"]);
    let resources = resources.iter().map(|resource| {
        let path = below_bucket(resource).map(str::to_owned);
        path.ok_or_else(|| unreadable(&format!("the resource {resource:?}")))
    });
    let actions = strings(&Value::Sequence(one_or_more(&statement["Action"])))?;
    if !actions.iter().all(|action| [ANY_ACTION, GET_OBJECT, PUT_OBJECT].contains(&&**action)) {
        return Err(unreadable(&format!("one of the actions {actions:?}")));
    }
    Ok(Deny {
        resources: resources.collect::<Result<_, _>>()?,
        actions,
        conditions,
        sid: sid.clone(),
    })
}

/// A resource without the bucket's ARN.
fn below_bucket(resource: &Value) -> Option<&str> {
    let Value::Tagged(tagged) = resource else { return None };
    if tagged.tag == "GetAtt" && tagged.value == "Uploads.Arn" {
        return Some("");
    }
    let arn = if tagged.tag == "Sub" { tagged.value.as_str()? } else { return None };
    arn.strip_prefix(ARN).filter(|path| !path.trim_end_matches('*').contains('*'))
}

fn condition(operator: Option<&str>, key: Option<&str>, value: &Value) -> Option<Condition> {
    // IAM accepts both, also in strings.
    let flag = || value.as_bool().or_else(|| value.as_str()?.parse().ok());
    let number = || value.as_u64().or_else(|| value.as_str()?.parse().ok());
    match (operator?, key?) {
        ("Bool", "aws:SecureTransport") => flag().map(Condition::SecureTransport),
        ("Bool", "s3:ObjectCreationOperation") => flag().map(Condition::ObjectCreation),
        ("Null", "s3:if-none-match") => flag().map(Condition::IfNoneMatchIsAbsent),
        ("NumericGreaterThan", "s3:signatureAge") => number().map(Condition::SignatureOlderThan),
        _ => None,
    }
}

fn one_or_more(value: &Value) -> Vec<Value> {
    value.as_sequence().cloned().unwrap_or_else(|| vec![value.clone()])
}

fn list(value: &Value) -> Result<&Vec<Value>, LocalS3Error> {
    value.as_sequence().ok_or_else(|| unknown("something other than a list of rules"))
}

fn strings(value: &Value) -> Result<Vec<String>, LocalS3Error> {
    let strings = list(value)?.iter().map(|item| item.as_str().map(str::to_owned));
    strings.collect::<Option<_>>().ok_or_else(|| unknown("a list of other than strings"))
}

fn unknown(what: &str) -> LocalS3Error {
    LocalS3Error::Rule(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deployed_rules_are_read() {
        let template = Template::read(&["https://chat.example.com"]).unwrap();
        let [rule] = &template.cors[..] else { panic!("{} rules", template.cors.len()) };
        assert_eq!(rule.origins, ["https://chat.example.com"]);
        assert_eq!(rule.methods, ["PUT"]);
        assert!(rule.headers.iter().any(|name| name == "if-none-match"));
        let sids: Vec<_> = template.policy.iter().map(|deny| &*deny.sid).collect();
        assert!(sids.contains(&"OnlyFreshSignatures"), "{sids:?}");
    }

    #[test]
    fn a_rule_that_cannot_be_enforced_is_an_error() {
        for (known, unknown) in [
            ("s3:signatureAge", "aws:SourceIp"),
            ("NumericGreaterThan", "NumericLessThan"),
            ("!Sub ${Uploads.Arn}/*", "!Sub ${Others.Arn}/*"),
            ("!Sub ${Uploads.Arn}/*", "!Sub ${Uploads.Arn}/*/x"),
            ("Action: s3:*", "Action: s3:DeleteObjectVersion"),
            ("[!Ref AppOrigin]", "['https://example.com']"),
        ] {
            assert!(DATA.contains(known), "{known}");
            let read = Template::parse(&DATA.replace(known, unknown), &[]);
            assert!(matches!(read, Err(LocalS3Error::Rule(_))), "{unknown}");
        }
    }
}
