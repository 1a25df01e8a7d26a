//! Validation of limit ranges (`ValidateLimitRange`).

use std::collections::{BTreeSet, HashSet};

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{Quantity, names, tree};
use serde_json::Value;

use crate::checks::Check;
use crate::core::pod::resources::is_overcommit_allowed;
use crate::core::podspec::validation::resource_names::{any_name, container_name};
use crate::quantity;

/// Types without a domain.
const TYPES: [&str; 3] = ["Container", "PersistentVolumeClaim", "Pod"];
/// Quantities above this have no thousandths in upstream's arithmetic.
const MAX_WITH_MILLI: i64 = i64::MAX / 1000;

pub(super) fn validate(range: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut kinds = HashSet::new();
    let path = Path::new("spec.limits");
    for (index, item) in tree::list(range, "spec.limits").iter().enumerate() {
        let at = path.index(index);
        let kind = tree::text(item, "type");
        type_name(&mut errors, kind, &at.child("type"));
        if !kinds.insert(kind) {
            errors.push(field::duplicate(&at.child("type"), kind));
        }
        for name in resources(&mut errors, item, kind, &at) {
            let amounts = Amounts { item, name };
            amounts.compare(&mut errors, &at);
            amounts.ratio(&mut errors, &at.child("maxLimitRequestRatio").key(name));
        }
    }
    errors
}

fn type_name(errors: &mut ErrorList, kind: &str, path: &Path) {
    let outcome = names::is_qualified_name(kind);
    if outcome.is_ok() && !kind.contains('/') && !TYPES.contains(&kind) {
        let detail = "must be a standard limit type or fully qualified";
        errors.push(field::invalid(path, kind, detail));
    }
    errors.check(path, kind, outcome);
}

/// Validates the names of the resources that an item limits, and gives them.
fn resources<'a>(
    errors: &mut ErrorList,
    item: &'a Value,
    kind: &str,
    path: &Path,
) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let rule = match kind {
        "Pod" | "Container" => container_name,
        _ => any_name,
    };
    for list in ["max", "min", "default", "defaultRequest"] {
        if kind == "Pod" && list.starts_with("default") {
            if tree::has(item, list) {
                let detail = "may not be specified when `type` is 'Pod'";
                errors.push(field::forbidden(&path.child(list), detail));
            }
            continue;
        }
        for name in tree::map(item, list).keys() {
            rule(errors, name, &path.child(list).key(name));
            found.insert(name.as_str());
        }
    }
    let has_storage = |list: &str| tree::map(item, list).contains_key("storage");
    if kind == "PersistentVolumeClaim" && !has_storage("min") && !has_storage("max") {
        let detail =
            "either minimum or maximum storage value is required, but neither was provided";
        errors.push(field::required(&path.child("limits"), detail));
    }
    let ratios = "maxLimitRequestRatio";
    for name in tree::map(item, ratios).keys() {
        rule(errors, name, &path.child(ratios).key(name));
        found.insert(name.as_str());
    }
    found
}

/// What an item says about one resource.
struct Amounts<'a> {
    item: &'a Value,
    name: &'a str,
}

