//! A transaction: commands in order, encoded as one netlink batch.

use std::time::Duration;

use super::model::{
    BaseChain, Chain, ChainKind, Data, Element, Family, Field, Hook, Set, SetData, TableId,
    Verdict, key_len,
};
use super::statement::Rule;
use super::uapi::{
    BATCH_BEGIN, BATCH_END, BATCH_RESOURCE, CHAIN_HOOK, CHAIN_NAME, CHAIN_POLICY, CHAIN_TABLE,
    CHAIN_TYPE, DATA_TYPE_VERDICT, DATA_VALUE, DATA_VERDICT, DEL_CHAIN, DEL_ELEMENT, DEL_RULE,
    DEL_TABLE, ELEM_DATA, ELEM_KEY, ELEM_KEY_END, ELEM_LIST_ELEMENTS, ELEM_LIST_SET,
    ELEM_LIST_TABLE, ELEM_TIMEOUT, ELEM_USERDATA, FLAG_CONCAT, FLAG_EVAL, FLAG_INTERVAL, FLAG_MAP,
    FLAG_TIMEOUT, HOOK_NUM, HOOK_PRIORITY, LIST_ELEM, NEW_CHAIN, NEW_ELEMENT, NEW_RULE, NEW_SET,
    NEW_TABLE, NF_ACCEPT, NFGEN_LEN, RULE_CHAIN, RULE_EXPRESSIONS, RULE_TABLE, SET_DATA_LEN,
    SET_DATA_TYPE, SET_DESC, SET_DESC_CONCAT, SET_DESC_SIZE, SET_FIELD_LEN, SET_FLAGS, SET_ID,
    SET_KEY_LEN, SET_KEY_TYPE, SET_NAME, SET_TABLE, SET_TIMEOUT, TABLE_NAME, TABLE_USERDATA,
    UDATA_COMMENT, VERDICT_ACCEPT, VERDICT_CHAIN, VERDICT_CODE, VERDICT_DROP, VERDICT_GOTO,
    VERDICT_JUMP, VERDICT_RETURN,
};
use super::{NftError, compile};
use crate::netlink::Builder;
use crate::netlink::wire::{Header, NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REQUEST};

/// Elements per message: with keys, values and comments at their longest this stays below the 64 KiB
/// that an attribute can hold.
const ELEMENTS_PER_MESSAGE: usize = 192;
/// Longest comment (its length is one byte, and the bound above counts on it).
const COMMENT_MAX: usize = 120;

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Creates a table; it may exist already (its comment stays then).
    AddTable {
        /// The table.
        table: TableId,
        /// Free text, kept with it.
        comment: Option<String>,
    },
    /// Removes a table with everything in it.
    DeleteTable(TableId),
    /// Creates a chain; it may exist already.
    AddChain(TableId, Chain),
    /// Removes every rule of a chain.
    FlushChain(TableId, String),
    /// Removes a chain that nothing refers to.
    DeleteChain(TableId, String),
    /// Appends a rule.
    AddRule(TableId, String, Rule),
    /// Creates a set.
    AddSet(TableId, Set),
    /// Adds elements; the same element may exist already, one with other data may not.
    AddElements(TableId, String, Vec<Element>),
    /// Removes elements, which must exist.
    DeleteElements(TableId, String, Vec<Element>),
}

/// Commands that the kernel executes as one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    commands: Vec<Command>,
}

impl Batch {
    /// The commands so far.
    #[must_use]
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }

    /// Nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Appends a command.
    pub fn push(&mut self, command: Command) {
        self.commands.push(command);
    }

    /// Creates a table.
    fn add_table(&mut self, table: &TableId, comment: Option<&str>) {
        self.push(Command::AddTable {
            table: table.clone(),
            comment: comment.map(str::to_owned),
        });
    }

    /// Removes a table.
    pub fn delete_table(&mut self, table: &TableId) {
        self.push(Command::DeleteTable(table.clone()));
    }

    /// Removes whatever the table has and leaves it empty, whether it existed or not.
    pub fn replace_table(&mut self, table: &TableId, comment: Option<&str>) {
        // Deleting a table that does not exist fails.
        self.add_table(table, None);
        self.delete_table(table);
        self.add_table(table, comment);
    }

    /// Creates a chain.
    pub fn add_chain(&mut self, table: &TableId, name: &str, base: Option<BaseChain>) {
        self.push(Command::AddChain(
            table.clone(),
            Chain {
                name: name.to_owned(),
                base,
            },
        ));
    }

    /// Appends a rule.
    pub fn add_rule(&mut self, table: &TableId, chain: &str, rule: Rule) {
        self.push(Command::AddRule(table.clone(), chain.to_owned(), rule));
    }

    /// Creates a set.
    pub fn add_set(&mut self, table: &TableId, set: Set) {
        self.push(Command::AddSet(table.clone(), set));
    }

    /// Adds elements.
    pub fn add_elements(&mut self, table: &TableId, set: &str, elements: Vec<Element>) {
        if !elements.is_empty() {
            self.push(Command::AddElements(
                table.clone(),
                set.to_owned(),
                elements,
            ));
        }
    }

    /// Removes elements.
    pub fn delete_elements(&mut self, table: &TableId, set: &str, elements: Vec<Element>) {
        if !elements.is_empty() {
            self.push(Command::DeleteElements(
                table.clone(),
                set.to_owned(),
                elements,
            ));
        }
    }
}

