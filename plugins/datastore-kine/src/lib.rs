//! Kine's table behind the `k3s:datastore` contract, whatever database it is in.
//!
//! The part that the bundled datastores share: how a batch becomes rows, how history and keys are read,
//! what compaction removes, when a database is refused. The differences between databases are text, in a
//! [`Dialect`]; a plugin is a dialect and a line that exports [`Kine`]. Everything works on the SDK's
//! `Database`, so a plugin can test its dialect natively.
//!
//! The table is kine's, column by column, so a database can go back and forth between this and kine as
//! long as its values are JSON. Values that kube-apiserver wrote as protobuf are refused: see [`open`]. Two
//! things differ from kine: revisions are assigned inside the transaction, under the database's write lock,
//! so the order of commits is the order of revisions and there are no gaps; and a row that cannot be
//! written does not affect the other rows of its batch.

pub mod append;
pub mod compact;
pub mod dialect;
mod kine;
pub mod open;
pub mod read;

pub use dialect::{Dialect, Insert, Parameters};
pub use kine::{HasDialect, Kine};
