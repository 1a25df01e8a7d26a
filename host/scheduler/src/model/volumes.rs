//! What a pod's volume claims ask of a node, read from claims, volumes and classes before the cycle,
//! so that the cycle stays without I/O.

use std::collections::BTreeMap;

use k3s_client::{Obj, Object};
use k3s_meta::object::annotation;
use k3s_meta::tree;
use k3s_objects::NodeSelector;
use k3s_volume::{
    Class, PodClaim, best_match, check_ephemeral, class_of, is_fully_bound, names, volume_name,
    waits_for_consumer,
};
use serde::Deserialize;
use serde_json::Value;

use super::{NodeInfo, PodInfo};
use crate::error::ClaimError;

/// The needs of one pod.
#[derive(Clone, Debug, Default)]
pub struct VolumeNeeds {
    /// Why the pod cannot run on any node yet.
    pub refusal: Option<ClaimError>,
    /// Where the volumes of bound claims can be used.
    bound: Vec<Reach>,
    /// Claims that wait for the node to be chosen.
    unbound: Vec<Unbound>,
    /// Claims that one pod at a time may use.
    pub exclusive: Vec<String>,
}

#[derive(Clone, Debug)]
enum Reach {
    Anywhere,
    Nodes(NodeSelector),
    /// The claim names a volume that does not exist.
    Nowhere,
}

#[derive(Clone, Debug)]
struct Unbound {
    claim: Object,
    volumes: Vec<Object>,
    /// The node that was chosen in an earlier attempt.
    selected: Option<String>,
    /// Whether a volume can be made, and on which nodes.
    provisions: bool,
    topologies: Vec<Value>,
}

/// How an unbound claim gets its volume on the chosen node.
#[derive(Clone, Debug)]
pub enum Choice {
    /// This volume exists.
    Static {
        /// The claim.
        claim: Object,
        /// Its volume to be.
        volume: Object,
    },
    /// One is made there.
    Provision {
        /// The claim.
        claim: Object,
    },
}

impl Choice {
    /// The claim it is about.
    #[must_use]
    pub fn claim(&self) -> &Object {
        match self {
            Self::Static { claim, .. } | Self::Provision { claim } => claim,
        }
    }
}

/// Why a node cannot give a pod its volumes (upstream's `ConflictReasons`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// A bound volume is elsewhere.
    Affinity,
    /// No volume for an unbound claim.
    NoVolume,
    /// A bound claim's volume is gone.
    Missing,
}

impl Conflict {
    /// Upstream's words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Affinity => "node(s) didn't match PersistentVolume's node affinity",
            Self::NoVolume => "node(s) didn't find available persistent volumes to bind",
            Self::Missing => {
                "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"
            }
        }
    }
}

/// Where the needs are read from.
pub trait Storage {
    /// A claim by `namespace/name`.
    fn claim(&self, key: &str) -> Option<Object>;
    /// A volume by name.
    fn volume(&self, name: &str) -> Option<Object>;
    /// All volumes.
    fn volumes(&self) -> Vec<Object>;
    /// A class by name.
    fn class(&self, name: &str) -> Option<Object>;
}

impl VolumeNeeds {
    /// Reads the needs of a pod.
    #[must_use]
    pub fn read(pod: &PodInfo, storage: &dyn Storage) -> Self {
        let mut needs = Self::default();
        for asked in &pod.volume_claims {
            if let Err(refusal) = needs.add(pod, asked, storage) {
                return Self {
                    refusal: Some(refusal),
                    ..Self::default()
                };
            }
        }
        needs
    }

    fn add(
        &mut self,
        pod: &PodInfo,
        asked: &PodClaim,
        storage: &dyn Storage,
    ) -> Result<(), ClaimError> {
        let name = &asked.name;
        let claim = usable_claim(pod, asked, storage)?;
        let value = claim.value();
        let volume = volume_name(value);
        if tree::list(value, "spec.accessModes")
            .iter()
            .any(|mode| mode == "ReadWriteOncePod")
        {
            self.exclusive.push(name.clone());
        }
        if is_fully_bound(value) {
            let volume = storage.volume(volume);
            let reach = volume.map_or(Reach::Nowhere, |volume| reach(&volume));
            self.bound.push(reach);
            return Ok(());
        }
        let class = storage.class(class_of(value));
        let delayed = class
            .as_ref()
            .is_some_and(|class| waits_for_consumer(class.value()));
        let (true, Some(class)) = (delayed && volume.is_empty(), class) else {
            return Err(ClaimError::Unbound);
        };
        self.unbound.push(Unbound {
            selected: annotation(value, names::SELECTED_NODE).map(str::to_owned),
            volumes: storage.volumes(),
            provisions: Class(class.value()).can_provision(),
            topologies: tree::list(class.value(), "allowedTopologies").to_vec(),
            claim,
        });
        Ok(())
    }

