//! TLS: which certificate a client is shown ([`certs`]), with which settings ([`options`]), and the
//! client's first message ([`hello`]).

pub(crate) mod certs;
pub(crate) mod hello;
pub(crate) mod options;
