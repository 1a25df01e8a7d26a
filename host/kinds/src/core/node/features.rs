//! Names of the features that a kubelet declares in its node's status.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{quote::quote, tree};
use serde_json::Value;

/// Bytes that a name may have.
const LONGEST: usize = 253;

/// Validates the list, which is sorted and has nothing twice (`validateNodeDeclaredFeatures`).
pub(super) fn validate(errors: &mut ErrorList, node: &Value) {
    let path = Path::new("status.declaredFeatures");
    let features = tree::texts(node, "status.declaredFeatures");
    let nexts = features.iter().skip(1).map(Some).chain([None]);
    for (index, (feature, next)) in features.iter().zip(nexts).enumerate() {
        name(errors, feature, &path.index(index));
        let at = path.index(index + 1);
        match next {
            Some(next) if next == feature => errors.push(field::duplicate(&at, *next)),
            Some(next) if next < feature => {
                let detail = "list must be sorted alphabetically";
                errors.push(field::invalid(&at, *next, detail));
            }
            _ => {}
        }
    }
}

fn name(errors: &mut ErrorList, name: &str, path: &Path) {
    let fault = if name.len() > LONGEST {
        format!("must be no more than {LONGEST} characters")
    } else if !is_name(name) {
        "must start with an UpperCamelCase segment, with subsequent segments separated by '/' \
         (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes"
            .to_owned()
    } else {
        return;
    };
    let detail = format!("invalid feature name {}: {fault}", quote(name));
    errors.push(field::invalid(path, name, detail));
}

/// Segments of letters and digits, each with a letter first, the first one with an upper-case letter.
fn is_name(name: &str) -> bool {
    let starts_upper = name
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_uppercase());
    starts_upper
        && name.split('/').all(|segment| {
            let starts = segment
                .bytes()
                .next()
                .is_some_and(|byte| byte.is_ascii_alphabetic());
            starts && segment.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}
