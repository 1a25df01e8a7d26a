//! The tables of types and fields.

use super::facts::strings;
use super::go::encoding_flags;
use super::names::{Names, header, wrap};
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

pub(super) struct Tables {
    pub(super) names: Names,
    pub(super) type_ids: BTreeMap<String, usize>,
    value_types: Vec<String>,
    key_sets: Vec<Vec<usize>>,
    field_rows: Vec<String>,
    type_rows: Vec<String>,
    gvks: Vec<String>,
    unions: Vec<String>,
}

impl Tables {
    pub(super) fn new(types: &Map<String, Value>) -> Self {
        let mut names = Names::default();
        names.id("");
        Self {
            names,
            type_ids: types
                .keys()
                .enumerate()
                .map(|(i, name)| (name.clone(), i))
                .collect(),
            value_types: Vec::new(),
            key_sets: vec![Vec::new()],
            field_rows: Vec::new(),
            type_rows: Vec::new(),
            gvks: Vec::new(),
            unions: Vec::new(),
        }
    }

    pub(super) fn add_types(&mut self, types: &Map<String, Value>) -> Result<()> {
        let mut first = 0;
        for (id, (name, t)) in types.iter().enumerate() {
            let fields = t["fields"].as_object().cloned().unwrap_or_default();
            let rows = fields
                .iter()
                .map(|(field, spec)| self.field_row(name, field, spec))
                .collect::<Result<Vec<_>>>()?;
            let name_id = self.names.id(name);
            let atomic = t["mapType"] == "atomic";
            self.type_rows.push(format!(
                "t({name_id},{first},{},Shape::{},{atomic})",
                rows.len(),
                shape(name, t)
            ));
            first += rows.len();
            self.field_rows.extend(rows);
            self.add_gvks(id, t);
            self.add_unions(id, t);
        }
        Ok(())
    }

    pub(super) fn add_gvks(&mut self, id: usize, t: &Value) {
        for gvk in t["gvk"].as_array().into_iter().flatten().map(strings) {
            let ids: Vec<String> = gvk
                .iter()
                .map(|part| self.names.id(part).to_string())
                .collect();
            self.gvks.push(format!("({id},{})", ids.join(",")));
        }
    }

    pub(super) fn add_unions(&mut self, id: usize, t: &Value) {
        for union in t["unions"].as_array().into_iter().flatten() {
            let pairs = union["fields-to-discriminateBy"]
                .as_object()
                .into_iter()
                .flatten();
            let pairs: Vec<String> = pairs
                .map(|(k, v)| format!("({k:?}, {:?})", v.as_str().unwrap_or("")))
                .collect();
            let discriminator = union["discriminator"].as_str().unwrap_or("");
            self.unions.push(format!(
                "({id}, {discriminator:?}, &[{}])",
                pairs.join(", ")
            ));
        }
    }

    pub(super) fn field_row(&mut self, owner: &str, name: &str, spec: &Value) -> Result<String> {
        let flags = flags(spec)? | encoding_flags(owner, spec);
        let name = self.names.id(name);
        let ty = self.value_type(&spec["t"])?;
        let keys = self.key_set(&strings(&spec["keys"]));
        let merge_key = self.names.id(spec["mergeKey"].as_str().unwrap_or(""));
        let (embed, tag) = match &spec["pb"] {
            Value::Array(path) => {
                let numbers: Vec<u64> = path.iter().filter_map(Value::as_u64).collect();
                let (tag, outer) = numbers.split_last().context("an empty path of tags")?;
                (outer.iter().fold(0, |path, tag| (path << 4) | tag), *tag)
            }
            tag => (0, tag.as_u64().unwrap_or(0)),
        };
        Ok(format!(
            "f({name},{ty},{flags},{keys},{merge_key},{embed},{tag})"
        ))
    }

    /// The index of a value type in the table of value types, which lists and maps refer to.
    pub(super) fn value_type(&mut self, t: &Value) -> Result<usize> {
        let text = match t {
            Value::Array(list) => format!(
                "List({})",
                self.value_type(list.first().unwrap_or(&Value::Null))?
            ),
            Value::Object(map) => format!(
                "Map({})",
                self.value_type(map.get("map").unwrap_or(&Value::Null))?
            ),
            Value::String(s) => match s.as_str() {
                "string" => "String".to_owned(),
                "string:byte" => "Bytes".to_owned(),
                "boolean" => "Bool".to_owned(),
                "integer:int32" => "Int32".to_owned(),
                "integer:int64" => "Int64".to_owned(),
                "number:double" => "Double".to_owned(),
                name => format!(
                    "Named({})",
                    self.type_ids
                        .get(name)
                        .with_context(|| format!("no type {name}"))?
                ),
            },
            other => bail!("unknown value type {other}"),
        };
        let found = self.value_types.iter().position(|v| *v == text);
        Ok(found.unwrap_or_else(|| {
            self.value_types.push(text);
            self.value_types.len() - 1
        }))
    }

