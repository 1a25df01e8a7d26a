//! Validation of priority level configurations.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::{Value, json};

use crate::checks;
use crate::equality::semantic_eq;

/// The level that limits nothing; no other one may be of its type.
const EXEMPT: &str = "exempt";
const CATCH_ALL: &str = "catch-all";
const MAX_QUEUES: i64 = 10_000_000;
/// Bits of the hash that deals queues to a flow.
const MAX_HASH_BITS: f64 = 60.0;
/// Of an older version, where zero had to be kept by other means.
const PRESERVE_ZERO: &str = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares";

pub(super) fn validate(level: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(level, "spec").unwrap_or(&Value::Null);
    let name = tree::text(level, "metadata.name");
    if tree::map(level, "metadata.annotations").contains_key(PRESERVE_ZERO) {
        let detail = format!("annotation '{PRESERVE_ZERO}' is forbidden");
        let at = Path::new("metadata").child("annotations");
        errors.push(field::forbidden(&at, detail));
    }
    let kind = tree::text(spec, "type");
    if (name == EXEMPT) != (kind == "Exempt") {
        let detail = "must be 'Exempt' if and only if `name` is 'exempt'";
        errors.push(field::invalid(&path.child("type"), kind, detail));
    }
    let (limited, exempt) = (tree::get(spec, "limited"), tree::get(spec, "exempt"));
    let at = path.child("limited");
    match kind {
        "Exempt" => {
            if limited.is_some() {
                let detail = "must be nil if the type is not Limited";
                errors.push(field::forbidden(&at, detail));
            }
            if let Some(exempt) = exempt {
                shares(&mut errors, exempt, &path.child("exempt"));
                lendable(&mut errors, exempt, &path.child("exempt"));
            }
        }
        "Limited" => {
            if exempt.is_some() {
                let detail = "must be nil if the type is Limited";
                errors.push(field::forbidden(&path.child("exempt"), detail));
            }
            match limited {
                None => {
                    let detail = "must not be empty when type is Limited";
                    errors.push(field::required(&at, detail));
                }
                Some(limited) => self::limited(&mut errors, limited, &at),
            }
        }
        _ => {
            let kinds = ["Exempt", "Limited"];
            checks::required_one_of(&mut errors, spec, "type", &path, &kinds);
        }
    }
    fixed(&mut errors, spec, name, &path);
    errors
}

/// Levels whose spec is what it is in every cluster (`apis/flowcontrol/bootstrap`).
fn fixed(errors: &mut ErrorList, spec: &Value, name: &str, path: &Path) {
    let (same, what) = match name {
        EXEMPT => {
            let mut rest = spec.clone();
            tree::remove(&mut rest, "exempt");
            let fixed = json!({"type": "Exempt"});
            (
                semantic_eq(Some(&rest), Some(&fixed)),
                " except the 'spec.exempt' field",
            )
        }
        CATCH_ALL => {
            let fixed = json!({"type": "Limited", "limited": {"nominalConcurrencyShares": 5,
                "lendablePercent": 0, "limitResponse": {"type": "Reject"}}});
            (semantic_eq(Some(spec), Some(&fixed)), "")
        }
        _ => return,
    };
    if !same {
        let detail = format!("spec of '{name}'{what} must equal the fixed value");
        errors.push(field::invalid(path, spec, detail));
    }
}

fn shares(errors: &mut ErrorList, holder: &Value, path: &Path) {
    let shares = tree::int(holder, "nominalConcurrencyShares");
    if let Some(shares) = shares.filter(|shares| *shares < 0) {
        let at = path.child("nominalConcurrencyShares");
        let detail = "must be a non-negative integer";
        errors.push(field::invalid(&at, shares, detail));
    }
}

fn lendable(errors: &mut ErrorList, holder: &Value, path: &Path) {
    let percent = tree::int(holder, "lendablePercent");
    if let Some(percent) = percent.filter(|percent| !(0..=100).contains(percent)) {
        let detail = "must be between 0 and 100, inclusive";
        let at = path.child("lendablePercent");
        errors.push(field::invalid(&at, percent, detail));
    }
}

fn limited(errors: &mut ErrorList, limited: &Value, path: &Path) {
    shares(errors, limited, path);
    let response = tree::get(limited, "limitResponse").unwrap_or(&Value::Null);
    let at = path.child("limitResponse");
    checks::required_one_of(errors, response, "type", &at, &["Queue", "Reject"]);
    match (tree::text(response, "type"), tree::get(response, "queuing")) {
        ("Reject", Some(_)) => {
            let detail = "must be nil if limited.limitResponse.type is not Limited";
            errors.push(field::forbidden(&at.child("queuing"), detail));
        }
        ("Queue", None) => {
            let detail = "must not be empty if limited.limitResponse.type is Limited";
            errors.push(field::required(&at.child("queuing"), detail));
        }
        ("Queue", Some(queuing)) => self::queuing(errors, queuing, &at.child("queuing")),
        _ => {}
    }
    lendable(errors, limited, path);
    let borrowing = tree::int(limited, "borrowingLimitPercent");
    if let Some(percent) = borrowing.filter(|percent| *percent < 0) {
        let detail = "if specified, must be a non-negative integer";
        let at = path.child("borrowingLimitPercent");
        errors.push(field::invalid(&at, percent, detail));
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "both numbers are bounded before their entropy is computed"
)]
fn queuing(errors: &mut ErrorList, queuing: &Value, path: &Path) {
    let [length, queues, hand] = ["queueLengthLimit", "queues", "handSize"]
        .map(|name| tree::int(queuing, name).unwrap_or(0));
    let mut refuse = |name: &str, number: i64, detail: String| {
        errors.push(field::invalid(&path.child(name), number, detail));
    };
    if length <= 0 {
        refuse("queueLengthLimit", length, "must be positive".to_owned());
    }
    if queues <= 0 {
        refuse("queues", queues, "must be positive".to_owned());
    } else if queues > MAX_QUEUES {
        let detail = format!("must not be greater than {MAX_QUEUES}");
        refuse("queues", queues, detail);
    }
    if hand <= 0 {
        refuse("handSize", hand, "must be positive".to_owned());
    } else if hand > queues {
        let detail = format!("should not be greater than queues ({queues})");
        refuse("handSize", hand, detail);
    } else if ((queues as f64).log2() * hand as f64).ceil() > MAX_HASH_BITS {
        let detail = format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {MAX_HASH_BITS}"
        );
        refuse("handSize", hand, detail);
    }
}
