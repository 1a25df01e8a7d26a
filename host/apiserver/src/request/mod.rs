//! Reading a request: its resource, its options and body, and the form of answer it accepts.

pub(crate) mod accept;
pub(crate) mod body;
pub(crate) mod info;
pub(crate) mod options;
pub(crate) mod query;
pub(crate) mod typing;
pub(crate) mod yaml;

pub(crate) use accept::{Accept, Form, Shape};
pub(crate) use info::RequestInfo;
pub(crate) use query::Query;
