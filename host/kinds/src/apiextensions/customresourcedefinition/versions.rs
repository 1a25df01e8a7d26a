//! Validation of the versions of a definition: schemas, columns and subresources.
//!
//! What all versions have in common stands beside them in upstream's internal form, and messages place it there:
//! `spec.validation`, `spec.subresources`, `spec.additionalPrinterColumns`, `spec.selectableFields`.

use std::collections::{HashMap, HashSet};

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use super::names;
use crate::checks;
use crate::custom::jsonpath::JsonPath;
use crate::custom::structural;
use crate::equality::semantic_eq;

const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const COLUMN_FORMATS: [&str; 8] = [
    "byte",
    "date",
    "date-time",
    "double",
    "float",
    "int32",
    "int64",
    "password",
];
/// Selectable fields of one version; each is looked up in every object of a filtered list.
const MAX_SELECTABLE: usize = 8;
const MAX_WARNING_BYTES: usize = 256;
const SCHEMA: &str = "schema.openAPIV3Schema";
const SUBRESOURCES: &str = "subresources";
const COLUMNS: &str = "additionalPrinterColumns";
const SELECTABLE: &str = "selectableFields";
/// What the root of a schema may have beside a status that is a subresource.
const AT_ROOT: [&str; 22] = [
    "description",
    "type",
    "format",
    "title",
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "maxLength",
    "minLength",
    "pattern",
    "maxItems",
    "minItems",
    "uniqueItems",
    "multipleOf",
    "required",
    "items",
    "properties",
    "externalDocs",
    "example",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-validations",
];
/// The same as upstream names them.
const AT_ROOT_SHOWN: &str = "[Description Type Format Title Maximum ExclusiveMaximum Minimum ExclusiveMinimum MaxLength MinLength Pattern MaxItems MinItems UniqueItems MultipleOf Required Items Properties ExternalDocs Example XPreserveUnknownFields XValidations]";

/// Whether all versions have the same at `path`.
fn is_shared(definition: &Value, path: &str) -> bool {
    let versions = tree::list(definition, "spec.versions");
    let mut found = versions.iter().map(|version| tree::get(version, path));
    let first = found.next().flatten();
    found.all(|other| semantic_eq(other, first))
}

/// The list of versions, and what is not the same in all of them.
pub(super) fn validate(errors: &mut ErrorList, definition: &Value, old: Option<&Value>) {
    let path = Path::new("spec").child("versions");
    schemas_are_there(errors, definition, old);
    let stored = stored_versions(old);
    let [schemas, subresources, columns, selectable] =
        [SCHEMA, SUBRESOURCES, COLUMNS, SELECTABLE].map(|part| !is_shared(definition, part));
    for (index, version) in tree::list(definition, "spec.versions").iter().enumerate() {
        if errors.is_full() {
            break;
        }
        let at = path.index(index);
        let name = name_of(version);
        names::label(errors, name, name, "", &at.child("name"));
        deprecation(errors, version, &at.child("deprecationWarning"));
        let before = stored.get(name).copied();
        if schemas {
            let status = tree::get(version, "subresources.status").is_some();
            let at = at.child("schema").child("openAPIV3Schema");
            schema(errors, version, before, status, &at);
        }
        if subresources {
            scale(errors, version, &at);
        }
        if columns {
            self::columns(errors, version, &at);
        }
        if selectable {
            self::selectable(errors, version, before, &at);
        }
    }
    as_a_list(errors, definition, &path);
}

fn name_of(version: &Value) -> &str {
    tree::text(version, "name")
}

/// The versions of the stored definition by their names.
fn stored_versions(old: Option<&Value>) -> HashMap<&str, &Value> {
    let versions = old.map(|old| tree::list(old, "spec.versions"));
    let versions = versions.unwrap_or_default().iter();
    versions
        .map(|version| (name_of(version), version))
        .collect()
}

/// Names are unique, and one version is stored.
fn as_a_list(errors: &mut ErrorList, definition: &Value, path: &Path) {
    let versions = tree::list(definition, "spec.versions");
    let value = tree::get(definition, "spec.versions");
    let unique: HashSet<&str> = versions.iter().map(name_of).collect();
    if unique.len() < versions.len() {
        let detail = "must contain unique version names";
        errors.push(field::invalid(path, value, detail));
    }
    let storage = versions.iter().filter(|it| tree::flag(it, "storage"));
    if storage.count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        errors.push(field::invalid(path, value, detail));
    }
    // Upstream keeps the first name beside the list as well.
    let first = versions.first().map(name_of);
    if let Some(first) = first.filter(|first| !first.is_empty()) {
        let at = Path::new("spec").child("version");
        names::label(errors, first, first, "", &at);
    }
}

