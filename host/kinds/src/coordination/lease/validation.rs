//! Validation of leases.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::Check;

const STRATEGIES: [&str; 1] = ["OldestEmulationVersion"];

pub(super) fn validate(lease: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    if let Some(seconds) =
        tree::int(lease, "spec.leaseDurationSeconds").filter(|seconds| *seconds <= 0)
    {
        errors.push(field::invalid(
            &path.child("leaseDurationSeconds"),
            seconds,
            "must be greater than 0",
        ));
    }
    if let Some(count) = tree::int(lease, "spec.leaseTransitions").filter(|count| *count < 0) {
        errors.push(field::invalid(
            &path.child("leaseTransitions"),
            count,
            crate::object_meta::NOT_NEGATIVE,
        ));
    }
    let strategy = tree::get(lease, "spec.strategy").and_then(Value::as_str);
    if let Some(strategy) = strategy {
        // Upstream appends the field's name twice.
        self::strategy(&mut errors, strategy, &path.child("strategy.strategy"));
    }
    let holder = tree::text(lease, "spec.preferredHolder");
    if !holder.is_empty() && strategy.unwrap_or_default().is_empty() {
        let detail = "may only be specified if `strategy` is defined";
        errors.push(field::forbidden(&path.child("preferredHolder"), detail));
    }
    errors
}

/// One of Kubernetes' own, or a qualified name of another.
fn strategy(errors: &mut ErrorList, strategy: &str, path: &Path) {
    if strategy.contains('/') {
        errors.check(path, strategy, names::is_qualified_name(strategy));
    } else if !STRATEGIES.contains(&strategy) {
        errors.push(field::not_supported(path, strategy, &STRATEGIES));
    }
}
