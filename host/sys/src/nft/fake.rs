//! The packet filter in memory, as strict as the kernel about what exists and what does not. It
//! forwards no packets; tests read from it what was written.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::model::{Chain, Data, Element, Set, SetData, TableId, Verdict, key_len};
use super::statement::{Load, Rule, Statement};
use super::{Batch, Command, Failure, Nft, NftError};
use crate::netlink::NetlinkError;

/// A table in memory.
#[derive(Clone, Debug, Default)]
pub struct FakeTable {
    /// Its comment.
    pub comment: Option<String>,
    /// Chains and their rules.
    pub chains: BTreeMap<String, (Chain, Vec<Rule>)>,
    /// Sets and their elements by key.
    pub sets: BTreeMap<String, (Set, BTreeMap<Vec<u8>, Element>)>,
}

type Tables = BTreeMap<TableId, FakeTable>;

/// In-memory [`Nft`].
#[derive(Debug, Default)]
pub struct FakeNft {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    tables: Tables,
    commits: Vec<Batch>,
}

impl FakeNft {
    /// Every batch that was committed.
    #[must_use]
    pub fn commits(&self) -> Vec<Batch> {
        self.lock().commits.clone()
    }

    /// A copy of a table.
    #[must_use]
    pub fn table(&self, table: &TableId) -> Option<FakeTable> {
        self.lock().tables.get(table).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Nft for FakeNft {
    fn commit(&self, batch: &Batch) -> Result<(), NftError> {
        let mut state = self.lock();
        let mut tables = state.tables.clone();
        for (index, command) in batch.commands().iter().enumerate() {
            apply(&mut tables, command)
                .map_err(|errno| refuse(index, &command.describe(), errno))?;
        }
        state.tables = tables;
        state.commits.push(batch.clone());
        Ok(())
    }

    fn tables(&self) -> Result<Vec<(TableId, Option<String>)>, NftError> {
        Ok(self
            .lock()
            .tables
            .iter()
            .map(|(id, table)| (id.clone(), table.comment.clone()))
            .collect())
    }

    fn sets(&self, table: &TableId) -> Result<Vec<String>, NftError> {
        let state = self.lock();
        let table = state
            .tables
            .get(table)
            .ok_or_else(|| refuse(0, "list sets", libc::ENOENT))?;
        Ok(table.sets.keys().cloned().collect())
    }

    fn elements(&self, table: &TableId, set: &str) -> Result<Vec<Element>, NftError> {
        let state = self.lock();
        let set = state.tables.get(table).and_then(|t| t.sets.get(set));
        set.map(|(_, elements)| elements.values().cloned().collect())
            .ok_or_else(|| refuse(0, "list elements", libc::ENOENT))
    }

    fn rule_count(&self, table: &TableId) -> Result<usize, NftError> {
        let state = self.lock();
        let table = state
            .tables
            .get(table)
            .ok_or_else(|| refuse(0, "list rules", libc::ENOENT))?;
        Ok(table.chains.values().map(|(_, rules)| rules.len()).sum())
    }
}

fn refuse(command: usize, what: &str, errno: i32) -> NftError {
    let error = NetlinkError::Refused {
        source: io::Error::from_raw_os_error(errno),
        detail: None,
    };
    NftError::Refused(vec![Failure {
        command,
        what: what.to_owned(),
        error,
    }])
}

/// The effect of one command; an error is the number that the kernel answers with.
fn apply(tables: &mut Tables, command: &Command) -> Result<(), i32> {
    match command {
        Command::AddTable { table, comment } => {
            tables.entry(table.clone()).or_insert_with(|| FakeTable {
                comment: comment.clone(),
                ..Default::default()
            });
            Ok(())
        }
        Command::DeleteTable(table) => tables.remove(table).map(drop).ok_or(libc::ENOENT),
        Command::AddChain(table, chain) => {
            existing(tables, table)?.add_chain(chain);
            Ok(())
        }
        Command::FlushChain(table, chain) => {
            existing(tables, table)?.rules(chain)?.clear();
            Ok(())
        }
        Command::DeleteChain(table, chain) => existing(tables, table)?.delete_chain(chain),
        Command::AddRule(table, chain, rule) => existing(tables, table)?.add_rule(chain, rule),
        Command::AddSet(table, set) => existing(tables, table)?.add_set(set),
        Command::AddElements(table, set, elements) => {
            let table = existing(tables, table)?;
            elements
                .iter()
                .try_for_each(|element| table.add_element(set, element))
        }
        Command::DeleteElements(table, set, elements) => {
            existing(tables, table)?.delete_elements(set, elements)
        }
    }
}

fn existing<'a>(tables: &'a mut Tables, table: &TableId) -> Result<&'a mut FakeTable, i32> {
    tables.get_mut(table).ok_or(libc::ENOENT)
}

impl FakeTable {
    fn add_chain(&mut self, chain: &Chain) {
        self.chains
            .entry(chain.name.clone())
            .or_insert_with(|| (chain.clone(), Vec::new()));
    }

