//! Label selectors as a conjunction of requirements.

use std::collections::BTreeMap;
use std::fmt;

use k3s_base::error::Sentence;
use serde_json::Value;

use crate::field::{ErrorList, Path, invalid};
use crate::names;

/// How a requirement relates key and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Operator {
    In,
    NotIn,
    Equals,
    DoubleEquals,
    NotEquals,
    Exists,
    DoesNotExist,
    GreaterThan,
    LessThan,
}

/// One term of a selector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

impl Requirement {
    /// Checks and builds a requirement; `path` leads to it in messages. Errors are worded as upstream's
    /// `NewRequirement`.
    pub fn new(
        path: &Path,
        key: &str,
        operator: Operator,
        values: Vec<String>,
    ) -> Result<Self, ErrorList> {
        let mut errors = ErrorList::new();
        if let Err(violations) = names::is_qualified_name(key) {
            errors.push(invalid(&path.child("key"), key, violations.to_string()));
        }
        let values_path = path.child("values");
        if let Some(detail) = wrong_count(operator, values.len()) {
            errors.push(invalid(&values_path, &serde_json::json!(values), detail));
        }
        if matches!(operator, Operator::GreaterThan | Operator::LessThan) {
            for (i, value) in values
                .iter()
                .enumerate()
                .filter(|(_, v)| v.parse::<i64>().is_err())
            {
                const DETAIL: &str = "for 'Gt', 'Lt' operators, the value must be an integer";
                errors.push(invalid(&values_path.index(i), value, DETAIL));
            }
        }
        for (i, value) in values.iter().enumerate() {
            if let Err(violations) = names::is_label_value(value) {
                errors.push(invalid(
                    &values_path.index(i).key(key),
                    value,
                    violations.to_string(),
                ));
            }
        }
        if errors.is_empty() {
            Ok(Self {
                key: key.to_owned(),
                operator,
                values,
            })
        } else {
            Err(errors)
        }
    }

    /// The label's key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The operator.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// The values; none for existence.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether a label value (None: no such label) meets the requirement.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let has = |v: &str| self.values.iter().any(|x| x == v);
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => value.is_some_and(has),
            Operator::NotIn | Operator::NotEquals => !value.is_some_and(has),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::GreaterThan => self.compare(value, |label, bound| label > bound),
            Operator::LessThan => self.compare(value, |label, bound| label < bound),
        }
    }

    fn compare(&self, value: Option<&str>, holds: impl Fn(i64, i64) -> bool) -> bool {
        let label = value.and_then(|v| v.parse().ok());
        let bound = self.values.first().and_then(|v| v.parse().ok());
        label
            .zip(bound)
            .is_some_and(|(label, bound)| holds(label, bound))
    }
}

fn wrong_count(operator: Operator, count: usize) -> Option<&'static str> {
    match operator {
        Operator::In | Operator::NotIn if count == 0 => {
            Some("for 'in', 'notin' operators, values set can't be empty")
        }
        Operator::Equals | Operator::DoubleEquals | Operator::NotEquals if count != 1 => {
            Some("exact-match compatibility requires one single value")
        }
        Operator::Exists | Operator::DoesNotExist if count != 0 => {
            Some("values set must be empty for exists and does not exist")
        }
        Operator::GreaterThan | Operator::LessThan if count != 1 => {
            Some("for 'Gt', 'Lt' operators, exactly one value is required")
        }
        _ => None,
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut values = self.values.clone();
        values.sort_unstable();
        let (key, values) = (&self.key, values.join(","));
        match self.operator {
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
        }
    }
}

/// All requirements must hold. The nothing selector, which a missing `LabelSelector` object means,
/// matches no labels at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
    nothing: bool,
}

impl LabelSelector {
    /// Matches all labels.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Matches no labels.
    pub fn nothing() -> Self {
        Self {
            requirements: Vec::new(),
            nothing: true,
        }
    }

    /// A selector of requirements, sorted by key as upstream sorts them.
    pub fn new(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self {
            requirements,
            nothing: false,
        }
    }

    /// Exactly these labels, as replication controllers and services select. An empty set is everything.
    /// The labels are not validated.
    pub fn from_set(labels: &BTreeMap<String, String>) -> Self {
        let equals = |(k, v): (&String, &String)| Requirement {
            key: k.clone(),
            operator: Operator::Equals,
            values: vec![v.clone()],
        };
        Self::new(labels.iter().map(equals).collect())
    }

    /// Reads the query form: `a=b,c in (x,y),!d`.
    ///
    /// # Errors
    ///
    /// Says in upstream's words what the parser did not expect.
    pub fn parse(text: &str) -> Result<Self, Sentence> {
        super::parse::parse(text).map(Self::new)
    }

    /// Reads a `metav1.LabelSelector` object. Null selects nothing, `{}` everything.
    ///
    /// # Errors
    ///
    /// Names an unknown operator, or a key or value that no label can have.
    pub fn from_value(v: &Value) -> Result<Self, Sentence> {
        super::object::from_value(v)
    }

    /// Whether the labels behind `lookup` match.
    pub fn matches<'a>(&self, lookup: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing && self.requirements.iter().all(|r| r.matches(lookup(&r.key)))
    }

    /// Whether these labels match.
    pub fn matches_labels(&self, labels: &BTreeMap<String, String>) -> bool {
        self.matches(|key| labels.get(key).map(String::as_str))
    }

    /// Whether the object's labels match.
    pub fn matches_object(&self, object: &Value) -> bool {
        self.matches(|key| crate::object::label(object, key))
    }

    /// Whether nothing is restricted.
    pub fn is_empty(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    /// The requirements.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.requirements.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join(","))
    }
}
