//! The revisions of a StatefulSet's template; Pods below a partition keep an older one.

use k3s_client::Object;
use k3s_client::resources::STATEFUL_SETS;
use k3s_meta::object::annotations;
use k3s_meta::tree;
use k3s_reconcile::Error;
use serde_json::Value;

use super::StatefulSetController;
use super::model::{Member, StatefulSet};
use crate::common::history::{History, number_of};

const HASH_LABEL: &str = "controller.kubernetes.io/hash";

/// A template of the set and its name.
#[derive(Clone, Debug)]
pub(super) struct Revision {
    pub(super) name: String,
    pub(super) template: Value,
}

/// The two revisions a set has Pods of.
pub(super) struct Revisions {
    pub(super) current: Revision,
    pub(super) update: Revision,
}

impl Revision {
    fn read(object: &Object) -> Self {
        let mut template = tree::get(object.value(), "data.spec.template")
            .cloned()
            .unwrap_or(Value::Null);
        tree::remove(&mut template, "$patch");
        Self {
            name: object.name().to_owned(),
            template,
        }
    }
}

impl StatefulSetController {
    /// The revision being replaced and the newest one, which is made if there is none of the
    /// present template; surplus ones are deleted.
    pub(super) async fn revisions(
        &self,
        owner: &StatefulSet,
        mut known: Vec<Object>,
        members: &[Member],
    ) -> Result<Revisions, Error> {
        known.sort_by_key(|revision| {
            let created = revision.meta().creation_timestamp.clone();
            (number_of(revision), created)
        });
        let history = History {
            client: &self.client,
            owner: &owner.object,
            owner_resource: &STATEFUL_SETS,
            template: owner.template(),
            collisions: owner.collisions(),
            hash_label: HASH_LABEL,
            // The change cause that `kubectl rollout history` shows is among them.
            annotations: annotations(owner.object.value()),
        };
        let update = Revision::read(&history.ensure(&known).await?);
        let named = tree::text(owner.object.value(), "status.currentRevision");
        let current = match known.iter().find(|revision| revision.name() == named) {
            Some(found) => Revision::read(found),
            None => update.clone(),
        };
        let is_in_use = |it: &Object| {
            let name = it.name();
            name == update.name
                || name == current.name
                || members.iter().any(|member| member.revision == name)
        };
        history.trim(&known, owner.history_limit, is_in_use).await?;
        Ok(Revisions { current, update })
    }
}
