//! Statements to kernel expressions: each load uses the next free registers, and each statement
//! starts with all of them free.

use super::model::{Family, Verdict};
use super::statement::{Comparison, Load, Rejection, Statement, Update};
use super::uapi::{
    CT_STATE, CT_STATUS, DATA_VALUE, EXPR_DATA, EXPR_NAME, FIB_DADDR, FIB_RESULT_ADDRTYPE,
    FIB_SADDR, ICMP_PORT_UNREACHABLE, ICMP6_PORT_UNREACHABLE, LIST_ELEM, META_IIFNAME,
    META_L4PROTO, META_MARK, META_OIFNAME, NAT_DNAT, NAT_RANDOM_FULLY, PAYLOAD_NETWORK,
    PAYLOAD_TRANSPORT, REG_VERDICT, REG32_COUNT, REG32_FIRST, REJECT_ICMP, REJECT_TCP_RESET,
};
use super::{NftError, batch::write_verdict};
use crate::netlink::Builder;

/// Writes the expressions of one rule.
pub(super) fn write_rule(
    m: &mut Builder,
    family: Family,
    rule: &[Statement],
) -> Result<(), NftError> {
    rule.iter()
        .try_for_each(|statement| Compiler { m, family, next: 0 }.statement(statement))
}

struct Compiler<'a> {
    m: &'a mut Builder,
    family: Family,
    /// Registers in use.
    next: usize,
}

