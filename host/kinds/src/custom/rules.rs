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
use crate::generation::Generation;
use crate::rules::Rules;

/// Rules of one version of a custom resource.
#[derive(Debug)]
pub struct CustomRules {
    rules: Rules,
    schema: Schema,
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
        let status = tree::get(version, "subresources.status").is_some();
        let rules = Rules {
            status,
            unconditional_update: false,
            generation: Generation::Body { status: !status },
            ..Rules::PLAIN
        };
        Ok(Self {
            rules,
            schema,
            scale: ScalePaths::read(version),
            columns: PrinterColumn::read_all(version),
            selectable,
        })
    }

    /// The part of the behaviour that is data.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Fills in the defaults of the schema.
    pub(crate) fn default(&self, object: &mut Value) {
        default::fill(&self.schema, object);
    }

    /// Removes fields that the schema does not have and names them.
    pub(crate) fn prune(&self, object: &mut Value) -> Vec<String> {
        prune::prune(&self.schema, object)
    }

    /// Errors of a new object, or of the step from an old one.
    pub(crate) fn validate(&self, new: &Value, old: Option<&Value>) -> ErrorList {
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

    /// Selectable fields and their values.
    pub(crate) fn fields(&self, object: &Value) -> Vec<(&'static str, String)> {
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

    /// Printer columns as a list of `metav1.TableColumnDefinition`.
    pub(crate) fn column_definitions(&self) -> Value {
        columns::definitions(&self.columns)
    }

    /// One cell per printer column.
    pub(crate) fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        columns::cells(&self.columns, object, now)
    }

    /// Where the `scale` subresource finds its numbers.
    pub(crate) fn scale(&self) -> Option<&ScalePaths> {
        self.scale.as_ref()
    }
}
