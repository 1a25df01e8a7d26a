//! The packet filter in memory, as strict as the kernel about what exists and what does not. It
//! forwards no packets; it shows what was written.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::model::{Chain, Data, Element, Set, SetData, TableId, Verdict};
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
    failures: u32,
}

impl FakeNft {
    /// The next `count` commits fail and change nothing.
    pub fn fail_next(&self, count: u32) {
        self.lock().failures = count;
    }

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
        if state.failures > 0 {
            state.failures -= 1;
            return Err(refuse(0, "commit", libc::EBUSY));
        }
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
            let table = tables.get_mut(table).ok_or(libc::ENOENT)?;
            table
                .chains
                .entry(chain.name.clone())
                .or_insert_with(|| (chain.clone(), Vec::new()));
            Ok(())
        }
        Command::FlushChain(table, chain) => {
            let table = tables.get_mut(table).ok_or(libc::ENOENT)?;
            table
                .chains
                .get_mut(chain)
                .map(|(_, rules)| rules.clear())
                .ok_or(libc::ENOENT)
        }
        Command::DeleteChain(table, chain) => {
            let table = tables.get_mut(table).ok_or(libc::ENOENT)?;
            if table.refers_to(chain) {
                return Err(libc::EBUSY);
            }
            table.chains.remove(chain).map(drop).ok_or(libc::ENOENT)
        }
        Command::AddRule(table, chain, rule) => {
            let table = tables.get_mut(table).ok_or(libc::ENOENT)?;
            table.check_rule(rule)?;
            table
                .chains
                .get_mut(chain)
                .ok_or(libc::ENOENT)?
                .1
                .push(rule.clone());
            Ok(())
        }
        Command::AddSet(table, set) => {
            let table = tables.get_mut(table).ok_or(libc::ENOENT)?;
            let (known, _) = table
                .sets
                .entry(set.name.clone())
                .or_insert_with(|| (set.clone(), BTreeMap::new()));
            if known == set {
                Ok(())
            } else {
                Err(libc::EEXIST)
            }
        }
        Command::AddElements(table, set, elements) => {
            let table = tables.get_mut(table).ok_or(libc::ENOENT)?;
            elements
                .iter()
                .try_for_each(|element| table.add_element(set, element))
        }
        Command::DeleteElements(table, set, elements) => {
            let table = tables.get_mut(table).ok_or(libc::ENOENT)?;
            let (_, known) = table.sets.get_mut(set).ok_or(libc::ENOENT)?;
            elements
                .iter()
                .try_for_each(|e| known.remove(&e.key).map(drop).ok_or(libc::ENOENT))
        }
    }
}

impl FakeTable {
    fn add_element(&mut self, set: &str, element: &Element) -> Result<(), i32> {
        let (definition, known) = self.sets.get_mut(set).ok_or(libc::ENOENT)?;
        if let Data::Verdict(verdict) = &element.data
            && target(verdict).is_some_and(|chain| !self.chains.contains_key(chain))
        {
            return Err(libc::ENOENT);
        }
        let fits = match (&definition.data, &element.data) {
            (SetData::None, Data::None) | (SetData::Verdict, Data::Verdict(_)) => true,
            (SetData::Value(fields), Data::Value(value)) => {
                super::model::key_len(fields) == value.len()
            }
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

    /// Sets and chains that a rule names must exist.
    fn check_rule(&self, rule: &Rule) -> Result<(), i32> {
        for statement in rule {
            let (set, loads, chain): (Option<&str>, Vec<&Load>, Option<&str>) = match statement {
                Statement::InSet { set, key, .. } => (Some(set), key.iter().collect(), None),
                Statement::VerdictMap { map, key } => (Some(map), key.iter().collect(), None),
                Statement::Update { set, key, data, .. } => {
                    (Some(set), key.iter().chain(data).collect(), None)
                }
                Statement::Dnat { to, .. } => (None, vec![to], None),
                Statement::Compare { load, .. } => (None, vec![load], None),
                Statement::Verdict(verdict) => (None, Vec::new(), target(verdict)),
                _ => (None, Vec::new(), None),
            };
            let maps = loads.into_iter().filter_map(|l| {
                if let Load::Lookup { map, .. } = l {
                    Some(&**map)
                } else {
                    None
                }
            });
            if set
                .into_iter()
                .chain(maps)
                .any(|name| !self.sets.contains_key(name))
                || chain.is_some_and(|name| !self.chains.contains_key(name))
            {
                return Err(libc::ENOENT);
            }
        }
        Ok(())
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

fn target(verdict: &Verdict) -> Option<&str> {
    match verdict {
        Verdict::Jump(chain) | Verdict::Goto(chain) => Some(chain),
        _ => None,
    }
}
