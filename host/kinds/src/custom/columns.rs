//! `additionalPrinterColumns`.
//! Upstream: `apiextensions-apiserver/pkg/registry/customresource/tableconvertor`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::{Value, json};

use super::jsonpath::JsonPath;
use crate::column::Column;
use crate::print;

/// The path of the age column that definitions without columns get.
const CREATED: &str = ".metadata.creationTimestamp";

/// One column beyond the name.
#[derive(Debug)]
pub(super) struct PrinterColumn {
    definition: Value,
    kind: ColumnKind,
    /// `None` for a path that cannot be read; its cells stay empty.
    path: Option<JsonPath>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ColumnKind {
    Boolean,
    Date,
    Integer,
    Number,
    Text,
    Other,
}

impl PrinterColumn {
    /// The columns of a version.
    pub(super) fn read_all(version: &Value) -> Vec<Self> {
        let own = tree::list(version, "additionalPrinterColumns");
        if own.is_empty() {
            let description = Column::AGE.description;
            return vec![Self::read(
                &json!({"name": "Age", "type": "date", "description": description, "jsonPath": CREATED}),
            )];
        }
        own.iter().map(Self::read).collect()
    }

    fn read(column: &Value) -> Self {
        let path = tree::text(column, "jsonPath");
        let description = match tree::text(column, "description") {
            "" => format!("Custom resource definition column (in JSONPath format): {path}"),
            text => text.to_owned(),
        };
        let kind = tree::text(column, "type");
        let definition = json!({
            "name": tree::text(column, "name"), "type": kind, "format": tree::text(column, "format"),
            "description": description, "priority": tree::int(column, "priority").unwrap_or(0),
        });
        let kind = match kind {
            "boolean" => ColumnKind::Boolean,
            "date" => ColumnKind::Date,
            "integer" => ColumnKind::Integer,
            "number" => ColumnKind::Number,
            "string" => ColumnKind::Text,
            _ => ColumnKind::Other,
        };
        Self {
            definition,
            kind,
            path: JsonPath::parse(path).ok(),
        }
    }

    fn cell(&self, object: &Value, now: Timestamp) -> Value {
        let found = self
            .path
            .as_ref()
            .and_then(|path| path.find(object).first().copied());
        let Some(value) = found else {
            return Value::Null;
        };
        match (self.kind, value) {
            (_, Value::Null) | (ColumnKind::Other, _) => Value::Null,
            (ColumnKind::Text, Value::String(text)) => text.as_str().into(),
            (ColumnKind::Text, other) => other.to_string().into(),
            (ColumnKind::Boolean, Value::Bool(on)) => (*on).into(),
            (ColumnKind::Integer, Value::Number(number)) => match number.as_f64() {
                Some(float) if number.is_f64() => (float.trunc() as i64).into(),
                _ => value.clone(),
            },
            (ColumnKind::Number, Value::Number(_)) => value.clone(),
            (ColumnKind::Date, Value::String(time)) => match time.parse::<Timestamp>() {
                Ok(_) => print::since(time, now).into(),
                Err(_) => "<invalid>".into(),
            },
            _ => Value::Null,
        }
    }
}

/// The definitions of all columns, the name first.
pub(super) fn definitions(columns: &[PrinterColumn]) -> Value {
    let name = Column::NAME.definition();
    std::iter::once(name)
        .chain(columns.iter().map(|column| column.definition.clone()))
        .collect()
}

/// The cells of an object.
pub(super) fn cells(columns: &[PrinterColumn], object: &Value, now: Timestamp) -> Vec<Value> {
    let rest = columns.iter().map(|column| column.cell(object, now));
    std::iter::once(print::name(object)).chain(rest).collect()
}
