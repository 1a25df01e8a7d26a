//! `k3s plugin inspect`: what a component is, before it is given anything.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use k3s_plugin_host::{Contract, Grants, InterfaceId, Need};

use super::one;
use super::open::{Opened, OwnHost};

pub(super) fn run(words: &[String]) -> Result<()> {
    let opened = Opened::read(one(words, "inspect REF")?)?;
    let contract = opened.contract()?;
    let inspection = &opened.inspection;
    let export = contract_of(contract, &inspection.exports);
    print_field("kind:", &format!("{} ({export})", contract.kind));
    print_field("digest:", &inspection.digest.to_string());
    print_field("size:", &format!("{} bytes", inspection.size_bytes));
    let needs = print_imports(contract, &inspection.imports);
    print_field("grants:", &or_none(needs.grants.join(", ")));
    if needs.has_unknown {
        bail!("{}: it cannot be loaded here", opened.name);
    }
    // Its description is read with everything granted: a description can do nothing with a grant.
    let own = OwnHost::new()?;
    let host = own.host.granting(Grants { wasi: true });
    let loaded = host.load(opened.source(), contract)?;
    print_field("name:", &loaded.description.name);
    print_field("version:", &loaded.description.version);
    Ok(())
}

/// What a component needs of its host.
struct Needs {
    grants: Vec<&'static str>,
    has_unknown: bool,
}

fn print_imports(contract: &Contract, imports: &[String]) -> Needs {
    let (mut grants, mut has_unknown) = (BTreeSet::new(), false);
    print_field("imports:", if imports.is_empty() { "none" } else { "" });
    for import in imports {
        let verdict = match contract.need(import) {
            Need::Offered => "offered".to_owned(),
            Need::Grant(grant) => {
                grants.insert(grant);
                format!("needs the grant {grant}")
            }
            Need::Unknown => {
                has_unknown = true;
                "not offered by this host".to_owned()
            }
        };
        println!("  {import:<40} {verdict}");
    }
    Needs {
        grants: grants.into_iter().collect(),
        has_unknown,
    }
}

fn print_field(name: &str, value: &str) {
    println!("{name:<10}{value}");
}

fn or_none(text: String) -> String {
    if text.is_empty() { "none".into() } else { text }
}

/// The export that made it this kind, with its version.
fn contract_of<'a>(contract: &Contract, exports: &'a [String]) -> &'a str {
    let package = format!("k3s:{}", contract.kind);
    let own = |name: &&String| InterfaceId::parse(name).is_some_and(|id| id.package == package);
    exports.iter().find(own).map_or("", String::as_str)
}
