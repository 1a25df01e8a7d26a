//! The same requests to upstream's kube-apiserver and to this server, and what differs in their answers.
//!
//! `corpus` makes cases from the tables of kinds, the sample objects in `kinds/`, and the files in `files/`,
//! each by seed and index alone. `run` sends a case to both servers. `normalise` takes out what must differ,
//! `compare` finds the differences, `group` puts those of one cause together, and `expected` sets aside what
//! is meant to differ, for the reasons in `expected.yaml`.
#![allow(
    clippy::indexing_slicing,
    reason = "an index into a JSON value gives null, it does not panic"
)]
#![allow(
    clippy::print_stdout,
    reason = "a command line tool speaks on its terminal"
)]

pub mod compare;
pub mod corpus;
pub mod expected;
pub mod group;
pub mod normalise;
pub mod options;
pub mod request;
pub mod run;
pub mod target;
