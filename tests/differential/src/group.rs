//! Puts differences of one cause together: what differs only in indices, names and values is one group.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::LazyLock;

use regex::Regex;

use crate::compare::{Aspect, Difference};

/// Where pods stand in objects of other kinds.
const POD_SPECS: &[&str] = &[
    "spec.jobTemplate.spec.template.",
    "spec.template.",
    "template.",
];
const IN_PODS: &[&str] = &["spec.", "metadata."];
/// The longest text of a group.
const LONGEST: usize = 300;

static QUOTED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#""(?:[^"\\]|\\.)*"|'[^']*'"#).ok());
static NUMBER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"-?\d+(\.\d+)?").ok());
static INDEX: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\[[^\]+]+\]").ok());

/// What the differences of a group have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signature {
    /// In which respect.
    pub aspect: Aspect,
    /// The field, without indices; fields of pod templates as those of a pod.
    pub field: String,
    /// Upstream's side without values.
    pub upstream: String,
    /// Our side without values.
    pub ours: String,
}

/// Differences of one signature.
#[derive(Debug, Default)]
pub struct Group {
    /// How many.
    pub count: usize,
    /// What the requests were about.
    pub kinds: BTreeSet<String>,
    /// The first one: number of the case, and what it shows.
    pub example: String,
}

/// All groups.
#[derive(Debug, Default)]
pub struct Groups(BTreeMap<Signature, Group>);

impl Signature {
    /// The signature of a difference.
    #[must_use]
    pub fn of(difference: &Difference) -> Self {
        let is_text = !matches!(difference.aspect, Aspect::Body | Aspect::Details);
        let general = |text: &str| if is_text { general(text) } else { cut(text) };
        Self {
            aspect: difference.aspect,
            field: field(&difference.field),
            upstream: general(&difference.upstream),
            ours: general(&difference.ours),
        }
    }
}

fn replace(pattern: &LazyLock<Option<Regex>>, text: &str, with: &str) -> String {
    match pattern.as_ref() {
        Some(pattern) => pattern.replace_all(text, with).into_owned(),
        None => text.to_owned(),
    }
}

fn field(from: &str) -> String {
    let plain = replace(&INDEX, from, "[*]");
    for prefix in POD_SPECS {
        if let Some(rest) = plain.strip_prefix(prefix)
            && IN_PODS.iter().any(|start| rest.starts_with(start))
        {
            return format!("POD.{rest}");
        }
    }
    plain
}

/// The text without values and numbers. What follows `supported values` is part of the rule and stays.
fn general(text: &str) -> String {
    let (values, rule) = match text.find("supported values") {
        Some(at) => text.split_at(at),
        None => (text, ""),
    };
    let plain = replace(&NUMBER, &replace(&QUOTED, values, "\"…\""), "N");
    cut(&format!("{plain}{rule}"))
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

impl Groups {
    /// Adds a difference of a request about `kind`; `example` is made for the first of a group only.
    pub fn add(&mut self, difference: &Difference, kind: &str, example: impl FnOnce() -> String) {
        let group = self.0.entry(Signature::of(difference)).or_default();
        if group.count == 0 {
            group.example = example();
        }
        group.count += 1;
        group.kinds.insert(kind.to_owned());
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many groups there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The report, the largest groups first.
    #[must_use]
    pub fn report(&self) -> String {
        let mut rows: Vec<_> = self.0.iter().collect();
        rows.sort_by_key(|(_, group)| std::cmp::Reverse(group.count));
        let mut text = String::new();
        for (signature, group) in rows {
            let kinds: Vec<&str> = group.kinds.iter().map(String::as_str).collect();
            let _ = writeln!(
                text,
                "{:>5} {} {} ({})\n      upstream: {}\n      ours:     {}\n{}\n",
                group.count,
                signature.aspect,
                signature.field,
                kinds.join(", "),
                signature.upstream,
                signature.ours,
                group.example,
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(field: &str, upstream: &str) -> Difference {
        Difference {
            aspect: Aspect::Laxer,
            field: field.into(),
            upstream: upstream.into(),
            ours: String::new(),
        }
    }

    #[test]
    fn one_rule_in_pods_and_templates_is_one_group() {
        let mut groups = Groups::default();
        let places = [
            ("Deployment", "spec.template.spec.containers[0].name"),
            (
                "CronJob",
                "spec.jobTemplate.spec.template.spec.containers[3].name",
            ),
            ("PodTemplate", "template.spec.containers[1].name"),
        ];
        for (kind, place) in places {
            groups.add(
                &cause(place, "Invalid value: \"A b\": must be at most 63"),
                kind,
                String::new,
            );
        }
        assert_eq!(groups.len(), 1);
        let report = groups.report();
        assert!(
            report.contains("3 laxer POD.spec.containers[*].name"),
            "{report}"
        );
        assert!(
            report.contains("(CronJob, Deployment, PodTemplate)"),
            "{report}"
        );
        assert!(
            report.contains("Invalid value: \"…\": must be at most N"),
            "{report}"
        );
    }

    #[test]
    fn other_supported_values_are_another_group() {
        let of = |text: &str| Signature::of(&cause("spec.type", text));
        let one = of("Unsupported value: \"x\": supported values: \"A\", \"B\"");
        assert_eq!(
            one,
            of("Unsupported value: \"y\": supported values: \"A\", \"B\"")
        );
        assert_ne!(
            one,
            of("Unsupported value: \"x\": supported values: \"A\", \"C\"")
        );
    }

    #[test]
    fn the_first_of_a_group_is_its_example() {
        let mut groups = Groups::default();
        groups.add(&cause("a[0]", "x 1"), "A", || "first".into());
        groups.add(&cause("a[1]", "x 2"), "A", || "second".into());
        assert!(groups.report().contains("first"));
        assert!(!groups.report().contains("second"));
    }
}