/// What is the same in all versions.
pub(super) fn shared(errors: &mut ErrorList, definition: &Value, old: Option<&Value>) {
    let path = Path::new("spec");
    let versions = tree::list(definition, "spec.versions");
    let Some(first) = versions.first() else {
        return;
    };
    let before = stored_versions(old).get(name_of(first)).copied();
    let has_schema = is_shared(definition, SCHEMA);
    if has_schema {
        let mut statuses = versions
            .iter()
            .map(|it| tree::get(it, "subresources.status"));
        let status = statuses.any(|status| status.is_some());
        let at = path.child("validation").child("openAPIV3Schema");
        schema(errors, first, before, status, &at);
    }
    if is_shared(definition, SUBRESOURCES) {
        scale(errors, first, &path);
    }
    if is_shared(definition, COLUMNS) {
        columns(errors, first, &path);
    }
    if is_shared(definition, SELECTABLE) {
        if tree::has(first, SELECTABLE) && !has_schema {
            let detail = "may only be set when validations.schema is included";
            errors.push(field::invalid(&path.child(SELECTABLE), "", detail));
        } else {
            selectable(errors, first, before, &path);
        }
    }
}

/// Every version has a schema; where a stored one has none, those that are served.
fn schemas_are_there(errors: &mut ErrorList, definition: &Value, old: Option<&Value>) {
    let has_schema = |version: &Value| tree::get(version, SCHEMA).is_some();
    let stored = old.map(|old| tree::list(old, "spec.versions"));
    let strict = stored.is_none_or(|versions| versions.iter().all(has_schema));
    for (index, version) in tree::list(definition, "spec.versions").iter().enumerate() {
        let detail = match (strict, tree::flag(version, "served")) {
            _ if has_schema(version) => continue,
            (true, _) => "",
            (false, true) => "because otherwise all fields are pruned",
            (false, false) => continue,
        };
        let at = Path::new("spec.versions").index(index).child(SCHEMA);
        errors.push(field::required(&at, detail));
    }
}

/// The schemas of all versions.
pub(super) fn schemas(definition: &Value) -> ErrorList {
    let mut errors = ErrorList::new();
    let shared = is_shared(definition, SCHEMA);
    let versions = tree::list(definition, "spec.versions");
    for (index, version) in versions.iter().enumerate() {
        let Some(schema) = tree::get(version, SCHEMA) else {
            continue;
        };
        if shared {
            return structural::check(schema, &Path::new("spec.validation.openAPIV3Schema"));
        }
        let path = Path::new("spec.versions").index(index).child(SCHEMA);
        errors.append(structural::check(schema, &path));
    }
    errors
}

/// The schema of a version, whose status is a subresource or is not. One that is stored already is not checked
/// twice.
fn schema(
    errors: &mut ErrorList,
    version: &Value,
    before: Option<&Value>,
    status: bool,
    path: &Path,
) {
    let stored = before.and_then(|before| tree::get(before, SCHEMA));
    let schema = tree::get(version, SCHEMA).filter(|schema| stored != Some(*schema));
    let Some(schema) = schema else {
        return;
    };
    if status {
        root(errors, schema, path);
    }
    if tree::flag(schema, "nullable") {
        let detail = "nullable cannot be true at the root";
        errors.push(field::forbidden(&path.child("nullable"), detail));
    }
    errors.append(structural::check(schema, path));
}

fn root(errors: &mut ErrorList, schema: &Value, path: &Path) {
    let Some(map) = schema.as_object() else {
        return;
    };
    let is_wrong = |(key, value): (&String, &Value)| {
        let is_zero = tree::is_empty(value) || *value == Value::Bool(false);
        !is_zero && !AT_ROOT.contains(&key.as_str())
    };
    let kind = tree::text(schema, "type");
    if !kind.is_empty() && kind != "object" {
        let detail = "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
        errors.push(field::invalid(&path.child("type"), kind, detail));
    } else if map.iter().any(is_wrong) {
        let detail = format!(
            "only {AT_ROOT_SHOWN} fields are allowed at the root of the schema if the status subresource is enabled"
        );
        errors.push(field::invalid(path, schema, detail));
    }
}

fn deprecation(errors: &mut ErrorList, version: &Value, path: &Path) {
    let Some(warning) = tree::get(version, "deprecationWarning").and_then(Value::as_str) else {
        return;
    };
    if !tree::flag(version, "deprecated") {
        let detail = "can only be set for deprecated versions";
        errors.push(field::invalid(path, warning, detail));
        return;
    }
    if warning.len() > MAX_WARNING_BYTES {
        let detail = format!("must be <= {MAX_WARNING_BYTES} characters long");
        errors.push(field::invalid(path, warning, detail));
    }
    if warning.is_empty() {
        errors.push(field::invalid(path, warning, "must not be an empty string"));
    }
    let is_blank = |it: char| it.is_whitespace() && it != ' ';
    let mut characters = warning.char_indices();
    if let Some((index, _)) = characters.find(|(_, it)| it.is_control() || is_blank(*it)) {
        let detail = format!(
            "must only contain printable UTF-8 characters; non-printable character found at index {index}"
        );
        errors.push(field::invalid(path, warning, detail));
    }
}

