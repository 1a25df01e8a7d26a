//! Finds the differences of two normalised answers.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use crate::target::Answer;

/// In which respect answers differ.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Aspect {
    /// Upstream refuses for this reason and ours does not.
    Laxer,
    /// Ours refuses for this reason and upstream does not.
    Stricter,
    /// Both refuse or both accept, with other codes or reasons.
    Code,
    /// The same field is refused with another text.
    Cause,
    /// The same failure has another message.
    Message,
    /// The same causes come in another order.
    Order,
    /// A failure's details besides its causes.
    Details,
    /// A field of an answered object, list or table.
    Body,
    /// A warning.
    Warning,
    /// The media type.
    Form,
    /// No answer.
    Silent,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// In which respect.
    pub aspect: Aspect,
    /// The field that it is about; empty where there is none.
    pub field: String,
    /// Upstream's side; empty where it has none.
    pub upstream: String,
    /// Our side.
    pub ours: String,
}

impl fmt::Display for Aspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Laxer => "laxer",
            Self::Stricter => "stricter",
            Self::Code => "code",
            Self::Cause => "cause",
            Self::Message => "message",
            Self::Order => "order",
            Self::Details => "details",
            Self::Body => "body",
            Self::Warning => "warning",
            Self::Form => "form",
            Self::Silent => "silent",
        })
    }
}

fn difference(
    aspect: Aspect,
    field: &str,
    upstream: impl Into<String>,
    ours: impl Into<String>,
) -> Difference {
    Difference {
        aspect,
        field: field.into(),
        upstream: upstream.into(),
        ours: ours.into(),
    }
}

/// All differences; none where the answers are equal.
#[must_use]
pub fn compare(upstream: &Answer, ours: &Answer) -> Vec<Difference> {
    let mut found = Vec::new();
    warnings(upstream, ours, &mut found);
    match (Failure::of(upstream), Failure::of(ours)) {
        (Some(theirs), Some(own)) => failures(&theirs, &own, &mut found),
        (Some(theirs), None) => theirs.only(Aspect::Laxer, &mut found),
        (None, Some(own)) => own.only(Aspect::Stricter, &mut found),
        (None, None) => {
            if upstream.code != ours.code {
                let codes = (upstream.code.to_string(), ours.code.to_string());
                found.push(difference(Aspect::Code, "", codes.0, codes.1));
            }
            if upstream.content_type != ours.content_type {
                let (theirs, own) = (&upstream.content_type, &ours.content_type);
                found.push(difference(Aspect::Form, "", theirs, own));
            }
            trees(
                "",
                Some(&upstream.body),
                Some(&ours.body),
                Aspect::Body,
                &mut found,
            );
        }
    }
    found
}

fn warnings(upstream: &Answer, ours: &Answer, found: &mut Vec<Difference>) {
    let missing = |from: &Answer, other: &Answer| -> Vec<String> {
        let lacks = |w: &&String| !other.warnings.contains(w);
        from.warnings.iter().filter(lacks).cloned().collect()
    };
    for text in missing(upstream, ours) {
        found.push(difference(Aspect::Warning, "", text, ""));
    }
    for text in missing(ours, upstream) {
        found.push(difference(Aspect::Warning, "", "", text));
    }
}

/// One reason for which a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cause {
    field: String,
    reason: String,
    message: String,
}

struct Failure {
    code: u16,
    reason: String,
    message: String,
    details: Value,
    causes: Vec<Cause>,
}