/// A pair of amounts: the lists of the smaller and the larger one, what each is called, and the list whose
/// entry is at fault and the one whose amount is shown.
type Pair = ([&'static str; 2], [&'static str; 2], [&'static str; 2]);

/// The pairs in upstream's order.
const PAIRS: [Pair; 6] = [
    (["min", "max"], ["min value", "max value"], ["min", "min"]),
    (
        ["min", "defaultRequest"],
        ["min value", "default request value"],
        ["defaultRequest", "defaultRequest"],
    ),
    (
        ["defaultRequest", "max"],
        ["default request value", "max value"],
        ["defaultRequest", "defaultRequest"],
    ),
    (
        ["defaultRequest", "default"],
        ["default request value", "default limit value"],
        ["defaultRequest", "defaultRequest"],
    ),
    (
        ["min", "default"],
        ["min value", "default value"],
        ["default", "min"],
    ),
    (
        ["default", "max"],
        ["default value", "max value"],
        ["default", "max"],
    ),
];

impl Amounts<'_> {
    /// The amount in one of the lists. Defaults of pods are refused and say nothing.
    fn of(&self, list: &str) -> Option<Quantity> {
        let is_ignored = tree::text(self.item, "type") == "Pod" && list.starts_with("default");
        let found = tree::map(self.item, list).get(self.name)?;
        quantity::read(found).filter(|_| !is_ignored)
    }

    fn compare(&self, errors: &mut ErrorList, path: &Path) {
        for ([low, high], [small, large], [at, shown]) in PAIRS {
            let (Some(less), Some(more)) = (self.of(low), self.of(high)) else {
                continue;
            };
            if less > more {
                let value = if shown == low { less } else { more };
                let detail = format!("{small} {less} is greater than {large} {more}");
                let at = path.child(at).key(self.name);
                errors.push(field::invalid(&at, value.to_string(), detail));
            }
        }
        let (Some(limit), Some(request)) = (self.of("default"), self.of("defaultRequest")) else {
            return;
        };
        if !is_overcommit_allowed(self.name) && limit != request {
            let detail = format!(
                "default value {limit} must equal to defaultRequest value {request} in {}",
                self.name
            );
            let at = path.child("defaultRequest").key(self.name);
            errors.push(field::invalid(&at, request.to_string(), detail));
        }
    }

    /// How far a limit may be above its request.
    fn ratio(&self, errors: &mut ErrorList, path: &Path) {
        let Some(ratio) = self.of("maxLimitRequestRatio") else {
            return;
        };
        if ratio.nano() < Quantity::from_milli(1000).nano() {
            let detail = format!("ratio {ratio} is less than 1");
            errors.push(field::invalid(path, ratio.to_string(), detail));
        }
        let (Some(min), Some(max)) = (self.of("min"), self.of("max")) else {
            return;
        };
        let most = quotient(max, min, ratio);
        let wanted = number(ratio, has_milli(&[ratio, min, max])) / scale(&[ratio, min, max]);
        if wanted > most {
            let detail = format!("ratio {ratio} is greater than max/min = {most:.6}");
            errors.push(field::invalid(path, ratio.to_string(), detail));
        }
    }
}

fn quotient(max: Quantity, min: Quantity, ratio: Quantity) -> f64 {
    let milli = has_milli(&[ratio, min, max]);
    number(max, milli) / number(min, milli)
}

/// Whether all amounts are small enough to be counted in thousandths.
fn has_milli(amounts: &[Quantity]) -> bool {
    amounts.iter().all(|amount| amount.value() < MAX_WITH_MILLI)
}

fn scale(amounts: &[Quantity]) -> f64 {
    if has_milli(amounts) { 1000.0 } else { 1.0 }
}

#[allow(clippy::cast_precision_loss)]
fn number(amount: Quantity, milli: bool) -> f64 {
    if milli {
        amount.milli() as f64
    } else {
        amount.value() as f64
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn errors(item: Value) -> String {
        validate(&json!({"spec": {"limits": [item]}})).to_string()
    }

    #[test]
    fn amounts_are_held_against_one_another() {
        for (item, text) in [
            (
                json!({"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "2"}}),
                "spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1",
            ),
            (
                json!({"type": "Container", "default": {"memory": "1"}, "defaultRequest": {"memory": "64Mi"}}),
                "spec.limits[0].defaultRequest[memory]: Invalid value: \"64Mi\": default request value 64Mi is greater than default limit value 1",
            ),
            (
                json!({"type": "Container", "default": {"cpu": "5"}, "max": {"cpu": "4"}}),
                "spec.limits[0].default[cpu]: Invalid value: \"4\": default value 5 is greater than max value 4",
            ),
            (
                json!({"type": "Pod", "max": {"cpu": "0"}, "min": {"cpu": "100m"}, "maxLimitRequestRatio": {"cpu": "20"}}),
                "[spec.limits[0].min[cpu]: Invalid value: \"100m\": min value 100m is greater than max value 0, spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"20\": ratio 20 is greater than max/min = 0.000000]",
            ),
            (
                json!({"type": "Pod", "max": {"cpu": "1"}, "default": {"cpu": "2"}}),
                "spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'",
            ),
            (
                json!({"type": "PersistentVolumeClaim"}),
                "spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither was provided",
            ),
            (
                json!({"type": "Object"}),
                "spec.limits[0].type: Invalid value: \"Object\": must be a standard limit type or fully qualified",
            ),
            (
                json!({"type": "Pod", "min": {"pods": "1"}}),
                "spec.limits[0].min[pods]: Invalid value: \"pods\": must be a standard resource for containers",
            ),
            (
                json!({"type": "Container", "maxLimitRequestRatio": {"cpu": "500m"}}),
                "spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"500m\": ratio 500m is less than 1",
            ),
        ] {
            assert_eq!(errors(item), text);
        }
    }

    #[test]
    fn a_type_stands_once_and_is_never_empty() {
        let range = json!({"spec": {"limits": [{"type": "Pod"}, {"type": "Pod"}]}});
        assert_eq!(
            validate(&range).to_string(),
            "spec.limits[1].type: Duplicate value: \"Pod\""
        );
        assert!(
            errors(json!({})).starts_with(
                "[spec.limits[0].type: Invalid value: \"\": name part must be non-empty"
            )
        );
    }
}
