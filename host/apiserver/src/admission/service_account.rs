//! ServiceAccount: every pod runs as one, which must exist, and gets its token, the cluster's CA and
//! its namespace at the path where clients expect them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use k3s_base::Random;
use k3s_meta::{object, tree};
use k3s_objects::pod::MIRROR_ANNOTATION;
use k3s_registry::{Attributes, Operation, Registry, Result};
use serde_json::{Value, json};

use super::listers::{Listers, ServiceAccount};
use super::{Step, forbidden, is_write_of};

const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
/// Above the hour that kubelets refresh tokens after.
const TOKEN_SECONDS: i64 = 3607;
/// The account of a fresh namespace is made by a controller: its first pods wait for it, as long as
/// upstream tries (ten times, a tenth of a second apart).
const LOOKUP_PATIENCE: Duration = Duration::from_secs(1);

pub(super) struct ServiceAccountStep {
    listers: Arc<Listers>,
    /// Names the token's volume.
    random: Random,
}

impl ServiceAccountStep {
    pub(super) fn new(registry: &Registry, listers: &Arc<Listers>) -> Self {
        Self {
            listers: listers.clone(),
            random: registry.random().clone(),
        }
    }

    async fn admit_pod(&self, attributes: &Attributes<'_>, pod: &mut Value) -> Result<()> {
        if object::annotation(pod, MIRROR_ANNOTATION).is_some() {
            return check_mirror(attributes, pod);
        }
        let account = self.assign_account(attributes, pod).await?;
        if mounts_token(pod, &account) {
            let volume = format!("{VOLUME_PREFIX}{}", self.random.name_suffix(5));
            mount_token(pod, &volume);
        }
        let secrets = &account.image_pull_secrets;
        if tree::list(pod, "spec.imagePullSecrets").is_empty() && !secrets.is_empty() {
            tree::set(pod, "spec.imagePullSecrets", secrets.clone());
        }
        Ok(())
    }

    /// Writes the account's name into the pod, `default` where it names none.
    async fn assign_account(
        &self,
        attributes: &Attributes<'_>,
        pod: &mut Value,
    ) -> Result<Arc<ServiceAccount>> {
        let name = match tree::text(pod, "spec.serviceAccountName") {
            "" => "default".to_owned(),
            name => name.to_owned(),
        };
        tree::set(pod, "spec.serviceAccountName", name.as_str());
        tree::set(pod, "spec.serviceAccount", name.as_str());
        let namespace = attributes.namespace;
        let accounts = &self.listers.service_accounts;
        let found = accounts.wait_for(namespace, &name, LOOKUP_PATIENCE).await?;
        found.ok_or_else(|| {
            let text = format!(
                "error looking up service account {namespace}/{name}: serviceaccount {name:?} not found"
            );
            forbidden(attributes, object::name(pod), &text)
        })
    }
}

/// A mirror pod shows a static pod of a node, which cannot use objects of the cluster.
fn check_mirror(attributes: &Attributes<'_>, pod: &Value) -> Result<()> {
    let refuse = |text: &str| Err(forbidden(attributes, object::name(pod), text));
    if !tree::text(pod, "spec.serviceAccountName").is_empty() {
        return refuse("a mirror pod may not reference service accounts");
    }
    let is_secret = |volume: &Value| volume.get("secret").is_some_and(|source| !source.is_null());
    let volumes = tree::list(pod, "spec.volumes");
    if volumes.iter().any(is_secret) {
        return refuse("a mirror pod may not reference secrets");
    }
    Ok(())
}

/// The pod decides before its account does.
fn mounts_token(pod: &Value, account: &ServiceAccount) -> bool {
    let own = tree::get(pod, "spec.automountServiceAccountToken");
    own.and_then(Value::as_bool)
        .or(account.automounts_token)
        .unwrap_or(true)
}

/// Mounts the volume into every container that has nothing at the path.
fn mount_token(pod: &mut Value, volume: &str) {
    let mut is_used = false;
    for list in ["initContainers", "containers"] {
        let containers = pod
            .get_mut("spec")
            .and_then(|spec| spec.get_mut(list))
            .and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            is_used |= mount_into(container, volume);
        }
    }
    if is_used {
        let mut volumes = tree::list(pod, "spec.volumes").to_vec();
        volumes.push(api_access(volume));
        tree::set(pod, "spec.volumes", volumes);
    }
}

/// False where the container has something else at the path.
fn mount_into(container: &mut Value, volume: &str) -> bool {
    let mut mounts = tree::list(container, "volumeMounts").to_vec();
    let is_taken = |mount: &Value| tree::text(mount, "mountPath") == MOUNT_PATH;
    if mounts.iter().any(is_taken) {
        return false;
    }
    mounts.push(json!({"name": volume, "readOnly": true, "mountPath": MOUNT_PATH}));
    tree::set(container, "volumeMounts", mounts);
    true
}

fn api_access(name: &str) -> Value {
    json!({
        "name": name,
        "projected": {
            "defaultMode": 0o644,
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [
                    {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
                ]}},
            ],
        },
    })
}

#[async_trait]
impl Step for ServiceAccountStep {
    async fn mutate(
        &self,
        attributes: &Attributes<'_>,
        new: &mut Value,
        _: Option<&Value>,
    ) -> Result<()> {
        if attributes.operation == Operation::Create && is_write_of(attributes, "", "pods") {
            self.admit_pod(attributes, new).await?;
        }
        Ok(())
    }
}
