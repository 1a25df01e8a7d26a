//! Resource claims of a pod, and which of them its containers use.

use std::collections::BTreeSet;

use k3s_meta::field::{self, BadValue, ErrorList, ErrorType, FieldError, Path};
use k3s_meta::{names, tree};
use k3s_objects::pod::MIRROR_ANNOTATION;
use serde_json::Value;

use crate::checks::Check;

/// Validates `resourceClaims` of the spec of a pod with the metadata `meta` (`validatePodResourceClaims`).
pub(super) fn declared(errors: &mut ErrorList, spec: &Value, path: &Path, meta: &Value) {
    let mut seen = BTreeSet::new();
    let is_static = tree::map(meta, "annotations").contains_key(MIRROR_ANNOTATION);
    for (index, claim) in tree::list(spec, "resourceClaims").iter().enumerate() {
        if is_static {
            let detail = "static pods do not support resource claims";
            // Upstream names no field here, which prints as an empty index.
            errors.push(field::forbidden(&Path::new("[]"), detail));
            continue;
        }
        let at = path.index(index);
        let name = tree::text(claim, "name");
        if name.is_empty() {
            errors.push(field::required(&at.child("name"), ""));
        } else if seen.insert(name) {
            errors.check(&at.child("name"), name, names::is_dns1123_label(name));
        } else {
            errors.push(field::duplicate(&at.child("name"), name));
        }
        source(errors, claim, &at);
    }
}

fn source(errors: &mut ErrorList, claim: &Value, path: &Path) {
    let sources = ["resourceClaimName", "resourceClaimTemplateName"];
    let detail = match sources.map(|name| tree::get(claim, name).is_some()) {
        [true, true] => {
            "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
        }
        [false, false] => "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`",
        _ => "",
    };
    if !detail.is_empty() {
        errors.push(field::invalid(path, claim, detail));
    }
    for name in sources {
        if let Some(target) = tree::get(claim, name).and_then(Value::as_str) {
            errors.check(
                &path.child(name),
                target,
                names::is_dns1123_subdomain(target),
            );
        }
    }
}

/// Validates `resources.claims` of a container, at `path`, against those of its pod
/// (`validateResourceClaimNames`).
pub(super) fn used(errors: &mut ErrorList, container: &Value, path: &Path, spec: &Value) {
    let declared: BTreeSet<&str> = tree::list(spec, "resourceClaims")
        .iter()
        .map(|claim| tree::text(claim, "name"))
        .filter(|name| !name.is_empty())
        .collect();
    let mut seen: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (index, claim) in tree::list(container, "resources.claims").iter().enumerate() {
        let at = path.index(index);
        let (name, request) = (tree::text(claim, "name"), tree::text(claim, "request"));
        if name.is_empty() {
            errors.push(field::required(&at, ""));
            continue;
        }
        if seen.contains(&(name, "")) {
            errors.push(field::duplicate(&at, name));
        } else {
            overlap(errors, (name, request), &at, &seen);
            seen.insert((name, request));
        }
        if !declared.contains(name) {
            errors.push(unknown(&at, name, &declared));
        }
    }
}

fn overlap(
    errors: &mut ErrorList,
    (name, request): (&str, &str),
    path: &Path,
    seen: &BTreeSet<(&str, &str)>,
) {
    if !request.is_empty() {
        errors.check(
            &path.child("request"),
            request,
            names::is_dns1123_label(request),
        );
        if seen.contains(&(name, request)) {
            errors.push(field::duplicate(path, format!("{name}/{request}")));
        }
        return;
    }
    for _ in seen.iter().filter(|(other, _)| *other == name) {
        errors.push(field::duplicate(path, name));
    }
}

fn unknown(path: &Path, name: &str, declared: &BTreeSet<&str>) -> FieldError {
    let rest = if declared.is_empty() {
        " which is empty".to_owned()
    } else {
        let all: Vec<&str> = declared.iter().copied().collect();
        format!(": {}", all.join(", "))
    };
    let detail = format!("must be one of the names in pod.spec.resourceClaims{rest}");
    FieldError::new(ErrorType::NotFound, path, BadValue::from(name), detail)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn static_pods_have_no_claims() {
        let spec = json!({"resourceClaims": [{"name": "a", "resourceClaimName": "a"}]});
        for (meta, text) in [
            (json!({}), "[]"),
            (
                json!({"annotations": {MIRROR_ANNOTATION: "x"}}),
                "[]: Forbidden: static pods do not support resource claims",
            ),
        ] {
            let mut errors = ErrorList::new();
            let path = Path::new("spec.resourceClaims");
            declared(&mut errors, &spec, &path, &meta);
            assert_eq!(errors.to_string(), text);
        }
    }
}
