//! The `net` capability over the kernel: a plan is read, compared with what is there, and made true.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k3s_runtime::Bandwidth;
use k3s_sys::net::{DefaultRoute, Net, NetError};
use k3s_sys::nft::Nft;
use k3s_wit_bindings::net::k3s::net::net::Plan;
use parking_lot::Mutex;

use crate::act::Applier;
use crate::diff::{self, Action};
use crate::error::PlanError;
use crate::grants::Grants;
use crate::model::Desired;
use crate::snapshot::Snapshot;
use crate::tables;

/// Written in front of the owner's name in a link's alias.
pub(crate) const ALIAS_PREFIX: &str = "k3s-cni:";
/// A pod's link, as everybody calls it.
const POD_LINK: &str = "eth0";
/// Of a byte.
const BITS: u64 = 8;
/// Owner of what the node as a whole needs.
pub const NODE_OWNER: &str = "node";

/// What the `net` capability is backed by: the kernel, or a fake that a component is checked on.
pub trait NodeNetwork: Send + Sync {
    /// Lets plans of this sandbox reach its namespace, until [`NodeNetwork::end_pod`].
    fn begin_pod(&self, id: &str, namespace: PathBuf);
    /// See [`NodeNetwork::begin_pod`].
    fn end_pod(&self, id: &str);
    /// Makes the plan true; answers how many changes that took.
    fn apply(&self, owner: &str, plan: &Plan) -> Result<u32, PlanError>;
    /// What that would change.
    fn differences(&self, owner: &str, plan: &Plan) -> Result<Vec<String>, PlanError>;
    /// Removes everything of the owner's.
    fn remove(&self, owner: &str) -> Result<(), PlanError>;
    /// Everyone who owns anything.
    fn owners(&self) -> Result<BTreeSet<String>, PlanError>;
    /// The way out of the node.
    fn uplink(&self) -> Result<DefaultRoute, PlanError>;
    /// Limits what a pod receives and sends; bits a second. The pair must be there; with it go the limits.
    fn limit(&self, id: &str, namespace: &Path, limits: Bandwidth) -> Result<(), PlanError>;
}

/// Holds a plan against the rules for plans, without making it true.
pub(crate) fn validate(owner: &str, plan: &Plan, grants: &Grants) -> Result<(), PlanError> {
    Desired::read(owner, plan, grants).map(drop)
}

impl NodeNetwork for NetHost {
    fn begin_pod(&self, id: &str, namespace: PathBuf) {
        self.pods.lock().insert(id.to_owned(), namespace);
    }

    fn end_pod(&self, id: &str) {
        self.pods.lock().remove(id);
    }

    fn apply(&self, owner: &str, plan: &Plan) -> Result<u32, PlanError> {
        NetHost::apply(self, owner, plan)
    }

    fn differences(&self, owner: &str, plan: &Plan) -> Result<Vec<String>, PlanError> {
        NetHost::differences(self, owner, plan)
    }

    fn remove(&self, owner: &str) -> Result<(), PlanError> {
        NetHost::remove(self, owner)
    }

    fn owners(&self) -> Result<BTreeSet<String>, PlanError> {
        NetHost::owners(self)
    }

    fn uplink(&self) -> Result<DefaultRoute, PlanError> {
        NetHost::uplink(self)
    }

    /// Received is limited at the end of its pair on the node, sent at the pod's own end.
    fn limit(&self, id: &str, namespace: &Path, limits: Bandwidth) -> Result<(), PlanError> {
        let failed = |source| PlanError::Net {
            what: "limit the pod's bandwidth".to_owned(),
            source,
        };
        if let Some(bits) = limits.ingress {
            let alias = format!("{ALIAS_PREFIX}{id}");
            let links = self.net.links().map_err(failed)?;
            let outside = links
                .iter()
                .find(|link| link.alias.as_deref() == Some(&alias));
            let outside = outside.ok_or_else(|| failed(NetError::NoLink(alias)))?;
            self.net
                .limit_rate(outside.index, bits / BITS)
                .map_err(failed)?;
        }
        if let Some(bits) = limits.egress {
            let inside = Net::of_namespace(namespace).map_err(failed)?;
            let link = inside.require_link(POD_LINK).map_err(failed)?;
            inside.limit_rate(link.index, bits / BITS).map_err(failed)?;
        }
        Ok(())
    }
}

/// The node's network as a plugin may change it.
pub struct NetHost {
    net: Net,
    nft: Arc<dyn Nft>,
    grants: Grants,
    /// Namespaces of the sandboxes that calls are about at present.
    pods: Mutex<HashMap<String, PathBuf>>,
    /// One change at a time, since every change starts with a snapshot.
    turn: Mutex<()>,
}

impl NetHost {
    /// Works on the network namespace that `net` and `nft` were opened in, which must be the process's
    /// own, since settings are files of that.
    #[must_use]
    pub fn new(net: Net, nft: Arc<dyn Nft>, grants: Grants) -> Self {
        Self {
            net,
            nft,
            grants,
            pods: Mutex::default(),
            turn: Mutex::new(()),
        }
    }

