//! TLS: which certificate a client is shown ([`certs`]), with which settings ([`options`]), and what it
//! said before that ([`hello`]).

pub(crate) mod certs;
pub(crate) mod hello;
pub(crate) mod options;
