//! ServiceAccount: every pod runs as one, which must exist, and gets its token, the cluster's CA and
//! its namespace at the path where clients look for them.

use std::time::Duration;

use async_trait::async_trait;
use k3s_meta::{Status, object};
use k3s_registry::{Attributes, Operation, Registry, Result};
use serde_json::{Value, json};

use super::{Step, find, is};

const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
const MIRROR: &str = "kubernetes.io/config.mirror";
/// Above the hour that kubelets refresh tokens after.
const TOKEN_SECONDS: i64 = 3607;
/// The account of a fresh namespace is made by a controller: its first pods wait for it.
const LOOKUP_TRIES: u32 = 10;
const LOOKUP_WAIT: Duration = Duration::from_millis(100);

pub(super) struct ServiceAccount(Registry);

impl ServiceAccount {
    pub(super) fn new(registry: &Registry) -> Self {
        Self(registry.clone())
    }

    async fn account(&self, namespace: &str, name: &str) -> Result<Option<Value>> {
        for _ in 1..LOOKUP_TRIES {
            if let Some(found) = find(&self.0, "", "serviceaccounts", namespace, name)? {
                return Ok(Some(found));
            }
            tokio::time::sleep(LOOKUP_WAIT).await;
        }
        find(&self.0, "", "serviceaccounts", namespace, name)
    }

    async fn pod(&self, attributes: &Attributes<'_>, pod: &mut Value) -> Result<()> {
        let refuse = |pod: &Value, text: &str| {
            Status::forbidden(&attributes.resource.gr(), object::name(pod), text)
        };
        if object::annotation(pod, MIRROR).is_some() {
            return check_mirror(pod).map_err(|text| refuse(pod, text).into());
        }
        let mut name = object::at_str(pod, &["spec", "serviceAccountName"]).to_owned();
        if name.is_empty() {
            "default".clone_into(&mut name);
        }
        object::set(pod, &["spec", "serviceAccountName"], name.as_str().into());
        object::set(pod, &["spec", "serviceAccount"], name.as_str().into());
        let Some(account) = self.account(attributes.namespace, &name).await? else {
            let text = format!(
                "error looking up service account {}/{name}: serviceaccount {name:?} not found",
                attributes.namespace
            );
            return Err(refuse(pod, &text).into());
        };
        if mounts_token(pod, &account) {
            let volume = format!("{VOLUME_PREFIX}{}", self.0.random().name_suffix(5));
            mount(pod, &volume);
        }
        let secrets = object::at_list(&account, &["imagePullSecrets"]);
        if object::at_list(pod, &["spec", "imagePullSecrets"]).is_empty() && !secrets.is_empty() {
            object::set(pod, &["spec", "imagePullSecrets"], secrets.to_vec().into());
        }
        Ok(())
    }
}

/// A mirror pod shows what a node runs by itself; it can hold nothing of the cluster.
fn check_mirror(pod: &Value) -> std::result::Result<(), &'static str> {
    if !object::at_str(pod, &["spec", "serviceAccountName"]).is_empty() {
        return Err("a mirror pod may not reference service accounts");
    }
    let volumes = object::at_list(pod, &["spec", "volumes"]);
    if volumes
        .iter()
        .any(|volume| volume.get("secret").is_some_and(|source| !source.is_null()))
    {
        return Err("a mirror pod may not reference secrets");
    }
    Ok(())
}

fn mounts_token(pod: &Value, account: &Value) -> bool {
    let flag = |value: Option<&Value>| value.and_then(Value::as_bool);
    flag(object::at(pod, &["spec", "automountServiceAccountToken"]))
        .or_else(|| flag(object::at(account, &["automountServiceAccountToken"])))
        .unwrap_or(true)
}

/// Mounts the volume into every container that has nothing at the path.
fn mount(pod: &mut Value, volume: &str) {
    let mut used = false;
    for list in ["initContainers", "containers"] {
        let containers = pod
            .get_mut("spec")
            .and_then(|spec| spec.get_mut(list))
            .and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            let mut mounts = object::at_list(container, &["volumeMounts"]).to_vec();
            if mounts
                .iter()
                .any(|mount| object::at_str(mount, &["mountPath"]) == MOUNT_PATH)
            {
                continue;
            }
            mounts.push(json!({"name": volume, "readOnly": true, "mountPath": MOUNT_PATH}));
            object::set(container, &["volumeMounts"], mounts.into());
            used = true;
        }
    }
    if used {
        let mut volumes = object::at_list(pod, &["spec", "volumes"]).to_vec();
        volumes.push(api_access(volume));
        object::set(pod, &["spec", "volumes"], volumes.into());
    }
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
impl Step for ServiceAccount {
    async fn mutate(
        &self,
        attributes: &Attributes<'_>,
        new: &mut Value,
        _: Option<&Value>,
    ) -> Result<()> {
        if attributes.operation == Operation::Create && is(attributes, "", "pods") {
            self.pod(attributes, new).await?;
        }
        Ok(())
    }
}
