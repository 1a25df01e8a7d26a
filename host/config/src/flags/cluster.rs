//! Tokens, and joining other servers.

use std::path::PathBuf;

use super::Flag;
use super::Shape::{One, Switch};
use super::typed::OptionalFlag;
use super::values;

const ONE_SERVER: &str =
    "a server cannot join other servers yet; it would form a cluster of its own";
const NO_ETCD: &str =
    "there is no embedded etcd; give a database with --datastore-endpoint instead";

pub(crate) const TOKEN: OptionalFlag<String> = OptionalFlag::new(
    Flag::new("token", One, "Shared secret to join this cluster")
        .short('t')
        .env("K3S_TOKEN"),
    values::text,
);
pub(crate) const TOKEN_FILE: OptionalFlag<PathBuf> = OptionalFlag::new(
    Flag::new("token-file", One, "File that holds the token").env("K3S_TOKEN_FILE"),
    values::path,
);
pub(crate) const AGENT_TOKEN: OptionalFlag<String> = OptionalFlag::new(
    Flag::new("agent-token", One, "Shared secret for agents only").env("K3S_AGENT_TOKEN"),
    values::text,
);
pub(crate) const AGENT_TOKEN_FILE: OptionalFlag<PathBuf> = OptionalFlag::new(
    Flag::new("agent-token-file", One, "File that holds the agents' token")
        .env("K3S_AGENT_TOKEN_FILE"),
    values::path,
);

pub(super) const FLAGS: &[Flag] = &[
    TOKEN.row(),
    TOKEN_FILE.row(),
    AGENT_TOKEN.row(),
    AGENT_TOKEN_FILE.row(),
    Flag::new("server", One, "Server to join")
        .short('s')
        .env("K3S_URL")
        .fatal(ONE_SERVER),
    Flag::new("cluster-init", Switch, "Start a cluster with embedded etcd")
        .env("K3S_CLUSTER_INIT")
        .fatal(NO_ETCD),
    Flag::new("cluster-reset", Switch, "Become a cluster of one member")
        .env("K3S_CLUSTER_RESET")
        .fatal(NO_ETCD),
    Flag::new("cluster-reset-restore-path", One, "Snapshot to restore").fatal(NO_ETCD),
];