    pub(super) fn key_set(&mut self, keys: &[String]) -> usize {
        let ids: Vec<usize> = keys.iter().map(|k| self.names.id(k)).collect();
        let found = self.key_sets.iter().position(|k| *k == ids);
        found.unwrap_or_else(|| {
            self.key_sets.push(ids);
            self.key_sets.len() - 1
        })
    }

    pub(super) fn fields_file(&self) -> String {
        let mut out = header("Fields of all types, type by type, sorted by name within a type.");
        let count = self.field_rows.len();
        let _ = write!(
            out,
            "use crate::schema::{{Field, ValueType, field as f}};\nuse ValueType::*;\n\n"
        );
        let _ = write!(
            out,
            "#[rustfmt::skip]\npub(crate) static FIELDS: [Field; {count}] = [\n"
        );
        wrap(&mut out, self.field_rows.iter().cloned());
        let _ = write!(
            out,
            "];\n\n#[rustfmt::skip]\npub(crate) static VALUE_TYPES: [ValueType; {}] = [\n",
            self.value_types.len()
        );
        wrap(&mut out, self.value_types.iter().cloned());
        out.push_str("];\n\n/// Keys of lists that are maps, as name indices.\n#[rustfmt::skip]\npub(crate) static KEY_SETS: &[&[u16]] = &[\n");
        wrap(
            &mut out,
            self.key_sets.iter().map(|keys| format!("&{keys:?}")),
        );
        out.push_str("];\n");
        out
    }

    pub(super) fn types_file(&self) -> String {
        let mut out = header("All types, sorted by name.");
        let _ = write!(
            out,
            "use crate::schema::{{Shape, Type, type_row as t}};\n\n"
        );
        let _ = write!(
            out,
            "#[rustfmt::skip]\npub(crate) static TYPES: [Type; {}] = [\n",
            self.type_rows.len()
        );
        wrap(&mut out, self.type_rows.iter().cloned());
        let _ = write!(
            out,
            "];\n\n/// Type, and group, version and kind as name indices.\n#[rustfmt::skip]\npub(crate) static GVKS: [(u16, u16, u16, u16); {}] = [\n",
            self.gvks.len()
        );
        wrap(&mut out, self.gvks.iter().cloned());
        out.push_str(
            "];\n\n/// Type, discriminator, and members with their discriminator values.\n",
        );
        out.push_str(
            "#[rustfmt::skip]\npub(crate) static UNIONS: &[crate::schema::UnionRow] = &[\n",
        );
        for row in &self.unions {
            let _ = writeln!(out, "    {row},");
        }
        out.push_str("];\n");
        out
    }
}

/// How a type without an ordinary struct's form is decoded.
pub(super) fn shape(name: &str, t: &Value) -> &'static str {
    match name.rsplit_once('.').map_or(name, |(_, last)| last) {
        "Quantity" => "Quantity",
        "IntOrString" => "IntOrString",
        "Time" => "Time",
        "MicroTime" => "MicroTime",
        _ if t["fields"].is_object() => "Struct",
        "FieldsV1" | "RawExtension" | "Patch" | "JSON" => "Any",
        // A schema, or something simpler in its place.
        "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrBool" | "JSONSchemaPropsOrStringArray" => {
            "Any"
        }
        _ => "Struct",
    }
}

/// Bits as `schema::Field` reads them.
pub(super) fn flags(spec: &Value) -> Result<u16> {
    let list = match spec["list"].as_str() {
        None => 0,
        Some("atomic") => 1,
        Some("set") => 2,
        Some("map") => 3,
        Some(other) => bail!("unknown list type {other}"),
    };
    let map = match spec["mapType"].as_str() {
        None => 0,
        Some("atomic") => 1,
        Some("granular") => 2,
        Some(other) => bail!("unknown map type {other}"),
    };
    let strategies: BTreeSet<&str> = spec["patch"].as_str().unwrap_or("").split(',').collect();
    let bit = |on: bool, at: u16| u16::from(on) << at;
    Ok(bit(spec["req"] == 1, 0)
        | list << 1
        | map << 3
        | bit(strategies.contains("merge"), 5)
        | bit(strategies.contains("replace"), 6)
        | bit(strategies.contains("retainKeys"), 7))
}
