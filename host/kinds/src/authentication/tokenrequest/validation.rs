//! Validation of token requests.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

pub(super) fn validate(request: &Value) -> ErrorList {
    let path = Path::new("spec.expirationSeconds");
    let seconds = tree::int(request, "spec.expirationSeconds").unwrap_or(0);
    if seconds < 600 {
        return field::invalid(
            &path,
            seconds,
            "may not specify a duration less than 10 minutes",
        )
        .into();
    }
    if seconds > 1 << 32 {
        return field::invalid(
            &path,
            seconds,
            "may not specify a duration larger than 2^32 seconds",
        )
        .into();
    }
    ErrorList::new()
}
