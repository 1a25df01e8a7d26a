//! The revisions of a DaemonSet's template; Pods carry the hash of theirs.

use std::collections::{BTreeMap, BTreeSet};

use k3s_client::Object;
use k3s_client::informer::BY_OWNER;
use k3s_client::resources::DAEMON_SETS;
use k3s_reconcile::Error;

use super::DaemonSetController;
use super::model::{DaemonSet, HASH_LABEL};
use crate::common::history::{History, number_of};

/// The generation at which a revision was made, for clients from before revisions had hashes.
const GENERATION: &str = "deprecated.daemonset.template.generation";

impl DaemonSetController {
    /// The hash of the present template, after its revision exists and is the newest.
    pub(super) async fn current_hash(
        &self,
        daemon: &DaemonSet,
        pods: &[Object],
    ) -> Result<String, Error> {
        let mut known = self.revisions.by_index(BY_OWNER, daemon.object.uid());
        known.sort_by_key(number_of);
        let generation = daemon.object.meta().generation.to_string();
        let history = History {
            client: &self.client,
            owner: &daemon.object,
            owner_resource: &DAEMON_SETS,
            template: daemon.template(),
            collisions: daemon.collisions(),
            hash_label: HASH_LABEL,
            annotations: BTreeMap::from([(GENERATION.to_owned(), generation)]),
        };
        let current = history.ensure(&known).await?;
        let hash = current.label(HASH_LABEL).unwrap_or_default();
        let of_pods = pods.iter().filter_map(|pod| pod.label(HASH_LABEL));
        let mut used: BTreeSet<&str> = of_pods.collect();
        used.insert(hash);
        let is_in_use = |it: &Object| used.contains(it.label(HASH_LABEL).unwrap_or_default());
        history
            .trim(&known, daemon.history_limit, is_in_use)
            .await?;
        Ok(hash.to_owned())
    }
}
