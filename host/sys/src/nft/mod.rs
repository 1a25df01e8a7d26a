//! nf_tables over netlink: tables, chains, rules, sets and maps in one transaction.
//!
//! Rules are written once; what changes afterwards are set and map elements, so a change costs what
//! changed and nothing else. A [`Batch`] is committed whole or not at all, and an error names the
//! commands that the kernel refused. Only tables whose name starts with
//! [`OWNER_PREFIX`](model::OWNER_PREFIX) can be named at all, so nothing that belongs to another
//! program can be changed.
//!
//! [`Nftables`] works on the kernel's tables, [`fake::FakeNft`] on the same tables in memory.

mod batch;
mod compile;
mod decode;
pub mod fake;
mod kernel;
mod key;
mod model;
mod statement;
mod uapi;

pub use batch::{Batch, Command};
pub use kernel::Nftables;
pub use key::Key;
pub use model::{
    BaseChain, Chain, ChainKind, Data, Element, Family, Field, Hook, Set, SetData, TableId, Verdict,
};
pub use statement::{
    ADDRESS_LOCAL, Comparison, Load, Rejection, Rule, Statement, Update, ct_state, ct_status,
};

use k3s_base::error::chain;

use crate::netlink::NetlinkError;

/// Why a batch or a listing failed.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// The transaction was refused as a whole; these are the commands at fault.
    #[error("packet filter transaction refused: {}", describe(.0))]
    Refused(Vec<Failure>),
    /// The batch could not be sent, or a listing failed.
    #[error("{what}")]
    Kernel {
        /// The operation.
        what: String,
        /// The answer.
        #[source]
        source: NetlinkError,
    },
    /// A table name without the prefix.
    #[error("table {0:?} is of another program: its name does not start with \"k3s-\"")]
    NotOurs(String),
    /// A rule that the register file cannot hold.
    #[error("a rule statement needs more than 16 registers")]
    Registers,
    /// An interval set whose key has one part, which this encoding cannot express.
    #[error("set {0}: ranges need a key of two parts or more")]
    Ranges(String),
    /// The thread that the transaction ran on ended before it was done.
    #[error("the transaction was cut off")]
    Interrupted,
}

/// A command that the kernel refused.
#[derive(Debug)]
pub struct Failure {
    /// Its place in the batch.
    pub command: usize,
    /// A description of the command.
    pub what: String,
    /// The kernel's answer.
    pub error: NetlinkError,
}

/// Only this many failures are printed; a broken first command can break all others.
const FAILURES_SHOWN: usize = 3;

fn describe(failures: &[Failure]) -> String {
    let mut text: Vec<String> = failures
        .iter()
        .take(FAILURES_SHOWN)
        .map(|failure| format!("{}: {}", failure.what, chain(&failure.error)))
        .collect();
    if failures.len() > FAILURES_SHOWN {
        text.push(format!("and {} more", failures.len() - FAILURES_SHOWN));
    }
    text.join("; ")
}

/// The packet filter of one network namespace. Calls block for as long as the kernel works.
pub trait Nft: Send + Sync {
    /// Executes everything in the batch, or nothing.
    fn commit(&self, batch: &Batch) -> Result<(), NftError>;
    /// Our tables, with their comments.
    fn tables(&self) -> Result<Vec<(TableId, Option<String>)>, NftError>;
    /// The names of a table's sets and maps.
    fn sets(&self, table: &TableId) -> Result<Vec<String>, NftError>;
    /// The elements of a set or map.
    fn elements(&self, table: &TableId, set: &str) -> Result<Vec<Element>, NftError>;
    /// How many rules the table has, over all chains.
    fn rule_count(&self, table: &TableId) -> Result<usize, NftError>;
}

/// Removes these tables, those of them that exist. For clean-up.
pub fn remove_tables(nft: &dyn Nft, wanted: impl Fn(&TableId) -> bool) -> Result<usize, NftError> {
    let mut batch = Batch::default();
    let mut removed = 0;
    for (table, _) in nft.tables()? {
        if wanted(&table) {
            batch.delete_table(&table);
            removed += 1;
        }
    }
    if removed > 0 {
        nft.commit(&batch)?;
    }
    Ok(removed)
}
