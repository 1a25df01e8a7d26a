//! Netlink messages and attributes: writing into one buffer, reading from one.

/// Length of `struct nlmsghdr`.
pub(crate) const HEADER_LEN: usize = 16;

pub(crate) const NLM_F_REQUEST: u16 = 0x1;
pub(crate) const NLM_F_ACK: u16 = 0x4;
pub(crate) const NLM_F_DUMP: u16 = 0x300;
pub(crate) const NLM_F_REPLACE: u16 = 0x100;
pub(crate) const NLM_F_EXCL: u16 = 0x200;
pub(crate) const NLM_F_CREATE: u16 = 0x400;
pub(crate) const NLM_F_APPEND: u16 = 0x800;
pub(crate) const NLM_F_DUMP_INTR: u16 = 0x10;
/// The error message carries extended acknowledgement attributes.
pub(crate) const NLM_F_ACK_TLVS: u16 = 0x200;
/// The error message does not carry the request's payload.
pub(crate) const NLM_F_CAPPED: u16 = 0x100;

pub(crate) const NLMSG_ERROR: u16 = 2;
pub(crate) const NLMSG_DONE: u16 = 3;

/// Marks an attribute that holds attributes.
const NLA_F_NESTED: u16 = 0x8000;
const NLA_TYPE_MASK: u16 = 0x3fff;

/// `struct nlmsghdr` without the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
}

/// Writes one or more messages into one buffer.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    bytes: Vec<u8>,
}

impl Builder {
    /// Bytes written so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The finished messages.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Writes a message: header, then whatever `body` writes.
    pub(crate) fn message(&mut self, header: Header, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.raw(&0_u32.to_ne_bytes());
        self.raw(&header.kind.to_ne_bytes());
        self.raw(&header.flags.to_ne_bytes());
        self.raw(&header.sequence.to_ne_bytes());
        self.raw(&0_u32.to_ne_bytes());
        body(self);
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.patch(start, &length.to_ne_bytes());
        self.pad();
    }

    /// Appends bytes as they are (the family's fixed header).
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// An attribute with `data` as its value.
    pub(crate) fn attr(&mut self, kind: u16, data: &[u8]) {
        let length = u16::try_from(data.len() + 4).unwrap_or(u16::MAX);
        self.raw(&length.to_ne_bytes());
        self.raw(&kind.to_ne_bytes());
        self.raw(data);
        self.pad();
    }

    /// A number in host order, as in rtnetlink.
    pub(crate) fn attr_u32(&mut self, kind: u16, value: u32) {
        self.attr(kind, &value.to_ne_bytes());
    }

    /// A number in network order, as in nf_tables.
    pub(crate) fn attr_be32(&mut self, kind: u16, value: u32) {
        self.attr(kind, &value.to_be_bytes());
    }

    /// A string with its terminating zero.
    pub(crate) fn attr_str(&mut self, kind: u16, value: &str) {
        let length = u16::try_from(value.len() + 5).unwrap_or(u16::MAX);
        self.raw(&length.to_ne_bytes());
        self.raw(&kind.to_ne_bytes());
        self.raw(value.as_bytes());
        self.raw(&[0]);
        self.pad();
    }

    /// An attribute that holds what `body` writes.
    pub(crate) fn nest(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.raw(&0_u16.to_ne_bytes());
        self.raw(&(kind | NLA_F_NESTED).to_ne_bytes());
        body(self);
        let length = u16::try_from(self.bytes.len() - start).unwrap_or(u16::MAX);
        self.patch(start, &length.to_ne_bytes());
    }

    fn patch(&mut self, at: usize, value: &[u8]) {
        if let Some(place) = self.bytes.get_mut(at..at + value.len()) {
            place.copy_from_slice(value);
        }
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

/// Splits a received buffer into messages.
pub(crate) struct Messages<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = (Header, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::try_from(u32::from_ne_bytes(array(self.0, 0)?)).ok()?;
        let header = Header {
            kind: u16::from_ne_bytes(array(self.0, 4)?),
            flags: u16::from_ne_bytes(array(self.0, 6)?),
            sequence: u32::from_ne_bytes(array(self.0, 8)?),
        };
        let payload = self.0.get(HEADER_LEN..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((header, payload))
    }
}

/// Walks attributes; yields the type without its flag bits, and the value.
#[derive(Clone, Copy)]
pub(crate) struct Attributes<'a>(pub(crate) &'a [u8]);

impl<'a> Attributes<'a> {
    /// The attributes behind a fixed header of `skip` bytes.
    pub(crate) fn after(payload: &'a [u8], skip: usize) -> Self {
        Self(payload.get(skip..).unwrap_or_default())
    }

    /// The value of the first attribute of this type.
    pub(crate) fn find(self, kind: u16) -> Option<&'a [u8]> {
        self.into_iter()
            .find_map(|(k, value)| (k == kind).then_some(value))
    }

    /// The attributes inside the first attribute of this type; empty if there is none.
    pub(crate) fn inside(self, kind: u16) -> Attributes<'a> {
        Attributes(self.find(kind).unwrap_or_default())
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16::from_ne_bytes(array(self.0, 0)?));
        let kind = u16::from_ne_bytes(array(self.0, 2)?) & NLA_TYPE_MASK;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

/// `N` bytes at `at`, if they are there.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// A host-order number that fills the value.
pub(crate) fn u32_ne(value: &[u8]) -> Option<u32> {
    array(value, 0).map(u32::from_ne_bytes)
}

/// A string without its terminating zero.
pub(crate) fn string(value: &[u8]) -> String {
    let end = value.iter().position(|b| *b == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut builder = Builder::default();
        let header = Header {
            kind: 20,
            flags: NLM_F_REQUEST,
            sequence: 7,
        };
        builder.message(header, |m| {
            m.raw(&[9, 9, 9, 9]);
            m.attr_str(1, "cni0");
            m.nest(2, |m| {
                m.attr_u32(3, 1500);
                m.attr(4, &[1, 2, 3]);
            });
        });
        builder.message(
            Header {
                sequence: 8,
                ..header
            },
            |_| {},
        );

        let messages: Vec<_> = Messages(builder.as_bytes()).collect();
        assert_eq!(messages.len(), 2);
        assert_eq!(messages[0].0, header);
        let attributes = Attributes::after(messages[0].1, 4);
        assert_eq!(string(attributes.find(1).unwrap()), "cni0");
        assert_eq!(u32_ne(attributes.inside(2).find(3).unwrap()), Some(1500));
        assert_eq!(attributes.inside(2).find(4), Some(&[1, 2, 3][..]));
    }

    #[test]
    fn a_cut_buffer_yields_nothing_instead_of_failing() {
        let mut builder = Builder::default();
        builder.message(
            Header {
                kind: 1,
                flags: 0,
                sequence: 0,
            },
            |m| m.attr(1, &[0; 8]),
        );
        let whole = builder.as_bytes();
        for end in 0..whole.len() {
            assert_eq!(Messages(&whole[..end]).count(), 0);
        }
    }
}