fn columns(errors: &mut ErrorList, version: &Value, path: &Path) {
    for (index, column) in tree::list(version, COLUMNS).iter().enumerate() {
        let at = path.child(COLUMNS).index(index);
        checks::required(errors, column, "name", &at, "");
        let kind = tree::text(column, "type");
        let detail = format!("must be one of {}", COLUMN_TYPES.join(","));
        if kind.is_empty() {
            errors.push(field::required(&at.child("type"), detail));
        } else if !COLUMN_TYPES.contains(&kind) {
            errors.push(field::invalid(&at.child("type"), kind, detail));
        }
        let format = tree::text(column, "format");
        if !format.is_empty() && !COLUMN_FORMATS.contains(&format) {
            let detail = format!("must be one of {}", COLUMN_FORMATS.join(","));
            errors.push(field::invalid(&at.child("format"), format, detail));
        }
        let text = tree::text(column, "jsonPath");
        let at = at.child("JSONPath");
        if text.is_empty() {
            errors.push(field::required(&at, ""));
        } else if !text.starts_with('.') {
            errors.push(field::invalid(&at, text, NO_PATH));
        }
    }
}

const NO_PATH: &str = "must be a simple json path starting with .";

fn scale(errors: &mut ErrorList, version: &Value, path: &Path) {
    let Some(scale) = tree::get(version, "subresources.scale") else {
        return;
    };
    let path = path.child("subresources").child("scale");
    for (name, roots, under, is_required) in [
        ("specReplicasPath", &[".spec."][..], ".spec", true),
        ("statusReplicasPath", &[".status."][..], ".status", true),
        (
            "labelSelectorPath",
            &[".spec.", ".status."][..],
            "either .spec or .status",
            false,
        ),
    ] {
        let (text, at) = (tree::text(scale, name), path.child(name));
        if text.is_empty() {
            if is_required {
                errors.push(field::required(&at, ""));
            }
        } else if !text.starts_with('.') {
            errors.push(field::invalid(&at, text, NO_PATH));
        } else if !roots.iter().any(|root| text.starts_with(root)) {
            let detail = format!("should be a json path under {under}");
            errors.push(field::invalid(&at, text, detail));
        }
    }
}

fn selectable(errors: &mut ErrorList, version: &Value, stored: Option<&Value>, path: &Path) {
    let path = path.child(SELECTABLE);
    let mut seen = HashSet::new();
    for (index, selectable) in tree::list(version, SELECTABLE).iter().enumerate() {
        if errors.is_full() {
            break;
        }
        let at = path.index(index).child("jsonPath");
        let text = tree::text(selectable, "jsonPath");
        match selectable_problem(version, text) {
            Some("") => errors.push(field::required(&at, "")),
            Some(detail) => errors.push(field::invalid(&at, text, detail)),
            None if !seen.insert(text) => errors.push(field::duplicate(&at, text)),
            None => {}
        }
    }
    let kept = stored.is_some_and(|stored| {
        let [new, old] = [version, stored].map(|it| tree::get(it, SELECTABLE));
        semantic_eq(new, old) && tree::list(stored, SELECTABLE).len() > MAX_SELECTABLE
    });
    if seen.len() > MAX_SELECTABLE && !kept {
        errors.push(field::too_many(&path, seen.len(), MAX_SELECTABLE));
    }
}

/// What is wrong with the path of a selectable field; an empty text where it is missing.
fn selectable_problem(version: &Value, text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("");
    }
    let path = JsonPath::parse(text).ok();
    let names = path.as_ref().and_then(JsonPath::fields);
    let Some(names) = names.filter(|_| text.starts_with('.')) else {
        return Some("is an invalid path: must be a simple json path of fields");
    };
    if names.first() == Some(&"metadata") {
        return Some("must not point to fields in metadata");
    }
    let root = tree::get(version, SCHEMA)?;
    let mut steps = names.iter();
    let found = steps.try_fold(root, |schema, name| schema.get("properties")?.get(*name));
    match found.map(|schema| tree::text(schema, "type")) {
        None => Some("is an invalid path: does not refer to a valid field"),
        Some("string" | "integer" | "boolean") => None,
        Some(_) => Some(
            "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.",
        ),
    }
}
