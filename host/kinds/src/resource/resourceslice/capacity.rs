//! How much of a device's capacity one request may take.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::quantity::Quantity;
use k3s_meta::tree;
use serde_json::Value;

use crate::quantity;

const MAX_OPTIONS: usize = 10;

/// The capacity of a device that is `shared` among claims, or is not.
pub(super) fn validate(errors: &mut ErrorList, capacity: &Value, shared: bool, path: &Path) {
    let Some(policy) = tree::get(capacity, "requestPolicy") else {
        return;
    };
    let path = path.child("requestPolicy");
    if !shared {
        let detail = "allowMultipleAllocations must be true";
        errors.push(field::forbidden(&path, detail));
        return;
    }
    let whole = amount(capacity, "value").unwrap_or(Quantity::ZERO);
    let default = amount(policy, "default");
    let (listed, range) = (
        tree::has(policy, "validValues"),
        tree::get(policy, "validRange"),
    );
    match (listed, range, default) {
        (true, Some(_), _) => {
            let detail = "exactly one policy can be specified, cannot specify \"validValues\" and \"validRange\" at the same time";
            errors.push(field::forbidden(&path, detail));
        }
        (true, None, None) => {
            let detail = "required when validValues is defined";
            errors.push(field::required(&path.child("default"), detail));
        }
        (false, Some(_), None) => {
            let detail = "required when validRange is defined";
            errors.push(field::required(&path.child("default"), detail));
        }
        (true, None, Some(default)) => options(errors, policy, default, whole, &path),
        (false, Some(range), Some(default)) => {
            self::range(errors, range, default, whole, &path.child("validRange"));
        }
        (false, None, _) => {}
    }
}

fn amount(holder: &Value, name: &str) -> Option<Quantity> {
    tree::get(holder, name).and_then(quantity::read)
}

fn options(
    errors: &mut ErrorList,
    policy: &Value,
    default: Quantity,
    whole: Quantity,
    path: &Path,
) {
    let path = path.child("validValues");
    let options: Vec<Quantity> = tree::list(policy, "validValues")
        .iter()
        .map(|value| quantity::read(value).unwrap_or(Quantity::ZERO))
        .collect();
    for (index, pair) in options.windows(2).enumerate() {
        if let [first, second] = pair
            && first.nano() > second.nano()
        {
            let at = path.index(index.saturating_add(1));
            let detail = "values must be sorted in ascending order";
            errors.push(field::invalid(&at, second.to_string(), detail));
        }
    }
    if options.len() > MAX_OPTIONS {
        errors.push(field::too_many(&path, options.len(), MAX_OPTIONS));
    } else {
        for (index, option) in options.iter().enumerate() {
            if option.nano() > whole.nano() {
                let detail = format!("option is larger than capacity value: {whole}");
                errors.push(field::invalid(
                    &path.index(index),
                    option.to_string(),
                    detail,
                ));
            }
        }
        for (index, option) in options.iter().enumerate() {
            let mut earlier = options.iter().take(index);
            if earlier.any(|other| other.value() == option.value()) {
                let value = option.value().to_string();
                errors.push(field::duplicate(&path.index(index), value));
            }
        }
    }
    let found = options.iter().take(MAX_OPTIONS);
    let is_option = found
        .into_iter()
        .any(|option| option.nano() == default.nano());
    if !is_option || options.len() > MAX_OPTIONS {
        let detail = "default value is not valid according to the requestPolicy";
        errors.push(field::invalid(&path, default.to_string(), detail));
    }
}

fn range(errors: &mut ErrorList, range: &Value, default: Quantity, whole: Quantity, path: &Path) {
    let Some(min) = amount(range, "min") else {
        let detail = "required when validRange is defined";
        errors.push(field::required(&path.child("min"), detail));
        return;
    };
    let mut refuse = |refused: bool, name: &str, value: Quantity, detail: String| {
        if refused {
            errors.push(field::invalid(&path.child(name), value.to_string(), detail));
        }
    };
    let is_above = |left: Quantity, right: Quantity| left.nano() > right.nano();
    let above = format!("min is larger than capacity value: {whole}");
    refuse(is_above(min, whole), "min", min, above);
    let below = format!("default is less than min: {min}");
    refuse(is_above(min, default), "min", default, below);
    let max = amount(range, "max");
    if let Some(max) = max {
        let detail = format!("min is larger than max: {max}");
        refuse(is_above(min, max), "max", min, detail);
        let detail = format!("max is larger than capacity value: {whole}");
        refuse(is_above(max, whole), "max", max, detail);
        let detail = format!("default is more than max: {max}");
        refuse(is_above(default, max), "max", default, detail);
    }
    if let Some(step) = amount(range, "step") {
        let values = [Some(default), max];
        self::step(errors, step, (min, whole), values, &path.child("step"));
    }
}

/// What is allowed lies whole steps above the smallest amount.
fn step(
    errors: &mut ErrorList,
    step: Quantity,
    (min, whole): (Quantity, Quantity),
    values: [Option<Quantity>; 2],
    path: &Path,
) {
    if min.nano().saturating_add(step.nano()) > whole.nano() {
        let next = min.value().saturating_add(step.value());
        let next = Quantity::from_value(next, min.format());
        let detail = format!("one step {next} is larger than capacity value: {whole}");
        errors.push(field::invalid(path, step.to_string(), detail));
    }
    for value in values.into_iter().flatten() {
        let above = value.value().saturating_sub(min.value());
        if above.checked_rem(step.value()).unwrap_or(0) != 0 {
            let detail = format!("value is not a multiple of a given step ({step}) from ({min})");
            errors.push(field::invalid(path, value.to_string(), detail));
        }
    }
}
