//! The informers that volume needs are read from, and what a decision does to claims and volumes
//! before the pod is bound.

use std::time::Duration;

use k3s_client::{Client, Informer, Informers, Object, Patch, Subscription, resources};
use k3s_meta::object;
use k3s_meta::object::annotation;
use k3s_volume::{is_fully_bound, names};
use serde_json::json;

use crate::error::BindError;
use crate::model::{Choice, Storage};

/// How long creating and binding volumes may take (upstream's `bindTimeoutSeconds`).
const BIND_TIMEOUT: Duration = Duration::from_secs(600);

/// Claims, volumes and classes.
#[derive(Clone)]
pub(crate) struct Volumes {
    pub(crate) claims: Informer,
    pub(crate) volumes: Informer,
    pub(crate) classes: Informer,
}

impl Volumes {
    pub(crate) fn new(informers: &Informers) -> Self {
        Self {
            claims: informers.all(&resources::PERSISTENT_VOLUME_CLAIMS),
            volumes: informers.all(&resources::PERSISTENT_VOLUMES),
            classes: informers.all(&resources::STORAGE_CLASSES),
        }
    }

    pub(crate) async fn have_synced(&self) {
        for informer in [&self.claims, &self.volumes, &self.classes] {
            informer.has_synced().await;
        }
    }

    /// Writes the choices and waits until every claim is bound.
    pub(crate) async fn bind(
        &self,
        client: &Client,
        node: &str,
        choices: &[Choice],
    ) -> Result<(), BindError> {
        for choice in choices {
            write_choice(client, node, choice).await?;
        }
        let bound = self.wait_until_bound(node, choices);
        match tokio::time::timeout(BIND_TIMEOUT, bound).await {
            Ok(outcome) => outcome,
            Err(_) => Err(BindError::Timeout),
        }
    }

    async fn wait_until_bound(&self, node: &str, choices: &[Choice]) -> Result<(), BindError> {
        let mut changes = self.claims.subscribe();
        loop {
            let mut open = false;
            for choice in choices {
                open |= !self.is_bound(node, choice)?;
            }
            if !open {
                return Ok(());
            }
            changes.next().await;
        }
    }

    fn is_bound(&self, node: &str, choice: &Choice) -> Result<bool, BindError> {
        let asked = choice.claim();
        let claim: Object = self
            .claims
            .get(asked.key())
            .filter(|claim| claim.uid() == asked.uid() && !claim.is_deleting())
            .ok_or_else(|| BindError::ClaimDeleted {
                claim: asked.key().to_string(),
            })?;
        if is_fully_bound(claim.value()) {
            return Ok(true);
        }
        let selected = annotation(claim.value(), names::SELECTED_NODE);
        // A provisioner that cannot serve the node removes the annotation. A cache that has not
        // seen our own write yet still shows the version the choice was made on.
        let seen = claim.resource_version() != asked.resource_version();
        if matches!(choice, Choice::Provision { .. }) && seen && selected != Some(node) {
            return Err(BindError::NodeRejected {
                claim: asked.name().to_owned(),
            });
        }
        Ok(false)
    }
}

/// Changes of any of the three; what changed does not matter.
pub(crate) struct Changes([Subscription; 3]);

impl Volumes {
    pub(crate) fn changes(&self) -> Changes {
        Changes([
            self.claims.subscribe(),
            self.volumes.subscribe(),
            self.classes.subscribe(),
        ])
    }
}

impl Changes {
    /// Waits for a change.
    pub(crate) async fn next(&mut self) {
        let [claims, volumes, classes] = &mut self.0;
        tokio::select! {
            _ = claims.next() => {}
            _ = volumes.next() => {}
            _ = classes.next() => {}
        }
    }

    /// Takes all changes so far; whether there were any.
    pub(crate) fn drain(&mut self) -> bool {
        let mut any = false;
        for changes in &mut self.0 {
            while changes.try_next().is_some() {
                any = true;
            }
        }
        any
    }
}

/// Notes the choice on the claim or the volume; the binder and the provisioner act on it.
async fn write_choice(client: &Client, node: &str, choice: &Choice) -> k3s_client::Result<()> {
    match choice {
        Choice::Provision { claim } => {
            if annotation(claim.value(), names::SELECTED_NODE) == Some(node) {
                return Ok(());
            }
            let patch = Patch::Merge(json!({"metadata": {
                "uid": claim.uid(),
                "resourceVersion": claim.resource_version(),
                "annotations": {names::SELECTED_NODE: node},
            }}));
            client
                .patch(
                    &resources::PERSISTENT_VOLUME_CLAIMS,
                    claim.ns(),
                    claim.name(),
                    &patch,
                )
                .await
                .map(drop)
        }
        Choice::Static { claim, volume } => {
            let reserved = k3s_volume::is_bound_to(volume.value(), claim.value());
            let mut patch = json!({
                "metadata": {"uid": volume.uid(), "resourceVersion": volume.resource_version()},
                "spec": {"claimRef": {
                    "kind": "PersistentVolumeClaim", "apiVersion": "v1",
                    "namespace": claim.namespace(), "name": claim.name(), "uid": claim.uid(),
                    "resourceVersion": claim.resource_version(),
                }},
            });
            if !reserved {
                object::set_annotation(&mut patch, names::BOUND_BY_CONTROLLER, "yes");
            }
            let patch = Patch::Merge(patch);
            client
                .patch(&resources::PERSISTENT_VOLUMES, None, volume.name(), &patch)
                .await
                .map(drop)
        }
    }
}

impl Storage for Volumes {
    fn claim(&self, key: &str) -> Option<Object> {
        self.claims.get(key)
    }

    fn volume(&self, name: &str) -> Option<Object> {
        self.volumes.get(name)
    }

    fn volumes(&self) -> Vec<Object> {
        self.volumes.list()
    }

    fn class(&self, name: &str) -> Option<Object> {
        self.classes.get(name)
    }
}
