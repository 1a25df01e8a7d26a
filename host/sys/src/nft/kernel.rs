//! The kernel's side of [`Nft`].

use super::batch::{self, nfgen};
use super::decode;
use super::model::{Element, Family, TableId};
use super::uapi::{
    ELEM_LIST_SET, ELEM_LIST_TABLE, GET_ELEMENT, GET_RULE, GET_SET, GET_TABLE, NEW_ELEMENT,
    NEW_RULE, NEW_SET, NEW_TABLE, RULE_TABLE, SET_TABLE,
};
use super::{Batch, Failure, Nft, NftError};
use crate::net::{NetError, netns};
use crate::netlink::{Builder, NetlinkError, Protocol, Socket};

/// nf_tables of the network namespace that it was opened in.
#[derive(Debug)]
pub struct Nftables {
    socket: Socket,
}

impl Nftables {
    /// Opens the calling thread's namespace.
    pub fn open() -> Result<Self, NftError> {
        let socket = Socket::open(Protocol::Netfilter).map_err(|e| failed("open nf_tables", e))?;
        Ok(Self { socket })
    }

    /// Opens the namespace at `path`.
    pub fn of_namespace(path: &std::path::Path) -> Result<Result<Self, NftError>, NetError> {
        netns::run_in(path, Self::open)
    }
}

impl Nft for Nftables {
    fn commit(&self, batch: &Batch) -> Result<(), NftError> {
        if batch.is_empty() {
            return Ok(());
        }
        let encoded = batch::encode(batch)?;
        tracing::trace!(
            bytes = encoded.builder.len(),
            commands = batch.commands().len(),
            "packet filter transaction"
        );
        let errors = self
            .socket
            .batch(encoded.builder.as_bytes(), encoded.last())
            .map_err(|e| failed("commit a packet filter transaction", e))?;
        if errors.is_empty() {
            return Ok(());
        }
        let failures = errors.into_iter().map(|error| {
            let place =
                usize::try_from(error.sequence.saturating_sub(encoded.first)).unwrap_or(usize::MAX);
            let command = encoded.origins.get(place).copied().unwrap_or(usize::MAX);
            let what = batch
                .commands()
                .get(command)
                .map_or_else(|| "commit".to_owned(), super::Command::describe);
            Failure {
                command,
                what,
                error: error.error,
            }
        });
        Err(NftError::Refused(failures.collect()))
    }

    fn tables(&self) -> Result<Vec<(TableId, Option<String>)>, NftError> {
        let mut tables = Vec::new();
        for family in [Family::Ipv4, Family::Ipv6] {
            let body = |m: &mut Builder| m.raw(&nfgen(family));
            let each = |kind, payload: &[u8]| {
                if kind == NEW_TABLE {
                    decode::table(payload)
                } else {
                    None
                }
            };
            tables.extend(
                self.socket
                    .dump(GET_TABLE, body, each)
                    .map_err(|e| failed("list tables", e))?,
            );
        }
        Ok(tables)
    }

    fn sets(&self, table: &TableId) -> Result<Vec<String>, NftError> {
        let body = |m: &mut Builder| {
            m.raw(&nfgen(table.family()));
            m.attr_str(SET_TABLE, table.name());
        };
        let each = |kind, payload: &[u8]| {
            if kind == NEW_SET {
                decode::set_name(payload)
            } else {
                None
            }
        };
        self.socket
            .dump(GET_SET, body, each)
            .map_err(|e| failed(&format!("list the sets of {table}"), e))
    }

    fn elements(&self, table: &TableId, set: &str) -> Result<Vec<Element>, NftError> {
        let body = |m: &mut Builder| {
            m.raw(&nfgen(table.family()));
            m.attr_str(ELEM_LIST_TABLE, table.name());
            m.attr_str(ELEM_LIST_SET, set);
        };
        let each = |kind, payload: &[u8]| (kind == NEW_ELEMENT).then(|| decode::elements(payload));
        let lists = self
            .socket
            .dump(GET_ELEMENT, body, each)
            .map_err(|e| failed(&format!("list the elements of {table} {set}"), e))?;
        Ok(lists.into_iter().flatten().collect())
    }

    fn rule_count(&self, table: &TableId) -> Result<usize, NftError> {
        let body = |m: &mut Builder| {
            m.raw(&nfgen(table.family()));
            m.attr_str(RULE_TABLE, table.name());
        };
        let each = |kind, _: &[u8]| (kind == NEW_RULE).then_some(());
        let rules = self
            .socket
            .dump(GET_RULE, body, each)
            .map_err(|e| failed(&format!("list the rules of {table}"), e))?;
        Ok(rules.len())
    }
}

fn failed(what: &str, source: NetlinkError) -> NftError {
    NftError::Kernel {
        what: what.to_owned(),
        source,
    }
}
