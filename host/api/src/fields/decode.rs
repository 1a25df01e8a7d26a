//! The walk: one pass over a body, guided by its type.
//!
//! Normal forms, each as a round trip through upstream's Go structs leaves it: quantities, times and base64 are
//! canonical; null inside lists and maps is the element's zero value; zero values are as [`super::zeros`] says.

use super::complaints::Complaints;
use super::convert;
use super::error::Misfit;
use super::scalar;
use super::time::Layout;
use super::zeros::{fill_in, leaves_no_trace, zero};
use crate::schema::{Field, Shape, Type, TypeId, ValueType};
use k3s_meta::json_syntax::type_name;
use serde_json::{Map, Value};
use std::fmt::Write;

/// A step from the root to the value that is being walked.
enum Step {
    Field(&'static Type, &'static Field),
    Index(usize),
    Key(String),
}

/// Where the tree comes from, which decides how upstream decodes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A body: Go's `encoding/json`.
    Body,
    /// What a strategic merge patch made of an object: apimachinery's `runtime.FromUnstructured`.
    PatchedTree,
}

struct Walk {
    source: Source,
    path: Vec<Step>,
    unknown: Complaints,
}

/// Decodes `value` in place as the type. Returns the unknown fields, or the first
/// value that does not fit.
pub(super) fn walk(root: TypeId, source: Source, value: &mut Value) -> Result<Vec<String>, Misfit> {
    let root = root.get();
    let mut walk = Walk {
        source,
        path: Vec::new(),
        unknown: Complaints::default(),
    };
    let Value::Object(map) = value else {
        return Err(Misfit::value(value, root.go_qualified()));
    };
    walk.fields(root, map)?;
    Ok(walk.unknown.into_texts())
}

impl Walk {
    fn fields(&mut self, owner: &'static Type, map: &mut Map<String, Value>) -> Result<(), Misfit> {
        let mut gone: Vec<String> = Vec::new();
        for (key, value) in map.iter_mut() {
            let Some(field) = owner.field(key) else {
                self.note_unknown(key);
                gone.push(key.clone());
                continue;
            };
            if !value.is_null() {
                self.path.push(Step::Field(owner, field));
                self.value(owner, field.value_type(), value)?;
                self.path.pop();
            }
            if leaves_no_trace(field, value) {
                gone.push(key.clone());
            }
        }
        for key in gone {
            map.remove(&key);
        }
        fill_in(owner, map);
        Ok(())
    }

    fn value(
        &mut self,
        owner: &'static Type,
        wanted: ValueType,
        value: &mut Value,
    ) -> Result<(), Misfit> {
        match (wanted, value) {
            (ValueType::String, Value::String(_)) | (ValueType::Bool, Value::Bool(_)) => Ok(()),
            (ValueType::Double, Value::Number(_)) => Ok(()),
            (ValueType::Int32, Value::Number(n)) if scalar::int32(n) => Ok(()),
            (ValueType::Int64, Value::Number(n)) if scalar::int64(n) => Ok(()),
            (ValueType::Int32 | ValueType::Int64, Value::Number(n))
                if self.source == Source::PatchedTree =>
            {
                let Some(integer) = convert::integer(n, wanted) else {
                    let number = Value::Number(n.clone());
                    return Err(self.mismatch(owner, wanted, &number));
                };
                *n = integer;
                Ok(())
            }
            (ValueType::Bytes, value @ Value::String(_)) => self.bytes(value),
            (ValueType::Named(_), value) => self.named(owner, wanted, value),
            (ValueType::List(_), Value::Array(list)) => self.list(owner, wanted, list),
            (ValueType::Map(_), Value::Object(map)) => self.map(owner, wanted, map),
            (wanted, value) => Err(self.mismatch(owner, wanted, value)),
        }
    }

    fn named(
        &mut self,
        owner: &'static Type,
        wanted: ValueType,
        value: &mut Value,
    ) -> Result<(), Misfit> {
        let Some(t) = wanted.named() else {
            return Ok(());
        };
        match (t.shape, value) {
            (Shape::Struct, Value::Object(map)) => self.fields(t, map),
            (Shape::Struct, value) => Err(self.mismatch(owner, wanted, value)),
            (Shape::Any, _) => Ok(()),
            (shape, value) => own(shape, value).map_err(|misfit| self.place(owner, misfit)),
        }
    }

