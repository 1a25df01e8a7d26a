//! What classes of volumes have in common: who provides them, and with which parameters.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::Check;

const MAX_PARAMETERS: usize = 512;
const MAX_PARAMETERS_BYTES: usize = 256 * 1024;

/// The provider in the field `name`.
pub(super) fn provisioner(errors: &mut ErrorList, class: &Value, name: &str) {
    let path = Path::new(name);
    let provider = tree::text(class, name).to_lowercase();
    if provider.is_empty() {
        errors.push(field::required(&path, ""));
    } else {
        let outcome = names::is_qualified_name(&provider);
        errors.check(&path, provider.as_str(), outcome);
    }
}

/// `parameters`, which may be missing.
pub(super) fn parameters(errors: &mut ErrorList, class: &Value) {
    let path = Path::new("parameters");
    let parameters = tree::map(class, "parameters");
    if parameters.len() > MAX_PARAMETERS {
        errors.push(field::too_long(&path, MAX_PARAMETERS));
        return;
    }
    if parameters.contains_key("") {
        errors.push(field::invalid(&path, "", "field can not be empty."));
    }
    let bytes: usize = parameters
        .iter()
        .map(|(key, value)| key.len() + value.as_str().unwrap_or_default().len())
        .sum();
    if bytes > MAX_PARAMETERS_BYTES {
        errors.push(field::too_long(&path, MAX_PARAMETERS_BYTES));
    }
}