    /// How the unbound claims get their volumes on `node`.
    ///
    /// # Errors
    /// With the reason why it cannot be this node.
    pub fn choose(&self, node: &NodeInfo) -> Result<Vec<Choice>, Conflict> {
        for reach in &self.bound {
            match reach {
                Reach::Anywhere => {}
                Reach::Nowhere => return Err(Conflict::Missing),
                Reach::Nodes(selector) if selector.matches(&node.name, &node.labels) => {}
                Reach::Nodes(_) => return Err(Conflict::Affinity),
            }
        }
        let mut choices: Vec<Choice> = Vec::new();
        for unbound in &self.unbound {
            let choice = unbound.choose(node, &choices).ok_or(Conflict::NoVolume)?;
            choices.push(choice);
        }
        Ok(choices)
    }
}

/// The claim, unless its state keeps the pod from every node.
fn usable_claim(
    pod: &PodInfo,
    asked: &PodClaim,
    storage: &dyn Storage,
) -> Result<Object, ClaimError> {
    let name = asked.name.clone();
    let Some(claim) = storage.claim(&format!("{}/{name}", pod.namespace)) else {
        return Err(if asked.ephemeral {
            ClaimError::NotCreated { claim: name }
        } else {
            ClaimError::NotFound { claim: name }
        });
    };
    if claim.is_deleting() {
        return Err(ClaimError::Deleting { claim: name });
    }
    let value = claim.value();
    if asked.ephemeral {
        check_ephemeral(value, &pod.name, &pod.uid)?;
    }
    if tree::text(value, "status.phase") == "Lost" {
        return Err(ClaimError::Lost {
            claim: name,
            volume: volume_name(value).to_owned(),
        });
    }
    Ok(claim)
}

impl Unbound {
    fn choose(&self, node: &NodeInfo, taken: &[Choice]) -> Option<Choice> {
        let claim = self.claim.clone();
        if let Some(selected) = &self.selected {
            // Its volume is being made there.
            return (*selected == node.name).then_some(Choice::Provision { claim });
        }
        let is_taken = |candidate: &Obj| {
            taken
                .iter()
                .any(|choice| matches!(choice, Choice::Static { volume, .. } if volume.name() == candidate.name()))
        };
        let fits = |volume: &Value| {
            node_selector(volume).is_none_or(|s| s.matches(&node.name, &node.labels))
        };
        let free = self
            .volumes
            .iter()
            .filter(|volume| !is_taken(volume))
            .map(|volume| volume.value());
        if let Some(found) = best_match(claim.value(), free, Some(&fits), false) {
            let name = k3s_meta::object::name(found);
            let volume = self
                .volumes
                .iter()
                .find(|volume| volume.name() == name)?
                .clone();
            return Some(Choice::Static { claim, volume });
        }
        (self.provisions && self.topology_allows(&node.labels))
            .then_some(Choice::Provision { claim })
    }

    fn topology_allows(&self, labels: &BTreeMap<String, String>) -> bool {
        let meets = |expression: &Value| {
            let value = labels.get(tree::text(expression, "key"));
            value.is_some_and(|v| {
                tree::list(expression, "values")
                    .iter()
                    .any(|allowed| allowed == v)
            })
        };
        let term = |term: &Value| tree::list(term, "matchLabelExpressions").iter().all(meets);
        self.topologies.is_empty() || self.topologies.iter().any(term)
    }
}

fn reach(volume: &Obj) -> Reach {
    node_selector(volume.value()).map_or(Reach::Anywhere, Reach::Nodes)
}

/// Where a volume can be used; `None` is everywhere.
fn node_selector(volume: &Value) -> Option<NodeSelector> {
    let required = tree::get(volume, "spec.nodeAffinity.required")?;
    // Validated when it was written; one that cannot be read fits no node.
    Some(NodeSelector::deserialize(required).unwrap_or_default())
}