impl Command {
    /// For error messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::AddTable { table, .. } => format!("add table {table}"),
            Self::DeleteTable(table) => format!("delete table {table}"),
            Self::AddChain(table, chain) => format!("add chain {table} {}", chain.name),
            Self::FlushChain(table, chain) => format!("flush chain {table} {chain}"),
            Self::DeleteChain(table, chain) => format!("delete chain {table} {chain}"),
            Self::AddRule(table, chain, _) => format!("add rule {table} {chain}"),
            Self::AddSet(table, set) => format!("add set {table} {}", set.name),
            Self::AddElements(table, set, e) => {
                format!("add {} elements to {table} {set}", e.len())
            }
            Self::DeleteElements(table, set, e) => {
                format!("delete {} elements from {table} {set}", e.len())
            }
        }
    }
}

/// A batch in the kernel's form.
pub(super) struct Encoded {
    pub(super) builder: Builder,
    /// Which command each message came from, by sequence number less `first`.
    pub(super) origins: Vec<usize>,
    /// Sequence number of the first command's message.
    pub(super) first: u32,
}

impl Encoded {
    /// The last command's sequence number: the one that is acknowledged.
    pub(super) fn last(&self) -> u32 {
        self.first
            + u32::try_from(self.origins.len())
                .unwrap_or(u32::MAX)
                .saturating_sub(1)
    }
}

/// Encodes a batch that is not empty.
pub(super) fn encode(batch: &Batch) -> Result<Encoded, NftError> {
    let mut writer = Writer {
        builder: Builder::default(),
        origins: Vec::new(),
        command: 0,
        total: 0,
    };
    writer.total = batch.commands.iter().map(messages_of).sum();
    writer.frame(BATCH_BEGIN, 0);
    for (index, command) in batch.commands.iter().enumerate() {
        writer.command = index;
        writer.write(command)?;
    }
    writer.frame(
        BATCH_END,
        u32::try_from(writer.origins.len()).unwrap_or(u32::MAX) + 1,
    );
    Ok(Encoded {
        builder: writer.builder,
        origins: writer.origins,
        first: 1,
    })
}

fn messages_of(command: &Command) -> usize {
    match command {
        Command::AddElements(_, _, e) | Command::DeleteElements(_, _, e) => {
            e.len().div_ceil(ELEMENTS_PER_MESSAGE)
        }
        _ => 1,
    }
}

struct Writer {
    builder: Builder,
    origins: Vec<usize>,
    command: usize,
    total: usize,
}

impl Writer {
    fn frame(&mut self, kind: u16, sequence: u32) {
        self.builder.message(
            Header {
                kind,
                flags: NLM_F_REQUEST,
                sequence,
            },
            |m| {
                m.raw(&[0, 0]);
                m.raw(&BATCH_RESOURCE);
            },
        );
    }

    fn message(&mut self, kind: u16, flags: u16, table: &TableId, body: impl FnOnce(&mut Builder)) {
        self.origins.push(self.command);
        // Only the last message is acknowledged: errors come back anyway, and one answer says that
        // the transaction is through.
        let acknowledge = if self.origins.len() == self.total {
            NLM_F_ACK
        } else {
            0
        };
        let sequence = u32::try_from(self.origins.len()).unwrap_or(u32::MAX);
        let header = Header {
            kind,
            flags: NLM_F_REQUEST | acknowledge | flags,
            sequence,
        };
        self.builder.message(header, |m| {
            m.raw(&nfgen(table.family()));
            body(m);
        });
    }

