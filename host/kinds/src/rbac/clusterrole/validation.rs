//! Validation of cluster roles.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::checks;
use crate::rbac::policy_rule;

pub(super) fn validate(role: &Value) -> ErrorList {
    let mut errors = policy_rule::validate(role, false);
    let Some(aggregation) = tree::get(role, "aggregationRule") else {
        return errors;
    };
    let path = Path::new("aggregationRule.clusterRoleSelectors");
    let selectors = tree::list(aggregation, "clusterRoleSelectors");
    if selectors.is_empty() {
        let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
        errors.push(field::required(&path, detail));
    }
    for (index, selector) in selectors.iter().enumerate() {
        let at = path.index(index);
        errors.append(checks::label_selector(selector, &at));
        if checks::read_selector(Some(selector)).is_none() {
            let detail = "invalid label selector.";
            errors.push(field::invalid(&at, &Value::Null, detail));
        }
    }
    errors
}
