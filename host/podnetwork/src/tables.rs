//! The packet filter's part of a plan: tables of the node, elements of everybody.
//!
//! A table's comment holds its owner and a fingerprint of its definition; an element's comment holds
//! its owner. So a restarted host knows what is whose, and an unchanged table is not written again.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use k3s_sys::nft::{
    BaseChain, Batch, ChainKind, Comparison, Data, Element, Family, Field, Hook, Load, Nft,
    NftError, Rejection, Set, SetData, Statement, TableId, Verdict, remove_tables,
};
use k3s_wit_bindings::net::k3s::net::net as wit;

use crate::error::PlanError;
use crate::host::NODE_OWNER;
use crate::model::Desired;

/// In front of a plugin's table names.
const PREFIX: &str = "k3s-cni-";

/// One transaction, and what it does in words.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    batch: Batch,
    words: Vec<String>,
}

impl Difference {
    pub(crate) fn changes(&self) -> usize {
        self.words.len()
    }

    pub(crate) fn describe(&self) -> Vec<String> {
        self.words.clone()
    }

    pub(crate) fn commit(&self, nft: &dyn Nft) -> Result<(), NftError> {
        if self.batch.is_empty() {
            Ok(())
        } else {
            nft.commit(&self.batch)
        }
    }
}

/// The tables of plugins in the kernel, and their sets' elements.
type Present = BTreeMap<TableId, (Option<String>, BTreeMap<String, Vec<Element>>)>;

fn present(nft: &dyn Nft) -> Result<Present, NftError> {
    let mut present = Present::new();
    for (table, comment) in nft
        .tables()?
        .into_iter()
        .filter(|(t, _)| t.name().starts_with(PREFIX))
    {
        let mut sets = BTreeMap::new();
        for set in nft.sets(&table)? {
            let elements = nft.elements(&table, &set)?;
            sets.insert(set, elements);
        }
        present.insert(table, (comment, sets));
    }
    Ok(present)
}

/// Whoever owns a table or an element.
pub(crate) fn owners(nft: &dyn Nft) -> Result<BTreeSet<String>, NftError> {
    let mut owners = BTreeSet::new();
    for (_, sets) in present(nft)?.into_values() {
        owners.insert(NODE_OWNER.to_owned());
        owners.extend(sets.into_values().flatten().filter_map(|e| e.comment));
    }
    Ok(owners)
}

/// Removes every plugin's tables.
pub(crate) fn cleanup(nft: &dyn Nft) -> Result<usize, NftError> {
    remove_tables(nft, |table| table.name().starts_with(PREFIX))
}

/// What has to change for this owner.
pub(crate) fn diff(nft: &dyn Nft, owner: &str, desired: &Desired) -> Result<Difference, PlanError> {
    let present = present(nft)?;
    let mut difference = Difference::default();
    if owner == NODE_OWNER {
        tables(&mut difference, &present, &desired.tables)?;
    }
    elements(&mut difference, &present, owner, desired)?;
    Ok(difference)
}

fn id(name: &str) -> Result<TableId, PlanError> {
    let good = !name.is_empty()
        && name.len() <= 32
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !good {
        return Err(PlanError::Invalid(format!(
            "{name:?} is not the name of a table"
        )));
    }
    Ok(TableId::new(Family::Ipv4, &format!("{PREFIX}{name}"))?)
}

fn tables(
    difference: &mut Difference,
    present: &Present,
    wanted: &[wit::Table],
) -> Result<(), PlanError> {
    for table in wanted {
        let (id, comment) = (id(&table.name)?, comment(table));
        let found = present.get(&id);
        if found.is_some_and(|(c, _)| c.as_deref() == Some(&comment)) {
            continue;
        }
        difference.words.push(format!("write table {id}"));
        write(&mut difference.batch, &id, &comment, table);
        // Elements are pods'; they outlive the rules.
        for (set, elements) in found.into_iter().flat_map(|(_, sets)| sets) {
            if table.sets.iter().any(|s| s.name == *set) {
                difference.batch.add_elements(&id, set, elements.clone());
            }
        }
    }
    let names: Vec<TableId> = wanted
        .iter()
        .map(|t| id(&t.name))
        .collect::<Result<_, _>>()?;
    for gone in present.keys().filter(|id| !names.contains(id)) {
        difference.words.push(format!("delete table {gone}"));
        difference.batch.delete_table(gone);
    }
    Ok(())
}

