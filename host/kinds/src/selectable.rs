//! Fields that a field selector may name.

use k3s_meta::tree;
use serde_json::Value;

/// A selectable field beyond `metadata.name` and `metadata.namespace`.
#[derive(Clone, Copy, Debug)]
pub struct SelectableField {
    /// The name in a selector, such as `spec.nodeName`.
    pub name: &'static str,
    source: Source,
}

/// Where the value of a field comes from.
#[derive(Clone, Copy, Debug)]
enum Source {
    Text(&'static str),
    /// The first of several paths that holds a text: kinds that are stored under other names.
    FirstText(&'static [&'static str]),
    Integer(&'static str),
    Flag(&'static str),
    Computed(fn(&Value) -> String),
}

impl SelectableField {
    /// A text at the path that is the field's name.
    pub(crate) const fn text(path: &'static str) -> Self {
        Self {
            name: path,
            source: Source::Text(path),
        }
    }

    /// The first text at any of several paths.
    pub(crate) const fn first_text(name: &'static str, paths: &'static [&'static str]) -> Self {
        Self {
            name,
            source: Source::FirstText(paths),
        }
    }

    /// A boolean at the path that is the field's name, `false` when missing.
    pub(crate) const fn flag(path: &'static str) -> Self {
        Self {
            name: path,
            source: Source::Flag(path),
        }
    }

    /// An integer, `0` when missing.
    pub(crate) const fn integer(name: &'static str, path: &'static str) -> Self {
        Self {
            name,
            source: Source::Integer(path),
        }
    }

    /// A value that has to be computed.
    pub(crate) const fn computed(name: &'static str, value: fn(&Value) -> String) -> Self {
        Self {
            name,
            source: Source::Computed(value),
        }
    }

    /// The value in an object; an empty text where the object has none.
    #[must_use]
    pub fn value(&self, object: &Value) -> String {
        match self.source {
            Source::Text(path) => tree::text(object, path).to_owned(),
            Source::FirstText(paths) => first_text(object, paths).to_owned(),
            Source::Integer(path) => tree::int(object, path).unwrap_or(0).to_string(),
            Source::Flag(path) => tree::flag(object, path).to_string(),
            Source::Computed(value) => value(object),
        }
    }
}

fn first_text<'a>(object: &'a Value, paths: &[&str]) -> &'a str {
    let texts = paths.iter().map(|path| tree::text(object, path));
    texts
        .into_iter()
        .find(|text| !text.is_empty())
        .unwrap_or_default()
}
