//! Validation of CSI drivers.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use crate::checks::{self, Unique};

const MAX_NAME_BYTES: usize = 63;
/// Shortest life of a token that a driver may ask for, ten minutes.
const MIN_TOKEN_SECONDS: i64 = 600;

pub(super) fn validate(driver: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("spec");
    let spec = tree::get(driver, "spec").unwrap_or(&Value::Null);
    if tree::text(driver, "metadata.name").len() > MAX_NAME_BYTES {
        errors.push(field::too_long(&Path::new("metadata.name"), MAX_NAME_BYTES));
    }
    for name in ["attachRequired", "podInfoOnMount", "storageCapacity"] {
        if tree::get(spec, name).is_none() {
            errors.push(field::required(&path.child(name), ""));
        }
    }
    let policies = ["File", "None", "ReadWriteOnceWithFSType"];
    checks::required_one_of(&mut errors, spec, "fsGroupPolicy", &path, &policies);
    for mode in tree::texts(spec, "volumeLifecycleModes") {
        if !matches!(mode, "Persistent" | "Ephemeral") {
            let at = path.child("volumeLifecycleModes");
            errors.push(field::not_supported(
                &at,
                mode,
                &["Ephemeral", "Persistent"],
            ));
        }
    }
    tokens(&mut errors, spec, &path.child("tokenRequests"));
    errors
}

fn tokens(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let mut seen = Unique::new();
    for (index, request) in tree::list(spec, "tokenRequests").iter().enumerate() {
        let at = path.index(index);
        seen.insert(
            errors,
            tree::text(request, "audience"),
            &at.child("audience"),
        );
        if let Some(seconds) =
            tree::int(request, "expirationSeconds").filter(|seconds| *seconds < MIN_TOKEN_SECONDS)
        {
            let detail = "may not specify a duration less than 10 minutes";
            errors.push(field::invalid(
                &at.child("expirationSeconds"),
                seconds,
                detail,
            ));
        }
    }
}

pub(super) fn validate_update(new: &Value, old: &Value) -> ErrorList {
    let mut errors = validate(new);
    for name in ["attachRequired", "volumeLifecycleModes"] {
        checks::immutable(&mut errors, new, old, &format!("spec.{name}"));
    }
    errors
}

pub(super) fn warnings(driver: &Value) -> Vec<String> {
    let asks = tree::has(driver, "spec.tokenRequests");
    if !asks || tree::get(driver, "spec.serviceAccountTokenInSecrets").is_some() {
        return Vec::new();
    }
    vec![
        "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible logging of tokens in volume attributes"
            .to_owned(),
    ]
}