    /// Makes the plan true. Answers how many changes that took.
    pub fn apply(&self, owner: &str, plan: &Plan) -> Result<u32, PlanError> {
        let _turn = self.turn.lock();
        let difference = self.compare(owner, plan)?;
        let count = difference.actions.len() + difference.filter.changes();
        let applier = Applier {
            owner,
            host: &self.net,
            pod: difference.pod.as_ref(),
        };
        for action in &difference.actions {
            tracing::debug!(owner, %action, "network");
            applier.perform(action).map_err(|source| PlanError::Net {
                what: action.to_string(),
                source,
            })?;
        }
        difference.filter.commit(&*self.nft)?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// What [`NetHost::apply`] would change.
    pub fn differences(&self, owner: &str, plan: &Plan) -> Result<Vec<String>, PlanError> {
        let _turn = self.turn.lock();
        let difference = self.compare(owner, plan)?;
        Ok(difference
            .actions
            .iter()
            .map(ToString::to_string)
            .chain(difference.filter.describe())
            .collect())
    }

    /// Removes everything of the owner's. The pod's own namespace need not exist any more: what is in
    /// it goes with the pair.
    pub fn remove(&self, owner: &str) -> Result<(), PlanError> {
        let nothing = Plan {
            links: Vec::new(),
            routes: Vec::new(),
            neighbours: Vec::new(),
            sysctls: Vec::new(),
            tables: Vec::new(),
            elements: Vec::new(),
        };
        self.apply(owner, &nothing).map(drop)
    }

    /// Everyone who owns anything.
    pub fn owners(&self) -> Result<BTreeSet<String>, PlanError> {
        let _turn = self.turn.lock();
        let links = self.net.links().map_err(read_failed)?;
        let mut owners: BTreeSet<String> = links
            .iter()
            .filter_map(|l| l.alias.as_deref()?.strip_prefix(ALIAS_PREFIX))
            .map(str::to_owned)
            .collect();
        owners.extend(tables::owners(&*self.nft)?);
        if self
            .net
            .routes()
            .map_err(read_failed)?
            .iter()
            .any(|r| r.owned)
        {
            owners.insert(NODE_OWNER.to_owned());
        }
        Ok(owners)
    }

    /// The way out of the node: as configured, or by the default route.
    pub fn uplink(&self) -> Result<DefaultRoute, PlanError> {
        let found = match self.grants.node_address {
            Some(address) => self.net.route_of_address(address).and_then(|found| {
                found.ok_or_else(|| NetError::NoLink(format!("(with address {address})")))
            }),
            None => self.net.default_route(),
        };
        found.map_err(read_failed)
    }

    fn compare(&self, owner: &str, plan: &Plan) -> Result<Difference, PlanError> {
        let desired = Desired::read(owner, plan, &self.grants)?;
        let snapshot = Snapshot::read(&self.net, owner).map_err(read_failed)?;
        let pod = match desired.pod_end() {
            Some(_) => Some(self.pod(owner)?),
            None => None,
        };
        let inside = pod
            .as_ref()
            .map(|net| Snapshot::read(net, owner))
            .transpose()
            .map_err(read_failed)?;
        let actions = diff::diff(owner, &desired, &snapshot, inside.as_ref())?;
        let filter = tables::diff(&*self.nft, owner, &desired)?;
        Ok(Difference {
            actions,
            filter,
            pod,
        })
    }

    fn pod(&self, id: &str) -> Result<Net, PlanError> {
        let path = self.pods.lock().get(id).cloned();
        let path =
            path.ok_or_else(|| PlanError::Invalid(format!("no call is about a sandbox {id}")))?;
        Net::of_namespace(&path).map_err(read_failed)
    }
}

/// The difference between the node and a plan.
struct Difference {
    actions: Vec<Action>,
    filter: tables::Difference,
    pod: Option<Net>,
}

pub(crate) fn read_failed(source: NetError) -> PlanError {
    PlanError::Net {
        what: "read the network".to_owned(),
        source,
    }
}

/// Removes every trace of a pod network from this namespace, also one that another process left:
/// owned links and flannel's by name, owned routes, owned tables.
pub fn cleanup(net: &Net, nft: &dyn Nft) -> Result<(), PlanError> {
    for link in net.links().map_err(read_failed)? {
        let ours = link
            .alias
            .as_deref()
            .is_some_and(|a| a.starts_with(ALIAS_PREFIX));
        let known = matches!(
            link.name.as_str(),
            "cni0" | "flannel.1" | "flannel-v6.1" | "flannel-wg" | "flannel-wg-v6"
        );
        if ours || known {
            net.delete_link(&link.name).map_err(read_failed)?;
        }
    }
    for route in net
        .routes()
        .map_err(read_failed)?
        .iter()
        .filter(|r| r.owned)
    {
        net.delete_route(route).map_err(read_failed)?;
    }
    tables::cleanup(nft)?;
    Ok(())
}
