//! Rows for kinds that are defined at run time, in the form of the built-in ones.
//!
//! Built-in rows are static, and everything that works on kinds borrows them statically, which
//! costs nothing per request. A row defined at run time is therefore made once and kept for the life of
//! the process: the same definition yields the same row again, also after it was deleted and created again.
//! What is kept is bounded, see [`MAX_ROWS`] and [`MAX_TEXTS`]; schemas are not part of it.

use crate::kind::{Kind, Subresource};
use crate::schema::{self, TypeId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most rows of a process, about half a kilobyte each. Beyond it a definition is refused until a restart.
const MAX_ROWS: usize = 16_384;
/// Most texts of a process (names, short names, selectable fields), a few dozen bytes each.
const MAX_TEXTS: usize = 131_072;

/// The type of objects of which only the metadata is known here; their own schema checks the rest.
const METADATA_ONLY: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const VERBS: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];
const PART_VERBS: &[&str] = &["get", "patch", "update"];

/// The definition of a kind at one version.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Definition {
    /// API group.
    pub group: String,
    /// `v1`
    pub version: String,
    /// `crontabs`
    pub plural: String,
    /// `crontab`
    pub singular: String,
    /// `CronTab`
    pub kind: String,
    /// `CronTabList`
    pub list_kind: String,
    /// `ct`
    pub short_names: Vec<String>,
    /// `all`
    pub categories: Vec<String>,
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Whether there is a `status` subresource.
    pub status: bool,
    /// Whether there is a `scale` subresource.
    pub scale: bool,
}

/// The process has served more different definitions than it can keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl std::fmt::Display for TooMany {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "this server has served too many different definitions since it started; restart it",
        )
    }
}

impl std::error::Error for TooMany {}

#[derive(Default)]
struct Kept {
    texts: BTreeSet<&'static str>,
    rows: BTreeMap<Definition, &'static Kind>,
}

static KEPT: Mutex<Kept> = Mutex::new(Kept {
    texts: BTreeSet::new(),
    rows: BTreeMap::new(),
});

/// The row of a definition.
///
/// # Errors
/// When the process has kept too many different ones.
pub fn define(definition: &Definition) -> Result<&'static Kind, TooMany> {
    let mut kept = lock();
    if let Some(row) = kept.rows.get(definition) {
        return Ok(row);
    }
    if kept.rows.len() >= MAX_ROWS {
        return Err(TooMany);
    }
    let row: &'static Kind = Box::leak(Box::new(kept.row(definition)?));
    kept.rows.insert(definition.clone(), row);
    Ok(row)
}

/// A text with the life of the process.
///
/// # Errors
/// When the process has kept too many different ones.
pub fn keep_text(text: &str) -> Result<&'static str, TooMany> {
    lock().text(text)
}

fn lock() -> MutexGuard<'static, Kept> {
    // Nothing panics between two changes, so the state that another thread left is consistent.
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The type by which the metadata of objects is decoded.
fn metadata_type() -> TypeId {
    schema::by_name(METADATA_ONLY).unwrap_or(TypeId(0))
}

impl Kept {
    fn text(&mut self, text: &str) -> Result<&'static str, TooMany> {
        if let Some(kept) = self.texts.get(text) {
            return Ok(kept);
        }
        if self.texts.len() >= MAX_TEXTS {
            return Err(TooMany);
        }
        let text: &'static str = Box::leak(text.into());
        self.texts.insert(text);
        Ok(text)
    }

    fn list(&mut self, texts: &[String]) -> Result<&'static [&'static str], TooMany> {
        let texts = texts
            .iter()
            .map(|text| self.text(text))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Box::leak(texts.into_boxed_slice()))
    }

    fn row(&mut self, of: &Definition) -> Result<Kind, TooMany> {
        let (group, version, kind) = (
            self.text(&of.group)?,
            self.text(&of.version)?,
            self.text(&of.kind)?,
        );
        let schema = metadata_type();
        let mut subresources = Vec::new();
        if of.scale {
            subresources.push(Subresource {
                name: "scale",
                kind: "Scale",
                group: "autoscaling",
                version: "v1",
                verbs: PART_VERBS,
                connect: false,
                schema: schema::by_gvk("autoscaling", "v1", "Scale"),
            });
        }
        if of.status {
            let schema = Some(schema);
            let status = Subresource {
                name: "status",
                kind,
                group,
                version,
                verbs: PART_VERBS,
                connect: false,
                schema,
            };
            subresources.push(status);
        }
        Ok(Kind {
            group,
            version,
            plural: self.text(&of.plural)?,
            singular: self.text(&of.singular)?,
            kind,
            list_kind: self.text(&of.list_kind)?,
            short_names: self.list(&of.short_names)?,
            categories: self.list(&of.categories)?,
            namespaced: of.namespaced,
            verbs: VERBS,
            schema,
            subresources: Box::leak(subresources.into_boxed_slice()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_definition_is_the_same_row() {
        let definition = Definition {
            group: "example.com".to_owned(),
            version: "v1".to_owned(),
            plural: "crontabs".to_owned(),
            kind: "CronTab".to_owned(),
            status: true,
            scale: true,
            ..Definition::default()
        };
        let first = define(&definition).unwrap();
        assert!(std::ptr::eq(first, define(&definition.clone()).unwrap()));
        assert_eq!(first.subresource("scale").unwrap().group, "autoscaling");
        assert!(first.has_verb("watch") && first.subresource("status").is_some());
        let other = define(&Definition {
            status: false,
            ..definition
        })
        .unwrap();
        assert!(other.subresource("status").is_none() && std::ptr::eq(other.plural, first.plural));
    }
}