/// Owner, and a fingerprint of everything in the definition.
fn comment(table: &wit::Table) -> String {
    let mut hasher = DefaultHasher::new();
    format!("{table:?}").hash(&mut hasher);
    format!("{NODE_OWNER} {:016x}", hasher.finish())
}

fn elements(
    difference: &mut Difference,
    present: &Present,
    owner: &str,
    desired: &Desired,
) -> Result<(), PlanError> {
    let mut wanted: BTreeMap<(TableId, String), Vec<Element>> = BTreeMap::new();
    for from in &desired.elements {
        let id = id(&from.table)?;
        let planned = desired
            .tables
            .iter()
            .any(|t| t.name == from.table && t.sets.iter().any(|s| s.name == from.set));
        let exists = present
            .get(&id)
            .is_some_and(|(_, sets)| sets.contains_key(&from.set));
        if !planned && !exists {
            return Err(PlanError::Invalid(format!(
                "there is no set {} in {id}",
                from.set
            )));
        }
        let element = Element {
            key: from.key.clone(),
            key_end: None,
            data: data(&from.data),
            expires: None,
            comment: Some(owner.to_owned()),
        };
        wanted
            .entry((id, from.set.clone()))
            .or_default()
            .push(element);
    }
    for (id, (_, sets)) in present {
        for (set, found) in sets {
            let key = (id.clone(), set.clone());
            let new = wanted.remove(&key).unwrap_or_default();
            one_set(difference, &key, owner, found, new)?;
        }
    }
    for ((id, set), new) in wanted {
        add(difference, &id, &set, new);
    }
    Ok(())
}

fn one_set(
    difference: &mut Difference,
    (id, set): &(TableId, String),
    owner: &str,
    found: &[Element],
    new: Vec<Element>,
) -> Result<(), PlanError> {
    let own = |e: &&Element| e.comment.as_deref() == Some(owner);
    for element in &new {
        if let Some(other) = found.iter().find(|e| e.key == element.key && !own(e)) {
            let whose = other.comment.as_deref().unwrap_or("nobody known");
            return Err(PlanError::Conflict(format!(
                "an entry of {id} {set} is taken already, by {whose}"
            )));
        }
    }
    let same = |a: &Element, b: &Element| a.key == b.key && a.data == b.data;
    let gone: Vec<Element> = found
        .iter()
        .filter(own)
        .filter(|e| !new.iter().any(|n| same(n, e)))
        .cloned()
        .collect();
    if !gone.is_empty() {
        difference
            .words
            .push(format!("delete {} entries of {id} {set}", gone.len()));
        difference.batch.delete_elements(id, set, gone);
    }
    let missing = new
        .into_iter()
        .filter(|n| !found.iter().any(|e| same(n, e)))
        .collect();
    add(difference, id, set, missing);
    Ok(())
}

fn add(difference: &mut Difference, id: &TableId, set: &str, elements: Vec<Element>) {
    if !elements.is_empty() {
        difference
            .words
            .push(format!("add {} entries to {id} {set}", elements.len()));
        difference.batch.add_elements(id, set, elements);
    }
}

fn write(batch: &mut Batch, id: &TableId, comment: &str, table: &wit::Table) {
    batch.replace_table(id, Some(comment));
    for set in &table.sets {
        let data = match &set.data {
            wit::SetData::None => SetData::None,
            wit::SetData::Verdict => SetData::Verdict,
            wit::SetData::Value(fields) => SetData::Value(fields.iter().map(field).collect()),
        };
        batch.add_set(
            id,
            Set::new(
                &set.name,
                &set.key.iter().map(field).collect::<Vec<_>>(),
                data,
            ),
        );
    }
    // All chains before the rules that jump to them.
    for chain in &table.chains {
        batch.add_chain(id, &chain.name, chain.base.as_ref().map(base));
    }
    for chain in &table.chains {
        for rule in &chain.rules {
            batch.add_rule(id, &chain.name, rule.iter().map(statement).collect());
        }
    }
}