impl Failure {
    fn of(answer: &Answer) -> Option<Self> {
        if answer.code < 400 {
            return None;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let body = &answer.body;
        let mut details = body["details"].clone();
        let causes = details.as_object_mut().and_then(|d| d.remove("causes"));
        let cause = |c: &Value| Cause {
            field: text(&c["field"]),
            reason: text(&c["reason"]),
            message: text(&c["message"]),
        };
        let list = causes.as_ref().and_then(Value::as_array);
        let mut causes: Vec<Cause> = Vec::new();
        for cause in list.into_iter().flatten().map(cause) {
            // Upstream's validations overlap, and say some causes twice.
            if !causes.contains(&cause) {
                causes.push(cause);
            }
        }
        Some(Self {
            code: answer.code,
            reason: text(&body["reason"]),
            message: body
                .as_str()
                .map_or_else(|| text(&body["message"]), str::to_owned),
            causes,
            details,
        })
    }

    fn kind(&self) -> String {
        format!("{} {}", self.code, self.reason)
    }

    /// What this failure says by itself, where the other server accepts.
    fn only(&self, aspect: Aspect, found: &mut Vec<Difference>) {
        let mut push = |field: &str, text: String| {
            let (upstream, ours) = match aspect {
                Aspect::Laxer => (text, String::new()),
                _ => (String::new(), text),
            };
            found.push(difference(aspect, field, upstream, ours));
        };
        for cause in &self.causes {
            push(&cause.field, cause.message.clone());
        }
        if self.causes.is_empty() {
            push("", format!("{}: {}", self.kind(), self.message));
        }
    }
}

fn failures(upstream: &Failure, ours: &Failure, found: &mut Vec<Difference>) {
    if upstream.kind() != ours.kind() {
        let text = |f: &Failure| format!("{}: {}", f.kind(), f.message);
        found.push(difference(Aspect::Code, "", text(upstream), text(ours)));
        return;
    }
    let before = found.len();
    causes(&upstream.causes, &ours.causes, found);
    if found.len() == before && upstream.message != ours.message {
        let aspect = if words(&upstream.message) == words(&ours.message) {
            Aspect::Order
        } else {
            Aspect::Message
        };
        found.push(difference(aspect, "", &upstream.message, &ours.message));
    }
    let details = (Some(&upstream.details), Some(&ours.details));
    trees("", details.0, details.1, Aspect::Details, found);
}

fn words(text: &str) -> Vec<&str> {
    let ends = |c: char| c.is_whitespace() || ",[]".contains(c);
    let mut words: Vec<&str> = text.split(ends).filter(|w| !w.is_empty()).collect();
    words.sort_unstable();
    words
}

fn causes(upstream: &[Cause], ours: &[Cause], found: &mut Vec<Difference>) {
    let without = |from: &[Cause], other: &[Cause]| -> Vec<Cause> {
        let mut other = other.to_vec();
        let mut left = Vec::new();
        for cause in from {
            match other.iter().position(|o| o == cause) {
                Some(at) => drop(other.remove(at)),
                None => left.push(cause.clone()),
            }
        }
        left
    };
    let mut own = without(ours, upstream);
    for theirs in without(upstream, ours) {
        match own.iter().position(|o| o.field == theirs.field) {
            Some(at) => {
                let other = own.remove(at);
                let text = |c: &Cause| format!("{}: {}", c.reason, c.message);
                found.push(difference(
                    Aspect::Cause,
                    &theirs.field,
                    text(&theirs),
                    text(&other),
                ));
            }
            None => found.push(difference(Aspect::Laxer, &theirs.field, theirs.message, "")),
        }
    }
    for cause in own {
        found.push(difference(
            Aspect::Stricter,
            &cause.field,
            "",
            cause.message,
        ));
    }
}

/// Differences of two trees, each at its place.
fn trees(
    place: &str,
    upstream: Option<&Value>,
    ours: Option<&Value>,
    aspect: Aspect,
    found: &mut Vec<Difference>,
) {
    match (upstream, ours) {
        (Some(Value::Object(theirs)), Some(Value::Object(own))) => {
            let keys: BTreeSet<&String> = theirs.keys().chain(own.keys()).collect();
            for key in keys {
                let below = if place.is_empty() {
                    key.clone()
                } else {
                    format!("{place}.{key}")
                };
                trees(&below, theirs.get(key), own.get(key), aspect, found);
            }
        }
        (Some(Value::Array(theirs)), Some(Value::Array(own))) if theirs.len() == own.len() => {
            for (at, (a, b)) in theirs.iter().zip(own).enumerate() {
                trees(&format!("{place}[{at}]"), Some(a), Some(b), aspect, found);
            }
        }
        (Some(Value::Array(theirs)), Some(Value::Array(own))) => {
            lists(place, theirs, own, aspect, found);
        }
        (a, b) if a == b => {}
        (a, b) => {
            let text = |v: Option<&Value>| v.map(Value::to_string).unwrap_or_default();
            found.push(difference(aspect, place, text(a), text(b)));
        }
    }
}

/// Lists of different lengths: what one has and the other has not.
fn lists(
    place: &str,
    upstream: &[Value],
    ours: &[Value],
    aspect: Aspect,
    found: &mut Vec<Difference>,
) {
    let before = found.len();
    let place = format!("{place}[+]");
    for item in upstream.iter().filter(|item| !ours.contains(item)) {
        found.push(difference(aspect, &place, label(item), ""));
    }
    for item in ours.iter().filter(|item| !upstream.contains(item)) {
        found.push(difference(aspect, &place, "", label(item)));
    }
    if found.len() == before {
        let lengths = (upstream.len().to_string(), ours.len().to_string());
        found.push(difference(aspect, &place, lengths.0, lengths.1));
    }
}

/// A member of a list by its name, where it has one.
fn label(item: &Value) -> String {
    for path in ["name", "type", "version"] {
        if let Some(text) = item[path].as_str() {
            return text.to_owned();
        }
    }
    match item["metadata"]["name"].as_str() {
        Some(name) => name.to_owned(),
        None => item.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(code: u16, body: Value) -> Answer {
        Answer {
            code,
            content_type: "application/json".into(),
            warnings: Vec::new(),
            body,
        }
    }

    fn invalid(causes: &[(&str, &str)]) -> Answer {
        let list: Vec<Value> = causes
            .iter()
            .map(|(field, message)| json!({"reason": "FieldValueInvalid", "field": field, "message": message}))
            .collect();
        let texts: Vec<String> = causes.iter().map(|(f, m)| format!("{f}: {m}")).collect();
        answer(
            422,
            json!({"reason": "Invalid", "message": texts.join(", "), "details": {"name": "x", "causes": list}}),
        )
    }

    fn shown(upstream: &Answer, ours: &Answer) -> Vec<String> {
        compare(upstream, ours)
            .iter()
            .map(|d| format!("{} {}: {} | {}", d.aspect, d.field, d.upstream, d.ours))
            .collect()
    }

    #[test]
    fn equal_answers_have_no_difference() {
        let one = invalid(&[("spec.a", "bad")]);
        assert_eq!(shown(&one, &one), Vec::<String>::new());
    }

    #[test]
    fn a_refusal_of_one_side_is_told_cause_by_cause() {
        let refused = invalid(&[("spec.a", "bad"), ("spec.b", "worse")]);
        let accepted = answer(201, json!({}));
        assert_eq!(
            shown(&refused, &accepted),
            ["laxer spec.a: bad | ", "laxer spec.b: worse | "]
        );
        assert_eq!(
            shown(&accepted, &refused),
            ["stricter spec.a:  | bad", "stricter spec.b:  | worse"]
        );
        let other = invalid(&[("spec.a", "bad"), ("spec.c", "worst")]);
        assert_eq!(
            shown(&refused, &other),
            ["laxer spec.b: worse | ", "stricter spec.c:  | worst"]
        );
    }

    #[test]
    fn another_text_and_another_order_are_told_apart() {
        let one = invalid(&[("a", "x"), ("b", "y")]);
        let turned = invalid(&[("b", "y"), ("a", "x")]);
        assert_eq!(shown(&one, &turned), ["order : a: x, b: y | b: y, a: x"]);
        let other = invalid(&[("a", "x"), ("b", "z")]);
        assert_eq!(
            shown(&one, &other),
            ["cause b: FieldValueInvalid: y | FieldValueInvalid: z"]
        );
    }

    #[test]
    fn fields_of_objects_are_told_with_their_place() {
        let theirs = answer(
            200,
            json!({"spec": {"a": 1, "l": [{"name": "x"}, {"name": "y"}]}}),
        );
        let own = answer(200, json!({"spec": {"b": 2, "l": [{"name": "x"}]}}));
        assert_eq!(
            shown(&theirs, &own),
            [
                "body spec.a: 1 | ",
                "body spec.b:  | 2",
                "body spec.l[+]: y | "
            ]
        );
    }
}
