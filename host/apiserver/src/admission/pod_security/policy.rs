//! What a namespace asks for: the labels `pod-security.kubernetes.io/MODE` and `...-version`
//! (`pod-security-admission/api`).

use std::collections::BTreeMap;
use std::fmt;

use serde_json::Value;

const PREFIX: &str = "pod-security.kubernetes.io/";
/// The newest minor version whose checks are known here.
const NEWEST_MINOR: u32 = 36;

/// A Pod Security Standard; each includes those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    #[default]
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "privileged" => Some(Self::Privileged),
            "baseline" => Some(Self::Baseline),
            "restricted" => Some(Self::Restricted),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// A level as of a version of Kubernetes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) level: Level,
    /// `None` for the latest.
    pub(super) minor: Option<u32>,
}

impl Setting {
    /// Whether the checks added in this minor version count.
    pub(super) fn is_since(&self, minor: u32) -> bool {
        self.minor.is_none_or(|own| own >= minor)
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.minor {
            None => write!(f, "{}:latest", self.level.as_str()),
            Some(minor) => write!(f, "{}:v1.{minor}", self.level.as_str()),
        }
    }
}

/// What follows from a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Enforce,
    Warn,
}

/// The settings of one namespace.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::admission) struct Policies {
    enforce: Setting,
    warn: Setting,
}

impl Policies {
    pub(in crate::admission) fn of(namespace: &Value) -> Self {
        let labels = k3s_meta::object::labels(namespace);
        let enforce = setting(&labels, "enforce");
        let warn = setting(&labels, "warn");
        // As strict as enforced, unless it says otherwise.
        let warn = if labels.contains_key(&format!("{PREFIX}warn")) || warn.level > enforce.level {
            warn
        } else {
            enforce
        };
        Self { enforce, warn }
    }

    pub(super) fn get(&self, mode: Mode) -> &Setting {
        match mode {
            Mode::Enforce => &self.enforce,
            Mode::Warn => &self.warn,
        }
    }
}

fn setting(labels: &BTreeMap<String, String>, mode: &str) -> Setting {
    let Some(level) = labels.get(&format!("{PREFIX}{mode}")) else {
        return Setting::default();
    };
    // A level that cannot be read counts as the strictest.
    let level = Level::parse(level).unwrap_or(Level::Restricted);
    let version = labels
        .get(&format!("{PREFIX}{mode}-version"))
        .map(String::as_str);
    Setting {
        level,
        minor: version.and_then(|v| minor(v).flatten()),
    }
}

/// `latest` (no number) or `v1.N`.
fn minor(text: &str) -> Option<Option<u32>> {
    if text == "latest" {
        return Some(None);
    }
    let number = text.strip_prefix("v1.")?;
    let canonical = number == "0" || !number.starts_with('0');
    let number: u32 = number.parse().ok().filter(|_| canonical)?;
    // A version to come is the latest for now.
    Some((number <= NEWEST_MINOR).then_some(number))
}

/// Labels with values that mean nothing: label, value, what is expected.
pub(super) fn mistakes(labels: &BTreeMap<String, String>) -> Vec<(String, String, &'static str)> {
    let mut found = Vec::new();
    for mode in ["enforce", "audit", "warn"] {
        let level = format!("{PREFIX}{mode}");
        if let Some(value) = labels
            .get(&level)
            .filter(|value| Level::parse(value).is_none())
        {
            found.push((
                level,
                value.clone(),
                "must be one of privileged, baseline, restricted",
            ));
        }
        let version = format!("{PREFIX}{mode}-version");
        if let Some(value) = labels.get(&version).filter(|value| minor(value).is_none()) {
            found.push((version, value.clone(), "must be \"latest\" or \"v1.x\""));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn labels_name_levels_and_versions() {
        let namespace = |labels: Value| json!({"metadata": {"labels": labels}});
        let policies = Policies::of(&namespace(
            json!({"pod-security.kubernetes.io/enforce": "baseline",
            "pod-security.kubernetes.io/enforce-version": "v1.30", "pod-security.kubernetes.io/warn": "restricted"}),
        ));
        assert_eq!(policies.get(Mode::Enforce).to_string(), "baseline:v1.30");
        assert_eq!(policies.get(Mode::Warn).to_string(), "restricted:latest");
        assert!(!policies.get(Mode::Enforce).is_since(34) && policies.get(Mode::Warn).is_since(34));
        assert_eq!(
            Policies::of(&namespace(json!({}))).get(Mode::Enforce).level,
            Level::Privileged
        );
        let wrong = Policies::of(&namespace(
            json!({"pod-security.kubernetes.io/enforce": "stirct"}),
        ));
        assert_eq!(wrong.get(Mode::Enforce).level, Level::Restricted);
    }

    #[test]
    fn mistakes_are_found() {
        let labels = [
            ("pod-security.kubernetes.io/warn", "x"),
            ("pod-security.kubernetes.io/enforce-version", "1.30"),
        ];
        let labels = labels
            .into_iter()
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect();
        assert_eq!(mistakes(&labels).len(), 2);
    }
}
