//! The table of kinds.

use super::facts::{strings, text, type_of};
use super::names::header;
use super::tables::Tables;
use anyhow::{Context, Result};
use serde_json::{Map, Value};
use std::fmt::Write as _;

pub(super) fn file(
    resources: &[Value],
    types: &Map<String, Value>,
    tables: &Tables,
) -> Result<String> {
    let mut out = header("Built-in kinds, sorted by group, version and plural.");
    let _ = write!(
        out,
        "use crate::kind::{{Kind, Subresource}};\nuse crate::schema::TypeId;\n\n"
    );
    let _ = write!(
        out,
        "#[rustfmt::skip]\npub(crate) static KINDS: [Kind; {}] = [\n",
        resources.len()
    );
    for r in resources {
        let [group, version, plural, kind] =
            ["group", "version", "plural", "kind"].map(|k| text(r, k));
        let gvk = [group.clone(), version.clone(), kind.clone()];
        let name = type_of(types, &gvk).with_context(|| format!("no type for {gvk:?}"))?;
        let schema = tables
            .type_ids
            .get(&name)
            .with_context(|| format!("no id for {name}"))?;
        let list = [group.clone(), version.clone(), format!("{kind}List")];
        let list_kind = if type_of(types, &list).is_some() {
            format!("{kind}List")
        } else {
            String::new()
        };
        let _ = writeln!(
            out,
            "    Kind {{ group: {group:?}, version: {version:?}, plural: {plural:?}, singular: {:?}, kind: {kind:?}, list_kind: {list_kind:?},\n        short_names: &{:?}, categories: &{:?}, namespaced: {}, verbs: &{:?}, schema: TypeId({schema}),\n        subresources: &[{}] }},",
            kind.to_lowercase(),
            strings(&r["short"]),
            strings(&r["categories"]),
            r["namespaced"] == true,
            strings(&r["verbs"]),
            subresources(r, types, tables)
        );
    }
    out.push_str("];\n");
    Ok(out)
}

pub(super) fn subresources(r: &Value, types: &Map<String, Value>, tables: &Tables) -> String {
    let mut rows = String::new();
    for (name, sub) in r["sub"].as_object().into_iter().flatten() {
        let Ok(gvk) = <[String; 3]>::try_from(strings(&sub["kind"])) else {
            continue;
        };
        let schema = type_of(types, &gvk).and_then(|name| tables.type_ids.get(&name).copied());
        let schema = schema.map_or("None".to_owned(), |id| format!("Some(TypeId({id}))"));
        let [group, version, kind] = gvk;
        let _ = write!(
            rows,
            "\n            Subresource {{ name: {name:?}, kind: {kind:?}, group: {group:?}, version: {version:?}, verbs: &{:?}, connect: {}, schema: {schema} }},",
            strings(&sub["verbs"]),
            sub["connect"] == true
        );
    }
    rows
}
