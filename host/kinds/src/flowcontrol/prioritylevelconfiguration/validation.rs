//! Validation of priority level configurations.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::checks;

pub(super) fn validate(level: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(level, "spec").unwrap_or(&Value::Null);
    checks::required_one_of(&mut errors, spec, "type", &path, &["Exempt", "Limited"]);
    match (
        tree::text(spec, "type"),
        tree::get(spec, "limited"),
        tree::get(spec, "exempt"),
    ) {
        ("Limited", _, Some(_)) => {
            errors.push(field::forbidden(
                &path.child("exempt"),
                "must be nil if the type is Limited",
            ));
        }
        ("Limited", None, None) => {
            errors.push(field::required(
                &path.child("limited"),
                "must not be empty when type is Limited",
            ));
        }
        ("Limited", Some(limited), None) => {
            self::limited(&mut errors, limited, &path.child("limited"))
        }
        ("Exempt", Some(_), _) => {
            let detail = "must be nil if the type is not Limited";
            errors.push(field::forbidden(&path.child("limited"), detail));
        }
        _ => {}
    }
    errors
}

fn limited(errors: &mut ErrorList, limited: &Value, path: &Path) {
    checks::not_negative(errors, limited, "nominalConcurrencyShares", path);
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
        ("Queue", Some(queuing)) => {
            for name in ["queues", "handSize", "queueLengthLimit"] {
                let number = tree::int(queuing, name).unwrap_or(0);
                if number <= 0 {
                    errors.push(field::invalid(
                        &at.child("queuing").child(name),
                        number,
                        "must be positive",
                    ));
                }
            }
            let [hand, queues] =
                ["handSize", "queues"].map(|name| tree::int(queuing, name).unwrap_or(0));
            if hand > queues {
                let detail = format!("should not be greater than queues ({queues})");
                errors.push(field::invalid(&at.child("queuing.handSize"), hand, detail));
            }
        }
        _ => {}
    }
}
