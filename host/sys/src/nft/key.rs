//! Keys and values of sets, written part by part.

use std::net::Ipv4Addr;

/// Builds a key or a value. Each part fills whole 32-bit registers, as in the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key(Vec<u8>);

impl Key {
    /// An empty key.
    #[must_use]
    pub fn new() -> Self {
        Self(Vec::with_capacity(16))
    }

    /// An IPv4 address.
    #[must_use]
    pub fn ipv4(self, address: Ipv4Addr) -> Self {
        self.part(&address.octets())
    }

    /// An IP protocol number.
    #[must_use]
    pub fn protocol(self, protocol: u8) -> Self {
        self.part(&[protocol])
    }

    /// A transport port.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        self.part(&port.to_be_bytes())
    }

    /// A number in host order.
    #[must_use]
    pub fn number(self, number: u32) -> Self {
        self.part(&number.to_ne_bytes())
    }

    fn part(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }
}

impl From<Key> for Vec<u8> {
    fn from(key: Key) -> Self {
        key.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_padded() {
        let key: Vec<u8> = Key::new()
            .ipv4([10, 43, 0, 10].into())
            .protocol(17)
            .port(53)
            .into();
        assert_eq!(key, [10, 43, 0, 10, 17, 0, 0, 0, 0, 53, 0, 0]);
    }
}