    fn write(&mut self, command: &Command) -> Result<(), NftError> {
        match command {
            Command::AddTable { table, comment } => {
                self.message(NEW_TABLE, NLM_F_CREATE, table, |m| {
                    m.attr_str(TABLE_NAME, table.name());
                    if let Some(comment) = comment {
                        write_comment(m, TABLE_USERDATA, comment);
                    }
                })
            }
            Command::DeleteTable(table) => self.message(DEL_TABLE, 0, table, |m| {
                m.attr_str(TABLE_NAME, table.name())
            }),
            Command::AddChain(table, chain) => {
                self.message(NEW_CHAIN, NLM_F_CREATE, table, |m| {
                    write_chain(m, table, chain)
                });
            }
            Command::FlushChain(table, chain) => self.message(DEL_RULE, 0, table, |m| {
                m.attr_str(RULE_TABLE, table.name());
                m.attr_str(RULE_CHAIN, chain);
            }),
            Command::DeleteChain(table, chain) => self.message(DEL_CHAIN, 0, table, |m| {
                m.attr_str(CHAIN_TABLE, table.name());
                m.attr_str(CHAIN_NAME, chain);
            }),
            Command::AddRule(table, chain, rule) => return self.add_rule(table, chain, rule),
            Command::AddSet(table, set) => {
                check_set(set)?;
                let id = u32::try_from(self.origins.len() + 1).unwrap_or(u32::MAX);
                self.message(NEW_SET, NLM_F_CREATE, table, |m| {
                    write_set(m, table, set, id)
                });
            }
            Command::AddElements(table, set, elements) => {
                self.elements(NEW_ELEMENT, NLM_F_CREATE, table, set, elements);
            }
            Command::DeleteElements(table, set, elements) => {
                self.elements(DEL_ELEMENT, 0, table, set, elements)
            }
        }
        Ok(())
    }

    fn add_rule(&mut self, table: &TableId, chain: &str, rule: &Rule) -> Result<(), NftError> {
        let mut result = Ok(());
        self.message(NEW_RULE, NLM_F_CREATE | NLM_F_APPEND, table, |m| {
            m.attr_str(RULE_TABLE, table.name());
            m.attr_str(RULE_CHAIN, chain);
            m.nest(RULE_EXPRESSIONS, |m| {
                result = compile::write_rule(m, table.family(), rule)
            });
        });
        result
    }

    fn elements(
        &mut self,
        kind: u16,
        flags: u16,
        table: &TableId,
        set: &str,
        elements: &[Element],
    ) {
        for chunk in elements.chunks(ELEMENTS_PER_MESSAGE) {
            self.message(kind, flags, table, |m| {
                m.attr_str(ELEM_LIST_TABLE, table.name());
                m.attr_str(ELEM_LIST_SET, set);
                m.nest(ELEM_LIST_ELEMENTS, |m| {
                    for element in chunk {
                        m.nest(LIST_ELEM, |m| {
                            write_element(m, element, kind == NEW_ELEMENT)
                        });
                    }
                });
            });
        }
    }
}

/// `struct nfgenmsg`.
pub(super) fn nfgen(family: Family) -> [u8; NFGEN_LEN] {
    let number = match family {
        Family::Ipv4 => libc::AF_INET,
        Family::Ipv6 => libc::AF_INET6,
    };
    // NFPROTO_IPV4 and NFPROTO_IPV6 are the address families, both below 256.
    [number as u8, 0, 0, 0]
}

fn write_chain(m: &mut Builder, table: &TableId, chain: &Chain) {
    m.attr_str(CHAIN_TABLE, table.name());
    m.attr_str(CHAIN_NAME, &chain.name);
    let Some(base) = chain.base else { return };
    let hook = match base.hook {
        Hook::Prerouting => 0,
        Hook::Input => 1,
        Hook::Forward => 2,
        Hook::Output => 3,
        Hook::Postrouting => 4,
    };
    m.nest(CHAIN_HOOK, |m| {
        m.attr_be32(HOOK_NUM, hook);
        m.attr(HOOK_PRIORITY, &base.priority.to_be_bytes());
    });
    m.attr_be32(CHAIN_POLICY, NF_ACCEPT);
    m.attr_str(
        CHAIN_TYPE,
        match base.kind {
            ChainKind::Filter => "filter",
            ChainKind::Nat => "nat",
        },
    );
}

fn check_set(set: &Set) -> Result<(), NftError> {
    if set.interval && set.key.len() < 2 {
        return Err(NftError::Ranges(set.name.clone()));
    }
    Ok(())
}

