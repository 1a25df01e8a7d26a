//! The users that parts of the process act as.

use k3s_client::{Client, ClientFactory};
use k3s_meta::user::UserInfo;

const AUTHENTICATED: &str = "system:authenticated";
const MASTERS: &str = "system:masters";
const SUPERVISOR: &str = "system:k3s-supervisor";

/// A client that speaks as a component, such as `system:kube-proxy`.
pub(crate) fn for_component(clients: &ClientFactory, name: &str) -> Client {
    clients.for_user(UserInfo::new(name, [AUTHENTICATED]))
}

/// A client that speaks as the node `name`.
pub(crate) fn for_node(clients: &ClientFactory, name: &str) -> Client {
    let user = format!("system:node:{name}");
    clients.for_user(UserInfo::new(user, ["system:nodes", AUTHENTICATED]))
}

/// A client that may do everything: for objects that K3s itself maintains.
pub(crate) fn for_supervisor(clients: &ClientFactory) -> Client {
    clients.for_user(UserInfo::new(SUPERVISOR, [MASTERS, AUTHENTICATED]))
}
