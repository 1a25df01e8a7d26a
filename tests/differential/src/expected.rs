//! Differences that are meant, each by a small rule with its reason (`expected.yaml`).

use std::path::Path;

use anyhow::{Context, Result, ensure};
use regex::Regex;
use serde::Deserialize;

use crate::compare::{Aspect, Difference};
use crate::group::Signature;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    reason: String,
    aspect: Aspect,
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    field: Option<String>,
    #[serde(default)]
    upstream: Option<String>,
    #[serde(default)]
    ours: Option<String>,
}

/// One rule: patterns that match whole texts.
#[derive(Debug)]
struct Rule {
    reason: String,
    aspect: Aspect,
    kind: Option<Regex>,
    field: Option<Regex>,
    upstream: Option<Regex>,
    ours: Option<Regex>,
}

/// All rules.
#[derive(Debug)]
pub struct Expected(Vec<Rule>);

impl Expected {
    /// Reads the rules.
    ///
    /// # Errors
    /// When the file cannot be read, or a rule is so wide that it says nothing about the texts or fields.
    pub fn load(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        Self::parse(&text).with_context(|| file.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        let rows: Vec<Row> = serde_saphyr::from_str(text)?;
        Ok(Self(rows.into_iter().map(rule).collect::<Result<_>>()?))
    }

    /// Adds the rules of another file.
    pub fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The reason for which a difference is meant.
    #[must_use]
    pub fn reason(&self, difference: &Difference, kind: &str) -> Option<&str> {
        let signature = Signature::of(difference);
        let matches = |rule: &&Rule| rule.matches(&signature, difference, kind);
        self.0.iter().find(matches).map(|rule| rule.reason.as_str())
    }
}

fn rule(row: Row) -> Result<Rule> {
    ensure!(!row.reason.trim().is_empty(), "a rule needs a reason");
    ensure!(
        row.field.is_some() || row.upstream.is_some() || row.ours.is_some(),
        "{:?}: a rule needs a pattern of field, upstream or ours",
        row.reason
    );
    let whole = |pattern: Option<String>| -> Result<Option<Regex>> {
        pattern
            .map(|p| Regex::new(&format!("(?s)^(?:{p})$")).context(p))
            .transpose()
    };
    Ok(Rule {
        kind: whole(row.kind)?,
        field: whole(row.field)?,
        upstream: whole(row.upstream)?,
        ours: whole(row.ours)?,
        aspect: row.aspect,
        reason: row.reason,
    })
}

impl Rule {
    fn matches(&self, signature: &Signature, difference: &Difference, kind: &str) -> bool {
        let takes = |pattern: &Option<Regex>, text: &str| {
            pattern
                .as_ref()
                .is_none_or(|pattern| pattern.is_match(text))
        };
        self.aspect == difference.aspect
            && takes(&self.kind, kind)
            && takes(&self.field, &signature.field)
            && takes(&self.upstream, &difference.upstream)
            && takes(&self.ours, &difference.ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(ours: &str) -> Difference {
        Difference {
            aspect: Aspect::Warning,
            field: String::new(),
            upstream: String::new(),
            ours: ours.into(),
        }
    }

    #[test]
    fn a_rule_takes_whole_texts_of_its_aspect() -> Result<()> {
        let rules =
            Expected::parse("- {reason: not acted on, aspect: warning, ours: '299 - .*not yet'}")?;
        assert_eq!(
            rules.reason(&warning("299 - x: not yet"), "Job"),
            Some("not acted on")
        );
        assert_eq!(rules.reason(&warning("299 - x: not yet done"), "Job"), None);
        let other = Difference {
            aspect: Aspect::Message,
            ..warning("299 - x: not yet")
        };
        assert_eq!(rules.reason(&other, "Job"), None);
        Ok(())
    }

    #[test]
    fn a_rule_without_reason_or_pattern_is_refused() {
        for text in [
            "- {reason: '', aspect: body, field: x}",
            "- {reason: x, aspect: body, kind: Pod}",
        ] {
            assert!(Expected::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_rules_of_the_checkout_can_be_read() -> Result<()> {
        for file in ["expected.yaml", "faults.yaml"] {
            Expected::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join(file))?;
        }
        Ok(())
    }
}
