//! The servers behind routes: which endpoints there are ([`pool`]), which is next ([`balance`]), and the
//! connections to them ([`client`]).

pub(crate) mod balance;
pub(crate) mod body;
pub(crate) mod client;
pub(crate) mod dial;
pub(crate) mod h2c;
pub(crate) mod pool;
