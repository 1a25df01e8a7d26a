//! Ginkgo's report: one entry for each spec of the suite, those that were not selected included.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// Longest part of a failure's first line that is kept, in characters.
const LONGEST_REASON: usize = 300;

/// What became of a spec that was selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    /// With the first line of the reason.
    Failed(String),
    /// By the spec itself, which says why.
    Skipped(String),
}

/// The specs of a suite by name; `None` for one that was not selected.
#[derive(Debug, Default)]
pub(crate) struct Specs(pub(crate) BTreeMap<String, Option<Outcome>>);

impl Specs {
    /// Adds what another run of the same suite selected.
    pub(crate) fn merge(&mut self, other: Self) {
        for (name, outcome) in other.0 {
            let known = self.0.entry(name).or_default();
            if outcome.is_some() {
                *known = outcome;
            }
        }
    }

    /// Selected specs.
    pub(crate) fn selected(&self) -> impl Iterator<Item = (&str, &Outcome)> {
        self.0
            .iter()
            .filter_map(|(name, outcome)| Some((name.as_str(), outcome.as_ref()?)))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Report {
    #[serde(default)]
    special_suite_failure_reasons: Option<Vec<String>>,
    #[serde(default)]
    spec_reports: Option<Vec<SpecReport>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SpecReport {
    #[serde(default)]
    container_hierarchy_texts: Option<Vec<String>>,
    leaf_node_type: String,
    #[serde(default)]
    leaf_node_text: String,
    state: String,
    /// 0 for a spec that was not selected.
    #[serde(default)]
    num_attempts: u32,
    #[serde(default)]
    failure: Option<Failure>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Failure {
    #[serde(default)]
    message: String,
    #[serde(default)]
    forwarded_panic: String,
}

/// Reads the report of a run.
///
/// # Errors
/// When there is none, or no spec could run because the suite's own preparation failed.
pub(crate) fn read(path: &Path) -> Result<Specs> {
    let file = File::open(path).with_context(|| format!("no report {}", path.display()))?;
    let reports: Vec<Report> = serde_json::from_reader(BufReader::new(file))
        .with_context(|| path.display().to_string())?;
    let mut specs = Specs::default();
    for report in reports {
        let reasons = report.special_suite_failure_reasons.unwrap_or_default();
        for spec in report.spec_reports.unwrap_or_default() {
            if spec.leaf_node_type == "It" {
                specs.0.insert(spec.name(), spec.outcome());
            } else if let Some(Outcome::Failed(reason)) = spec.outcome() {
                bail!("{} failed: {reason}", spec.leaf_node_type);
            }
        }
        if specs.selected().next().is_none() && !reasons.is_empty() {
            bail!("the suite did not run: {}", reasons.join("; "));
        }
    }
    Ok(specs)
}

impl SpecReport {
    fn name(&self) -> String {
        let mut texts = self.container_hierarchy_texts.clone().unwrap_or_default();
        texts.push(self.leaf_node_text.clone());
        texts.retain(|text| !text.is_empty());
        texts.join(" ")
    }

    fn outcome(&self) -> Option<Outcome> {
        match self.state.as_str() {
            "passed" => Some(Outcome::Passed),
            "skipped" if self.num_attempts == 0 => None,
            "skipped" => Some(Outcome::Skipped(self.reason())),
            "pending" => None,
            state => Some(Outcome::Failed(match self.reason() {
                reason if reason.is_empty() => state.to_owned(),
                reason => reason,
            })),
        }
    }

    fn reason(&self) -> String {
        let Some(failure) = &self.failure else {
            return String::new();
        };
        let text = [&failure.message, &failure.forwarded_panic]
            .into_iter()
            .find(|text| !text.trim().is_empty());
        let first = text.and_then(|text| text.lines().find(|line| !line.trim().is_empty()));
        first
            .unwrap_or_default()
            .trim()
            .chars()
            .take(LONGEST_REASON)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read_json(value: &Value) -> Result<Specs> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), value.to_string())?;
        read(file.path())
    }

    fn spec(text: &str, state: &str, attempts: u32, message: &str) -> Value {
        json!({
            "ContainerHierarchyTexts": ["[sig-node] Pods", ""],
            "LeafNodeType": "It", "LeafNodeText": text, "State": state,
            "NumAttempts": attempts, "Failure": {"Message": message}
        })
    }

    #[test]
    fn a_spec_is_named_by_its_containers_and_has_an_outcome_if_it_was_selected() -> Result<()> {
        let specs = read_json(&json!([{"SpecReports": [
            spec("a", "passed", 1, ""),
            spec("b", "failed", 1, "\n first line\nsecond"),
            spec("c", "skipped", 1, "needs two nodes"),
            spec("d", "skipped", 0, ""),
            spec("e", "timedout", 1, ""),
            spec("f", "pending", 0, ""),
        ]}]))?;
        let expected = [
            ("a", Some(Outcome::Passed)),
            ("b", Some(Outcome::Failed("first line".into()))),
            ("c", Some(Outcome::Skipped("needs two nodes".into()))),
            ("d", None),
            ("e", Some(Outcome::Failed("timedout".into()))),
            ("f", None),
        ];
        let expected: BTreeMap<_, _> = expected
            .into_iter()
            .map(|(text, outcome)| (format!("[sig-node] Pods {text}"), outcome))
            .collect();
        assert_eq!(specs.0, expected);
        Ok(())
    }

    #[test]
    fn a_panic_is_the_reason_where_ginkgo_gives_it_apart() -> Result<()> {
        let mut panicked = spec("a", "panicked", 1, "");
        panicked["Failure"] = json!({"Message": "", "ForwardedPanic": "nil map\nstack"});
        let specs = read_json(&json!([{"SpecReports": [panicked]}]))?;
        let outcomes: Vec<_> = specs.selected().map(|(_, outcome)| outcome).collect();
        assert_eq!(outcomes, [&Outcome::Failed("nil map".into())]);
        Ok(())
    }

    #[test]
    fn a_failed_preparation_of_the_suite_is_an_error() {
        let mut before = spec("", "failed", 1, "no node is ready");
        before["LeafNodeType"] = json!("SynchronizedBeforeSuite");
        let error = read_json(&json!([{"SpecReports": [before]}]));
        let text = error.err().map(|e| e.to_string());
        assert_eq!(
            text.as_deref(),
            Some("SynchronizedBeforeSuite failed: no node is ready")
        );
    }

    #[test]
    fn reports_without_specs_are_read() -> Result<()> {
        let specs = read_json(&json!([{"SpecReports": null}]))?;
        assert!(specs.0.is_empty());
        Ok(())
    }

    #[test]
    fn a_later_run_adds_what_it_selected() -> Result<()> {
        let mut first = read_json(&json!([{"SpecReports": [
            spec("a", "passed", 1, ""), spec("b", "skipped", 0, "")
        ]}]))?;
        first.merge(read_json(&json!([{"SpecReports": [
            spec("a", "skipped", 0, ""), spec("b", "passed", 1, "")
        ]}]))?);
        assert_eq!(first.selected().count(), 2);
        Ok(())
    }
}
