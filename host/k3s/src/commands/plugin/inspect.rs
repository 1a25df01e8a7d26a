//! `k3s plugin inspect`: what a component is, before it is given anything.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use k3s_plugin_host::{Contract, Grants, InterfaceId, Need};

use super::one;
use super::open::{Opened, OwnHost};

pub(super) fn run(words: &[String]) -> Result<()> {
    let opened = Opened::read(one(words, "inspect REF")?)?;
    let contract = opened.contract()?;
    let field = |name: &str, value: &str| println!("{name:<10}{value}");
    field(
        "kind:",
        &format!(
            "{} ({})",
            contract.kind,
            contract_of(contract, &opened.inspection.exports)
        ),
    );
    field("digest:", &opened.inspection.digest.to_string());
    field("size:", &format!("{} bytes", opened.inspection.size_bytes));
    field(
        "imports:",
        if opened.inspection.imports.is_empty() {
            "none"
        } else {
            ""
        },
    );
    let (mut grants, mut unknown) = (BTreeSet::new(), 0);
    for import in &opened.inspection.imports {
        let verdict = match contract.need(import) {
            Need::Offered => "offered".to_owned(),
            Need::Grant(grant) => {
                grants.insert(grant);
                format!("needs the grant {grant}")
            }
            Need::Unknown => {
                unknown += 1;
                "not offered by this host".to_owned()
            }
        };
        println!("  {import:<40} {verdict}");
    }
    let needed: Vec<&str> = grants.into_iter().collect();
    field(
        "grants:",
        if needed.is_empty() {
            "none".to_owned()
        } else {
            needed.join(", ")
        }
        .as_str(),
    );
    if unknown > 0 {
        bail!("{}: it cannot be loaded here", opened.name);
    }
    // It is asked what it is with everything granted, since nothing can be done with it in that.
    let own = OwnHost::new()?;
    let loaded = own
        .host
        .granting(Grants { wasi: true })
        .load(opened.source(), contract)?;
    field("name:", &loaded.description.name);
    field("version:", &loaded.description.version);
    Ok(())
}

/// The export that made it this kind, with its version.
fn contract_of<'a>(contract: &Contract, exports: &'a [String]) -> &'a str {
    let package = format!("k3s:{}", contract.kind);
    let own = |name: &&String| InterfaceId::parse(name).is_some_and(|id| id.package == package);
    exports.iter().find(own).map_or("", String::as_str)
}
