//! Tokens, and joining other servers.

use super::Flag;
use super::Shape::{One, Switch};

const ONE_SERVER: &str =
    "a server cannot join other servers yet; it would form a cluster of its own";
const NO_ETCD: &str =
    "there is no embedded etcd; give a database with --datastore-endpoint instead";

pub(super) const FLAGS: &[Flag] = &[
    Flag::new("token", One, "Shared secret to join this cluster")
        .short('t')
        .env("K3S_TOKEN"),
    Flag::new("token-file", One, "File that holds the token").env("K3S_TOKEN_FILE"),
    Flag::new("agent-token", One, "Shared secret for agents only").env("K3S_AGENT_TOKEN"),
    Flag::new("agent-token-file", One, "File that holds the agents' token")
        .env("K3S_AGENT_TOKEN_FILE"),
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