fn field(field: &wit::Field) -> Field {
    match field {
        wit::Field::Address => Field::Ipv4,
        wit::Field::Protocol => Field::Protocol,
        wit::Field::Port => Field::Port,
    }
}

fn base(base: &wit::Base) -> BaseChain {
    BaseChain {
        kind: match base.kind {
            wit::ChainKind::Filter => ChainKind::Filter,
            wit::ChainKind::Nat => ChainKind::Nat,
        },
        hook: match base.hook {
            wit::Hook::Prerouting => Hook::Prerouting,
            wit::Hook::Input => Hook::Input,
            wit::Hook::Forward => Hook::Forward,
            wit::Hook::Output => Hook::Output,
            wit::Hook::Postrouting => Hook::Postrouting,
        },
        priority: base.priority,
    }
}

fn load(load: wit::Load) -> Load {
    match load {
        wit::Load::SourceAddress => Load::SourceAddress,
        wit::Load::DestinationAddress => Load::DestinationAddress,
        wit::Load::Protocol => Load::Protocol,
        wit::Load::SourcePort => Load::SourcePort,
        wit::Load::DestinationPort => Load::DestinationPort,
        wit::Load::Mark => Load::Mark,
        wit::Load::InInterface => Load::InInterface,
        wit::Load::OutInterface => Load::OutInterface,
        wit::Load::CtState => Load::CtState,
        wit::Load::CtStatus => Load::CtStatus,
        wit::Load::DestinationType => Load::DestinationType,
        wit::Load::SourceType => Load::SourceType,
    }
}

fn loads(loads: &[wit::Load]) -> Vec<Load> {
    loads.iter().map(|l| load(*l)).collect()
}

/// Bytes of an endpoint: address, and port filled up to four.
const ENDPOINT_WIDTH: usize = 8;

fn statement(statement: &wit::Statement) -> Statement {
    match statement {
        wit::Statement::Compare(c) => Statement::Compare {
            load: load(c.load),
            mask: Some(c.mask.clone()).filter(|mask| !mask.is_empty()),
            comparison: if c.negate {
                Comparison::NotEqual
            } else {
                Comparison::Equal
            },
            value: c.value.clone(),
        },
        wit::Statement::InSet(m) => Statement::InSet {
            key: loads(&m.key),
            set: m.set.clone(),
            negate: m.negate,
        },
        wit::Statement::VerdictMap(l) => Statement::VerdictMap {
            key: loads(&l.key),
            map: l.set.clone(),
        },
        wit::Statement::Dnat(l) => {
            let to = Load::Lookup {
                key: loads(&l.key),
                map: l.set.clone(),
                width: ENDPOINT_WIDTH,
            };
            Statement::Dnat { to, port: true }
        }
        wit::Statement::Masquerade => Statement::Masquerade,
        wit::Statement::SetMark(mark) => Statement::SetMark {
            keep: mark.keep,
            flip: mark.flip,
        },
        wit::Statement::Counter => Statement::Counter,
        wit::Statement::Reject => Statement::Reject(Rejection::PortUnreachable),
        wit::Statement::Verdict(v) => Statement::Verdict(verdict(v)),
    }
}

fn verdict(verdict: &wit::Verdict) -> Verdict {
    match verdict {
        wit::Verdict::Accept => Verdict::Accept,
        wit::Verdict::Drop => Verdict::Drop,
        wit::Verdict::Return => Verdict::Return,
        wit::Verdict::Jump(chain) => Verdict::Jump(chain.clone()),
        wit::Verdict::Goto(chain) => Verdict::Goto(chain.clone()),
    }
}

fn data(data: &wit::ElementData) -> Data {
    match data {
        wit::ElementData::None => Data::None,
        wit::ElementData::Verdict(v) => Data::Verdict(verdict(v)),
        wit::ElementData::Value(value) => Data::Value(value.clone()),
    }
}
