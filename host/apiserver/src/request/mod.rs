//! Reading a request: what it addresses, what it asks for, in which form.

pub(crate) mod accept;
pub(crate) mod body;
pub(crate) mod info;
pub(crate) mod options;
pub(crate) mod protobuf;
pub(crate) mod query;
pub(crate) mod yaml;

pub(crate) use accept::{Accept, Form, Shape};
pub(crate) use info::RequestInfo;
pub(crate) use query::Query;
