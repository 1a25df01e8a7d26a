//! Validation of the versions of a definition: schemas, columns and subresources.

use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{names, tree};
use serde_json::Value;

use crate::checks::{self, Check, Unique};
use crate::custom::jsonpath::JsonPath;
use crate::custom::structural;

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

/// The list of versions.
pub(super) fn versions(errors: &mut ErrorList, spec: &Value, path: &Path) {
    let versions = tree::list(spec, "versions");
    let mut seen = Unique::new();
    for (index, version) in versions.iter().enumerate() {
        let at = path.index(index);
        let name = tree::text(version, "name");
        errors.check(&at.child("name"), name, names::is_dns1035_label(name));
        seen.insert(errors, name, &at.child("name"));
        if tree::get(version, "schema.openAPIV3Schema").is_none() {
            errors.push(field::required(
                &at.child("schema.openAPIV3Schema"),
                "schemas are required",
            ));
        }
        if tree::has(version, "deprecationWarning") && !tree::flag(version, "deprecated") {
            let warning = tree::get(version, "deprecationWarning");
            let detail = "can only be set for deprecated versions";
            errors.push(field::invalid(
                &at.child("deprecationWarning"),
                warning,
                detail,
            ));
        }
        columns(errors, version, &at.child("additionalPrinterColumns"));
        scale(errors, version, &at.child("subresources").child("scale"));
        selectable(errors, version, &at.child("selectableFields"));
    }
    if versions
        .iter()
        .filter(|version| tree::flag(version, "storage"))
        .count()
        != 1
    {
        let detail = "must have exactly one version marked as storage version";
        errors.push(field::invalid(path, tree::get(spec, "versions"), detail));
    }
}

/// The schemas of all versions that are not what they were. Versions with one schema share it in
/// upstream's internal form, which is where its messages place the errors.
pub(super) fn schemas(definition: &Value, old: Option<&Value>) -> ErrorList {
    const SCHEMA: &str = "schema.openAPIV3Schema";
    let versions = tree::list(definition, "spec.versions");
    let before = old
        .map(|old| tree::list(old, "spec.versions"))
        .unwrap_or_default();
    let known = |schema: &Value| {
        before
            .iter()
            .any(|version| tree::get(version, SCHEMA) == Some(schema))
    };
    let first = versions
        .first()
        .and_then(|version| tree::get(version, SCHEMA));
    let shared = versions
        .iter()
        .all(|version| tree::get(version, SCHEMA) == first);
    let mut errors = ErrorList::new();
    for (index, version) in versions.iter().enumerate() {
        let Some(schema) = tree::get(version, SCHEMA).filter(|schema| !known(schema)) else {
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

fn columns(errors: &mut ErrorList, version: &Value, path: &Path) {
    for (index, column) in tree::list(version, "additionalPrinterColumns")
        .iter()
        .enumerate()
    {
        let at = path.index(index);
        checks::required(errors, column, "name", &at, "");
        checks::required_one_of(errors, column, "type", &at, &COLUMN_TYPES);
        checks::one_of(errors, column, "format", &at, &COLUMN_FORMATS);
        if checks::required(errors, column, "jsonPath", &at, "") {
            let text = tree::text(column, "jsonPath");
            if let Err(why) = JsonPath::parse(text) {
                errors.push(field::invalid(&at.child("jsonPath"), text, why));
            }
        }
    }
}

fn scale(errors: &mut ErrorList, version: &Value, path: &Path) {
    let Some(scale) = tree::get(version, "subresources.scale") else {
        return;
    };
    let mut one = |name: &str, roots: &[&str], required: bool| {
        let text = tree::text(scale, name);
        let at = path.child(name);
        if text.is_empty() {
            if required {
                errors.push(field::required(&at, ""));
            }
        } else if !plain_fields(text) {
            errors.push(field::invalid(
                &at,
                text,
                "should be a json path without array notation",
            ));
        } else if !roots.iter().any(|root| text.starts_with(root)) {
            let detail = format!("should be a json path under {}", roots.join(" or "));
            errors.push(field::invalid(&at, text, detail));
        }
    };
    one("specReplicasPath", &[".spec."], true);
    one("statusReplicasPath", &[".status."], true);
    one("labelSelectorPath", &[".spec.", ".status."], false);
}

fn plain_fields(path: &str) -> bool {
    path.starts_with('.') && JsonPath::parse(path).is_ok_and(|path| path.fields().is_some())
}

fn selectable(errors: &mut ErrorList, version: &Value, path: &Path) {
    let fields = tree::list(version, "selectableFields");
    if fields.len() > MAX_SELECTABLE {
        errors.push(field::too_many(path, fields.len(), MAX_SELECTABLE));
    }
    let mut seen = Unique::new();
    for (index, selectable) in fields.iter().enumerate() {
        let at = path.index(index).child("jsonPath");
        let text = tree::text(selectable, "jsonPath");
        let known = schema_of(version, text);
        if text.is_empty() {
            errors.push(field::required(&at, ""));
        } else if !plain_fields(text) {
            errors.push(field::invalid(
                &at,
                text,
                "is an invalid path: must be a simple json path of fields",
            ));
        } else if text.starts_with(".metadata.") {
            errors.push(field::invalid(
                &at,
                text,
                "must not point to fields in metadata",
            ));
        } else if known.is_none() {
            errors.push(field::invalid(
                &at,
                text,
                "is an invalid path: does not refer to a valid field",
            ));
        } else if !known.is_some_and(|schema| {
            matches!(tree::text(schema, "type"), "string" | "integer" | "boolean")
        }) {
            let detail = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.";
            errors.push(field::invalid(&at, text, detail));
        }
        seen.insert(errors, text, &at);
    }
}

/// The schema of the field that a path of plain fields names.
fn schema_of<'v>(version: &'v Value, path: &str) -> Option<&'v Value> {
    let path = JsonPath::parse(path).ok()?;
    let root = tree::get(version, "schema.openAPIV3Schema")?;
    path.fields()?
        .into_iter()
        .try_fold(root, |schema, name| schema.get("properties")?.get(name))
}
