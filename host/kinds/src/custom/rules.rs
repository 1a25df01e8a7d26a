//! Behaviour of one version of a custom resource, as its definition says.
//! Upstream: `apiextensions-apiserver/pkg/registry/customresource/strategy.go`.

use jiff::Timestamp;
use k3s_api::define::{TooMany, keep_text};
use k3s_meta::field::{ErrorList, Path};
use k3s_meta::tree;
use serde_json::Value;

use super::columns::{self, PrinterColumn};
use super::jsonpath::JsonPath;
use super::scale::ScalePaths;
use super::schema::Schema;
use super::{default, prune, validate};
use crate::rules::{Generation, KindRules};

/// Rules of one version of a custom resource.
#[derive(Debug)]
pub struct CustomRules {
    schema: Schema,
    status: bool,
    scale: Option<ScalePaths>,
    columns: Vec<PrinterColumn>,
    selectable: Vec<(&'static str, JsonPath)>,
}

impl CustomRules {
    /// Reads one entry of a definition's `spec.versions`.
    ///
    /// # Errors
    /// When the process has kept too many names of selectable fields.
    pub fn read(version: &Value) -> Result<Self, TooMany> {
        let schema =
            Schema::read(tree::get(version, "schema.openAPIV3Schema").unwrap_or(&Value::Null));
        let mut selectable = Vec::new();
        for field in tree::list(version, "selectableFields") {
            let text = tree::text(field, "jsonPath");
            if let Ok(path) = JsonPath::parse(text) {
                selectable.push((keep_text(text.trim_start_matches('.'))?, path));
            }
        }
        Ok(Self {
            schema,
            status: tree::get(version, "subresources.status").is_some(),
            scale: ScalePaths::read(version),
            columns: PrinterColumn::read_all(version),
            selectable,
        })
    }

    fn check(&self, new: &Value, old: Option<&Value>) -> ErrorList {
        let root = Path::root();
        let mut errors = validate::validate(&self.schema, new, old);
        errors.append(validate::embedded(&self.schema, new, &root));
        let repeated = validate::distinct(&self.schema, new, &root);
        // What was stored with repetitions may keep them.
        if !repeated.is_empty()
            && old.is_none_or(|old| validate::distinct(&self.schema, old, &root).is_empty())
        {
            errors.append(repeated);
        }
        if let Some(scale) = &self.scale {
            errors.append(scale.validate(new));
        }
        errors
    }
}

impl KindRules for CustomRules {
    fn default(&self, object: &mut Value) {
        default::fill(&self.schema, object);
    }

    fn prune(&self, object: &mut Value) -> Vec<String> {
        prune::prune(&self.schema, object)
    }

    fn has_status(&self) -> bool {
        self.status
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }

    fn prepare_create(&self, object: &mut Value) {
        if self.status {
            tree::remove(object, "status");
        }
    }

    fn prepare_status_update(&self, new: &mut Value, old: &Value) {
        let status = new.get("status").cloned();
        new.clone_from(old);
        tree::remove(new, "status");
        if let Some(status) = status {
            tree::set(new, "status", status);
        }
    }

    fn validate(&self, object: &Value) -> ErrorList {
        self.check(object, None)
    }

    fn validate_update(&self, new: &Value, old: &Value) -> ErrorList {
        self.check(new, Some(old))
    }

    fn validate_status_update(&self, new: &Value, old: &Value) -> ErrorList {
        self.check(new, Some(old))
    }

    fn generation(&self) -> Generation {
        Generation::Body {
            status: !self.status,
        }
    }

    fn fields(&self, object: &Value) -> Vec<(&'static str, String)> {
        let text = |path: &JsonPath| match path.find(object).first() {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        self.selectable
            .iter()
            .map(|(name, path)| (*name, text(path)))
            .collect()
    }

    fn column_definitions(&self) -> Value {
        columns::definitions(&self.columns)
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        columns::cells(&self.columns, object, now)
    }

    fn scale(&self) -> Option<&ScalePaths> {
        self.scale.as_ref()
    }
}