impl Compiler<'_> {
    fn statement(&mut self, statement: &Statement) -> Result<(), NftError> {
        match statement {
            Statement::Compare {
                load,
                mask,
                comparison,
                value,
            } => {
                let register = self.load(load)?;
                if let Some(mask) = mask {
                    self.mask(register, mask);
                }
                self.compare(register, *comparison, value);
            }
            Statement::InSet { key, set, negate } => {
                let register = self.loads(key)?;
                self.lookup(set, register, None, *negate);
            }
            Statement::VerdictMap { key, map } => {
                let register = self.loads(key)?;
                self.lookup(map, register, Some(REG_VERDICT), false);
            }
            Statement::Update {
                update,
                set,
                key,
                data,
                timeout,
            } => {
                let key = self.loads(key)?;
                let data = data.as_ref().map(|d| self.load(d)).transpose()?;
                self.update(*update, set, key, data, *timeout);
            }
            Statement::Dnat { to, port } => self.dnat(to, *port)?,
            Statement::Redirect(port) => {
                let register = self.load(&Load::Constant(port.to_be_bytes().to_vec()))?;
                self.expression("redir", |m| m.attr_be32(1, register));
            }
            Statement::Masquerade => self.expression("masq", |m| m.attr_be32(1, NAT_RANDOM_FULLY)),
            Statement::SetMark { keep, flip } => self.set_mark(*keep, *flip)?,
            Statement::Counter => self.expression("counter", |_| {}),
            Statement::Reject(rejection) => self.reject(*rejection),
            Statement::Verdict(verdict) => self.verdict(verdict),
        }
        Ok(())
    }

    /// Loads the parts of a key side by side; the first one's register names them all.
    fn loads(&mut self, parts: &[Load]) -> Result<u32, NftError> {
        // A lookup inside a key needs registers for its own key; those follow the outer key, so
        // that the outer key's parts stay side by side.
        let first = self.next;
        let mut at = first;
        for part in parts {
            self.next = at;
            self.load(part)?;
            at += self.registers_of(part);
        }
        self.next = at;
        Ok(register(first))
    }

    fn load(&mut self, load: &Load) -> Result<u32, NftError> {
        let dest = self.allocate(load)?;
        let address_at = |v4, v6| match self.family {
            Family::Ipv4 => (v4, 4),
            Family::Ipv6 => (v6, 16),
        };
        match load {
            Load::SourceAddress => self.payload(dest, PAYLOAD_NETWORK, address_at(12, 8)),
            Load::DestinationAddress => self.payload(dest, PAYLOAD_NETWORK, address_at(16, 24)),
            Load::SourcePort => self.payload(dest, PAYLOAD_TRANSPORT, (0, 2)),
            Load::DestinationPort => self.payload(dest, PAYLOAD_TRANSPORT, (2, 2)),
            Load::Protocol => self.meta(dest, META_L4PROTO),
            Load::Mark => self.meta(dest, META_MARK),
            Load::InInterface => self.meta(dest, META_IIFNAME),
            Load::OutInterface => self.meta(dest, META_OIFNAME),
            Load::CtState => self.conntrack(dest, CT_STATE),
            Load::CtStatus => self.conntrack(dest, CT_STATUS),
            Load::DestinationType => self.address_type(dest, FIB_DADDR),
            Load::SourceType => self.address_type(dest, FIB_SADDR),
            Load::Random { modulus, offset } => self.number(dest, *modulus, *offset, 1),
            Load::RoundRobin { modulus, offset } => self.number(dest, *modulus, *offset, 0),
            Load::Constant(bytes) => self.constant(dest, bytes),
            Load::Lookup { key, map, .. } => {
                let after = self.next;
                let key = self.loads(key)?;
                self.lookup(map, key, Some(dest), false);
                self.next = after;
            }
        }
        Ok(dest)
    }

    fn registers_of(&self, load: &Load) -> usize {
        let bytes = match load {
            Load::SourceAddress | Load::DestinationAddress => match self.family {
                Family::Ipv4 => 4,
                Family::Ipv6 => 16,
            },
            Load::InInterface | Load::OutInterface => 16,
            Load::Constant(bytes) => bytes.len(),
            Load::Lookup { width, .. } => *width,
            _ => 4,
        };
        bytes.div_ceil(4)
    }

    /// The first of the registers that a load is put into.
    fn allocate(&mut self, load: &Load) -> Result<u32, NftError> {
        let first = self.next;
        self.next += self.registers_of(load);
        if self.next > REG32_COUNT {
            return Err(NftError::Registers);
        }
        Ok(register(first))
    }

    fn expression(&mut self, name: &str, data: impl FnOnce(&mut Builder)) {
        self.m.nest(LIST_ELEM, |m| {
            m.attr_str(EXPR_NAME, name);
            m.nest(EXPR_DATA, data);
        });
    }

    fn payload(&mut self, dest: u32, base: u32, (offset, length): (u32, u32)) {
        self.expression("payload", |m| {
            m.attr_be32(1, dest);
            m.attr_be32(2, base);
            m.attr_be32(3, offset);
            m.attr_be32(4, length);
        });
    }

    fn meta(&mut self, dest: u32, key: u32) {
        self.expression("meta", |m| {
            m.attr_be32(1, dest);
            m.attr_be32(2, key);
        });
    }

    fn conntrack(&mut self, dest: u32, key: u32) {
        self.expression("ct", |m| {
            m.attr_be32(1, dest);
            m.attr_be32(2, key);
        });
    }

    fn address_type(&mut self, dest: u32, flags: u32) {
        self.expression("fib", |m| {
            m.attr_be32(1, dest);
            m.attr_be32(2, FIB_RESULT_ADDRTYPE);
            m.attr_be32(3, flags);
        });
    }

    fn number(&mut self, dest: u32, modulus: u32, offset: u32, random: u32) {
        self.expression("numgen", |m| {
            m.attr_be32(1, dest);
            m.attr_be32(2, modulus);
            m.attr_be32(3, random);
            m.attr_be32(4, offset);
        });
    }

    fn constant(&mut self, dest: u32, bytes: &[u8]) {
        self.expression("immediate", |m| {
            m.attr_be32(1, dest);
            m.nest(2, |m| m.attr(DATA_VALUE, bytes));
        });
    }

    fn mask(&mut self, register: u32, mask: &[u8]) {
        let length = u32::try_from(mask.len()).unwrap_or(u32::MAX);
        self.expression("bitwise", |m| {
            m.attr_be32(1, register);
            m.attr_be32(2, register);
            m.attr_be32(3, length);
            m.nest(4, |m| m.attr(DATA_VALUE, mask));
            m.nest(5, |m| m.attr(DATA_VALUE, &vec![0; mask.len()]));
        });
    }

    fn compare(&mut self, register: u32, comparison: Comparison, value: &[u8]) {
        let operator = match comparison {
            Comparison::Equal => 0,
            Comparison::NotEqual => 1,
        };
        self.expression("cmp", |m| {
            m.attr_be32(1, register);
            m.attr_be32(2, operator);
            m.nest(3, |m| m.attr(DATA_VALUE, value));
        });
    }

    fn lookup(&mut self, set: &str, key: u32, dest: Option<u32>, negate: bool) {
        self.expression("lookup", |m| {
            m.attr_str(1, set);
            m.attr_be32(2, key);
            if let Some(dest) = dest {
                m.attr_be32(3, dest);
            }
            if negate {
                m.attr_be32(5, 1);
            }
        });
    }

    fn update(
        &mut self,
        update: Update,
        set: &str,
        key: u32,
        data: Option<u32>,
        timeout: Option<std::time::Duration>,
    ) {
        let operation = match update {
            Update::Add => 0,
            Update::Refresh => 1,
            Update::Delete => 2,
        };
        self.expression("dynset", |m| {
            m.attr_str(1, set);
            m.attr_be32(3, operation);
            m.attr_be32(4, key);
            if let Some(data) = data {
                m.attr_be32(5, data);
            }
            if let Some(timeout) = timeout {
                m.attr(6, &super::batch::milliseconds(timeout));
            }
        });
    }

    fn dnat(&mut self, to: &Load, port: bool) -> Result<(), NftError> {
        let address = self.load(to)?;
        let (family, width) = match self.family {
            Family::Ipv4 => (libc::AF_INET, 1),
            Family::Ipv6 => (libc::AF_INET6, 4),
        };
        self.expression("nat", |m| {
            m.attr_be32(1, NAT_DNAT);
            m.attr(2, &family.to_be_bytes());
            m.attr_be32(3, address);
            if port {
                m.attr_be32(5, address + width);
            }
        });
        Ok(())
    }

    fn set_mark(&mut self, keep: u32, flip: u32) -> Result<(), NftError> {
        let register = self.load(&Load::Mark)?;
        self.expression("bitwise", |m| {
            m.attr_be32(1, register);
            m.attr_be32(2, register);
            m.attr_be32(3, 4);
            m.nest(4, |m| m.attr(DATA_VALUE, &keep.to_ne_bytes()));
            m.nest(5, |m| m.attr(DATA_VALUE, &flip.to_ne_bytes()));
        });
        self.expression("meta", |m| {
            m.attr_be32(2, META_MARK);
            m.attr_be32(3, register);
        });
        Ok(())
    }

    fn reject(&mut self, rejection: Rejection) {
        let port_unreachable = match self.family {
            Family::Ipv4 => ICMP_PORT_UNREACHABLE,
            Family::Ipv6 => ICMP6_PORT_UNREACHABLE,
        };
        self.expression("reject", |m| match rejection {
            Rejection::PortUnreachable => {
                m.attr_be32(1, REJECT_ICMP);
                m.attr(2, &[port_unreachable]);
            }
            Rejection::TcpReset => m.attr_be32(1, REJECT_TCP_RESET),
        });
    }

    fn verdict(&mut self, verdict: &Verdict) {
        self.expression("immediate", |m| {
            m.attr_be32(1, REG_VERDICT);
            m.nest(2, |m| write_verdict(m, verdict));
        });
    }
}

fn register(place: usize) -> u32 {
    REG32_FIRST + u32::try_from(place).unwrap_or(u32::MAX)
}