    fn bytes(&self, value: &mut Value) -> Result<(), Misfit> {
        scalar::base64(value).map_err(|misfit| match self.source {
            Source::Body => misfit,
            Source::PatchedTree => {
                Misfit::Unconverted(format!("error decoding from json: {misfit}"))
            }
        })
    }

    fn list(
        &mut self,
        owner: &'static Type,
        wanted: ValueType,
        list: &mut [Value],
    ) -> Result<(), Misfit> {
        let Some(item_type) = wanted.element() else {
            return Ok(());
        };
        for (i, item) in list.iter_mut().enumerate() {
            if item.is_null() {
                *item = zero(item_type);
            }
            self.path.push(Step::Index(i));
            self.value(owner, item_type, item)?;
            self.path.pop();
        }
        Ok(())
    }

    fn map(
        &mut self,
        owner: &'static Type,
        wanted: ValueType,
        map: &mut Map<String, Value>,
    ) -> Result<(), Misfit> {
        let Some(value_type) = wanted.element() else {
            return Ok(());
        };
        // Only values with fields of their own can have unknown ones below, and so need their key in the path.
        let deep = matches!(
            value_type,
            ValueType::Named(_) | ValueType::List(_) | ValueType::Map(_)
        );
        for (key, value) in map.iter_mut() {
            if value.is_null() {
                *value = zero(value_type);
            }
            if deep {
                self.path.push(Step::Key(key.clone()));
            }
            self.value(owner, value_type, value)?;
            if deep {
                self.path.pop();
            }
        }
        Ok(())
    }

    /// `unknown field "spec.containers[0].foo"`
    fn note_unknown(&mut self, key: &str) {
        let Self { path, unknown, .. } = self;
        unknown.note(|| {
            let mut text = String::new();
            for step in path.iter() {
                let dot = if text.is_empty() { "" } else { "." };
                // Writing to a String cannot fail.
                let _ = match step {
                    Step::Field(_, field) => write!(text, "{dot}{}", field.name()),
                    Step::Key(key) => write!(text, "{dot}{key}"),
                    Step::Index(i) => write!(text, "[{i}]"),
                };
            }
            let dot = if text.is_empty() { "" } else { "." };
            format!("unknown field \"{text}{dot}{key}\"")
        });
    }

    fn mismatch(&self, owner: &Type, wanted: ValueType, value: &Value) -> Misfit {
        if self.source == Source::PatchedTree {
            return convert::refusal(wanted, &self.go_text(wanted), value);
        }
        let found = match (wanted, value) {
            (ValueType::Int32 | ValueType::Int64, Value::Number(n)) => format!("number {n}"),
            (_, value) => type_name(value).to_owned(),
        };
        self.field(owner, found, self.go_text(wanted))
    }

    /// Go adds the field to the error of a decoder that a type has of its own, if a value is of the wrong type.
    fn place(&self, owner: &Type, misfit: Misfit) -> Misfit {
        match (self.source, misfit) {
            (Source::Body, Misfit::Value { found, wanted }) => {
                self.field(owner, found, wanted.to_owned())
            }
            (_, misfit) => misfit,
        }
    }

    /// The type as Go prints it where the walk stands.
    fn go_text(&self, wanted: ValueType) -> String {
        let last = self.path.iter().rev().find_map(|step| match step {
            Step::Field(owner, field) => Some((owner, field)),
            Step::Index(_) | Step::Key(_) => None,
        });
        last.map_or_else(
            || wanted.go_text(),
            |(owner, field)| owner.go_text_in(field, wanted),
        )
    }

    fn field(&self, owner: &Type, found: String, wanted: String) -> Misfit {
        let names: Vec<&str> = self
            .path
            .iter()
            .flat_map(|step| match step {
                Step::Field(owner, field) => [owner.go_embedded(field), Some(field.name())],
                Step::Index(_) | Step::Key(_) => [None, None],
            })
            .flatten()
            .collect();
        Misfit::Field {
            found,
            owner: owner.go_name(),
            path: names.join("."),
            wanted,
        }
    }
}

/// Decodes a value of a type that has a decoder of its own.
fn own(shape: Shape, value: &mut Value) -> Result<(), Misfit> {
    match shape {
        Shape::Quantity => scalar::quantity(value),
        Shape::IntOrString => scalar::int_or_string(value),
        Shape::Time => scalar::time(value, Layout::Seconds),
        Shape::MicroTime => scalar::time(value, Layout::Micro),
        Shape::Struct | Shape::Any => Ok(()),
    }
}
