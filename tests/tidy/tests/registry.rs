//! The registry serves every kind and names none.

use std::collections::BTreeSet;

use anyhow::Result;
use k3s_tidy::source::{production, string_literals};

#[test]
fn the_registry_names_no_kind() -> Result<()> {
    let kinds = k3s_api::kinds().iter();
    let names: BTreeSet<&str> = kinds.flat_map(|it| [it.plural, it.kind]).collect();
    let mut sources = production()?;
    sources.retain(|source| source.path.starts_with("host/registry/src"));
    assert!(!sources.is_empty(), "the registry has moved");
    let mut found = Vec::new();
    for source in &sources {
        let literals = string_literals(source).into_iter();
        let named = literals.filter(|literal| names.contains(literal.as_str()));
        found.extend(named.map(|literal| format!("{}: {literal:?}", source.path.display())));
    }
    assert!(
        found.is_empty(),
        "what is particular to a kind belongs in host/kinds or host/resources: {found:#?}"
    );
    Ok(())
}
