//! Names that the objects of a definition are known by, wished or accepted.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

/// Names that must be there.
pub(super) fn required(errors: &mut ErrorList, found: &Value, path: &Path) {
    for name in ["plural", "singular", "kind", "listKind"] {
        if tree::text(found, name).is_empty() {
            errors.push(field::required(&path.child(name), ""));
        }
    }
}

/// The form of the names that are there (`ValidateCustomResourceDefinitionNames`).
pub(super) fn form(errors: &mut ErrorList, found: &Value, path: &Path) {
    for name in ["plural", "singular"] {
        let text = tree::text(found, name);
        if !text.is_empty() {
            label(errors, text, text, "", &path.child(name));
        }
    }
    for name in ["kind", "listKind"] {
        let text = tree::text(found, name);
        if !text.is_empty() {
            let intro = "may have mixed case, but should otherwise match: ";
            label(errors, text, &text.to_lowercase(), intro, &path.child(name));
        }
    }
    list(errors, found, "shortNames", path);
    let [kind, of_list] = ["kind", "listKind"].map(|name| tree::text(found, name));
    if !kind.is_empty() && kind == of_list {
        let detail = "kind and listKind may not be the same";
        errors.push(field::invalid(&path.child("listKind"), of_list, detail));
    }
    list(errors, found, "categories", path);
}

fn list(errors: &mut ErrorList, found: &Value, name: &str, path: &Path) {
    for (index, text) in tree::texts(found, name).into_iter().enumerate() {
        label(errors, text, text, "", &path.child(name).index(index));
    }
}

/// One error for all that is wrong with `checked`, which stands for `shown`.
pub(super) fn label(errors: &mut ErrorList, shown: &str, checked: &str, intro: &str, path: &Path) {
    let violations = names::is_dns1035_label(checked).err();
    let texts: Vec<String> = violations.into_iter().flatten().collect();
    if !texts.is_empty() {
        let detail = format!("{intro}{}", texts.join(","));
        errors.push(field::invalid(path, shown, detail));
    }
}