fn write_set(m: &mut Builder, table: &TableId, set: &Set, id: u32) {
    let mut flags = 0;
    flags |= if set.data == SetData::None {
        0
    } else {
        FLAG_MAP
    };
    flags |= if set.interval {
        FLAG_INTERVAL | FLAG_CONCAT
    } else {
        0
    };
    flags |= if set.dynamic.is_some() {
        FLAG_TIMEOUT | FLAG_EVAL
    } else {
        0
    };
    m.attr_str(SET_TABLE, table.name());
    m.attr_str(SET_NAME, &set.name);
    m.attr_be32(SET_FLAGS, flags);
    m.attr_be32(SET_KEY_TYPE, type_id(&set.key));
    m.attr_be32(SET_KEY_LEN, length(key_len(&set.key)));
    m.attr_be32(SET_ID, id);
    match &set.data {
        SetData::None => {}
        SetData::Verdict => m.attr_be32(SET_DATA_TYPE, DATA_TYPE_VERDICT),
        SetData::Value(fields) => {
            m.attr_be32(SET_DATA_TYPE, type_id(fields));
            m.attr_be32(SET_DATA_LEN, length(key_len(fields)));
        }
    }
    if let Some(timeout) = set.dynamic {
        m.attr(SET_TIMEOUT, &milliseconds(timeout));
    }
    if set.size.is_some() || set.interval {
        m.nest(SET_DESC, |m| write_description(m, set));
    }
}

fn write_description(m: &mut Builder, set: &Set) {
    if let Some(size) = set.size {
        m.attr_be32(SET_DESC_SIZE, size);
    }
    if set.interval {
        m.nest(SET_DESC_CONCAT, |m| {
            for field in &set.key {
                m.nest(LIST_ELEM, |m| {
                    m.attr_be32(SET_FIELD_LEN, length(field.width()))
                });
            }
        });
    }
}

fn write_element(m: &mut Builder, element: &Element, whole: bool) {
    m.nest(ELEM_KEY, |m| m.attr(DATA_VALUE, &element.key));
    if let Some(end) = &element.key_end {
        m.nest(ELEM_KEY_END, |m| m.attr(DATA_VALUE, end));
    }
    // Removing goes by key alone.
    if !whole {
        return;
    }
    match &element.data {
        Data::None => {}
        Data::Verdict(verdict) => m.nest(ELEM_DATA, |m| write_verdict(m, verdict)),
        Data::Value(value) => m.nest(ELEM_DATA, |m| m.attr(DATA_VALUE, value)),
    }
    if let Some(expires) = element.expires {
        m.attr(ELEM_TIMEOUT, &milliseconds(expires));
    }
    if let Some(comment) = &element.comment {
        write_comment(m, ELEM_USERDATA, comment);
    }
}

/// A verdict as data.
pub(super) fn write_verdict(m: &mut Builder, verdict: &Verdict) {
    let (code, chain) = match verdict {
        Verdict::Accept => (VERDICT_ACCEPT, None),
        Verdict::Drop => (VERDICT_DROP, None),
        Verdict::Return => (VERDICT_RETURN, None),
        Verdict::Jump(chain) => (VERDICT_JUMP, Some(chain)),
        Verdict::Goto(chain) => (VERDICT_GOTO, Some(chain)),
    };
    m.nest(DATA_VERDICT, |m| {
        m.attr(VERDICT_CODE, &code.to_be_bytes());
        if let Some(chain) = chain {
            m.attr_str(VERDICT_CHAIN, chain);
        }
    });
}

fn write_comment(m: &mut Builder, attribute: u16, comment: &str) {
    let mut end = comment.len().min(COMMENT_MAX);
    while !comment.is_char_boundary(end) {
        end -= 1;
    }
    let text = comment.get(..end).unwrap_or_default();
    // Type, length (of the text with its zero), text.
    let mut data = vec![
        UDATA_COMMENT,
        u8::try_from(text.len() + 1).unwrap_or(u8::MAX),
    ];
    data.extend_from_slice(text.as_bytes());
    data.push(0);
    m.attr(attribute, &data);
}

/// The kernel's 64-bit milliseconds.
pub(super) fn milliseconds(duration: Duration) -> [u8; 8] {
    u64::try_from(duration.as_millis())
        .unwrap_or(u64::MAX)
        .to_be_bytes()
}

/// The data type number that `nft list` prints by: six bits for each part.
fn type_id(fields: &[Field]) -> u32 {
    fields.iter().fold(0, |id, field| {
        let own = match field {
            Field::Ipv4 => 7,
            Field::Ipv6 => 8,
            Field::Protocol => 12,
            Field::Port => 13,
            Field::Number => 19,
            Field::Interface => 41,
        };
        id << 6 | own
    })
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