    fn rules(&mut self, chain: &str) -> Result<&mut Vec<Rule>, i32> {
        let (_, rules) = self.chains.get_mut(chain).ok_or(libc::ENOENT)?;
        Ok(rules)
    }

    fn delete_chain(&mut self, chain: &str) -> Result<(), i32> {
        if self.refers_to(chain) {
            return Err(libc::EBUSY);
        }
        self.chains.remove(chain).map(drop).ok_or(libc::ENOENT)
    }

    fn add_rule(&mut self, chain: &str, rule: &Rule) -> Result<(), i32> {
        self.check_rule(rule)?;
        self.rules(chain)?.push(rule.clone());
        Ok(())
    }

    fn add_set(&mut self, set: &Set) -> Result<(), i32> {
        let (known, _) = self
            .sets
            .entry(set.name.clone())
            .or_insert_with(|| (set.clone(), BTreeMap::new()));
        if known == set {
            Ok(())
        } else {
            Err(libc::EEXIST)
        }
    }

    fn add_element(&mut self, set: &str, element: &Element) -> Result<(), i32> {
        let (definition, known) = self.sets.get_mut(set).ok_or(libc::ENOENT)?;
        if let Data::Verdict(verdict) = &element.data
            && target(verdict).is_some_and(|chain| !self.chains.contains_key(chain))
        {
            return Err(libc::ENOENT);
        }
        let fits = match (&definition.data, &element.data) {
            (SetData::None, Data::None) | (SetData::Verdict, Data::Verdict(_)) => true,
            (SetData::Value(fields), Data::Value(value)) => key_len(fields) == value.len(),
            _ => false,
        };
        if !fits || element.key.len() != definition.key_len() {
            return Err(libc::EINVAL);
        }
        let existing = known
            .entry(element.key.clone())
            .or_insert_with(|| element.clone());
        if existing.data == element.data {
            Ok(())
        } else {
            Err(libc::EBUSY)
        }
    }

    fn delete_elements(&mut self, set: &str, elements: &[Element]) -> Result<(), i32> {
        let (_, known) = self.sets.get_mut(set).ok_or(libc::ENOENT)?;
        elements
            .iter()
            .try_for_each(|element| known.remove(&element.key).map(drop).ok_or(libc::ENOENT))
    }

    /// Sets and chains that a rule names must exist.
    fn check_rule(&self, rule: &Rule) -> Result<(), i32> {
        let has_set = |name: &str| self.sets.contains_key(name);
        let has_chain = |name: &str| self.chains.contains_key(name);
        let exists = rule.iter().map(Named::of).all(|named| {
            named.set.is_none_or(has_set)
                && named.loads.into_iter().filter_map(lookup).all(has_set)
                && named.chain.is_none_or(has_chain)
        });
        if exists { Ok(()) } else { Err(libc::ENOENT) }
    }

    fn refers_to(&self, chain: &str) -> bool {
        let in_elements = self
            .sets
            .values()
            .flat_map(|(_, elements)| elements.values())
            .any(|e| matches!(&e.data, Data::Verdict(verdict) if target(verdict) == Some(chain)));
        let in_rules = self
            .chains
            .values()
            .flat_map(|(_, rules)| rules.iter().flatten())
            .any(|s| matches!(s, Statement::Verdict(verdict) if target(verdict) == Some(chain)));
        in_elements || in_rules
    }
}

/// What a statement refers to by name, and the loads that may do so.
#[derive(Default)]
struct Named<'a> {
    set: Option<&'a str>,
    loads: Vec<&'a Load>,
    chain: Option<&'a str>,
}

impl<'a> Named<'a> {
    fn of(statement: &'a Statement) -> Self {
        let loads_of = |loads: Vec<&'a Load>| Self {
            loads,
            ..Self::default()
        };
        let set_of = |set: &'a str, loads: Vec<&'a Load>| Self {
            set: Some(set),
            loads,
            chain: None,
        };
        match statement {
            Statement::InSet { set, key, .. } => set_of(set, key.iter().collect()),
            Statement::VerdictMap { map, key } => set_of(map, key.iter().collect()),
            Statement::Update { set, key, data, .. } => {
                set_of(set, key.iter().chain(data).collect())
            }
            Statement::Dnat { to, .. } => loads_of(vec![to]),
            Statement::Compare { load, .. } => loads_of(vec![load]),
            Statement::Verdict(verdict) => Self {
                chain: target(verdict),
                ..Self::default()
            },
            _ => Self::default(),
        }
    }
}

/// The map that a load reads from.
fn lookup(load: &Load) -> Option<&str> {
    match load {
        Load::Lookup { map, .. } => Some(map),
        _ => None,
    }
}

fn target(verdict: &Verdict) -> Option<&str> {
    match verdict {
        Verdict::Jump(chain) | Verdict::Goto(chain) => Some(chain),
        _ => None,
    }
}
