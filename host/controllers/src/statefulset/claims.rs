//! The claims of a set's places: made before their Pod, kept when it goes unless the set's
//! `persistentVolumeClaimRetentionPolicy` says otherwise.
//!
//! Deletion is left to the garbage collector: a claim that is to go with its set, or with a Pod
//! that is scaled away, gets an owner reference to it.

use k3s_client::resources::{PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS};
use k3s_client::{Obj, Object, Patch, key};
use k3s_meta::tree;
use k3s_reconcile::Error;
use serde_json::{Value, json};

use super::StatefulSetController;
use super::model::{Member, StatefulSet};
use crate::common::template::controller_reference;
use crate::error::ControllerError;

impl StatefulSetController {
    fn claim(&self, owner: &StatefulSet, template: &Value, ordinal: i64) -> Option<Object> {
        let namespace = owner.object.namespace();
        let name = owner.claim_name(template, ordinal);
        self.claims.get(&key(namespace, &name))
    }

    /// Makes the missing claims of a place.
    pub(super) async fn ensure_claims(
        &self,
        owner: &StatefulSet,
        ordinal: i64,
    ) -> Result<(), Error> {
        for template in owner.claim_templates() {
            let name = owner.claim_name(template, ordinal);
            if let Some(claim) = self.claim(owner, template, ordinal) {
                if claim.is_deleting() {
                    return Err(ControllerError::ClaimDeleting(name).into());
                }
                continue;
            }
            let body = new_claim(owner, template, ordinal);
            let (pod, set) = (owner.pod_name(ordinal), owner.object.name());
            match self
                .client
                .create(&PERSISTENT_VOLUME_CLAIMS, owner.object.ns(), &body)
                .await
            {
                Ok(_) => {
                    let message =
                        format!("create Claim {name} Pod {pod} in StatefulSet {set} success");
                    self.recorder
                        .normal(&*owner.object, "SuccessfulCreate", message);
                }
                Err(error) if error.is_already_exists() => {}
                Err(error) => {
                    let message = format!(
                        "create Claim {name} for Pod {pod} in StatefulSet {set} failed error: {error}"
                    );
                    self.recorder
                        .warning(&*owner.object, "FailedCreate", message);
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    /// Whether a claim of the place still belongs to a Pod that was there before: it will be
    /// collected, and a new Pod must not begin to use it.
    pub(super) fn has_stale_claim(&self, owner: &StatefulSet, ordinal: i64) -> bool {
        let pod = owner.pod_name(ordinal);
        for template in owner.claim_templates() {
            let Some(claim) = self.claim(owner, template, ordinal) else {
                continue;
            };
            let belongs_to_pod = claim
                .meta()
                .owner_references
                .iter()
                .any(|owner| owner.kind == "Pod" && owner.name == pod);
            if belongs_to_pod || claim.is_deleting() {
                return true;
            }
        }
        false
    }

    /// Brings the owners of a Pod's claims in line with the retention policy.
    pub(super) async fn fix_owners(
        &self,
        owner: &StatefulSet,
        member: &Member,
    ) -> Result<(), Error> {
        for template in owner.claim_templates() {
            let Some(claim) = self.claim(owner, template, member.ordinal) else {
                continue;
            };
            if claim.is_deleting() {
                continue;
            }
            let Some(owners) = wanted_owners(owner, member, &claim) else {
                continue;
            };
            let patch = Patch::Merge(json!({
                "metadata": {
                    "uid": claim.uid(),
                    "resourceVersion": claim.resource_version(),
                    "ownerReferences": owners,
                },
            }));
            let patched = self
                .client
                .patch(&PERSISTENT_VOLUME_CLAIMS, claim.ns(), claim.name(), &patch)
                .await;
            match patched {
                Ok(_) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn new_claim(owner: &StatefulSet, template: &Value, ordinal: i64) -> Value {
    let mut metadata = json!({
        "name": owner.claim_name(template, ordinal),
        "namespace": owner.object.namespace(),
    });
    if let Some(annotations) = tree::get(template, "metadata.annotations") {
        tree::set(&mut metadata, "annotations", annotations.clone());
    }
    let mut labels = tree::map(template, "metadata.labels").clone();
    let selector = tree::map(owner.object.value(), "spec.selector.matchLabels");
    labels.extend(selector.clone());
    if !labels.is_empty() {
        tree::set(&mut metadata, "labels", labels);
    }
    if owner.retention.delete_when_deleted {
        let reference = controller_reference(&owner.object, &STATEFUL_SETS);
        tree::set(&mut metadata, "ownerReferences", json!([reference]));
    }
    let spec = template.get("spec").cloned();
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": spec.unwrap_or_else(|| json!({})),
    })
}

/// The claim's owner references as they should be; nothing where they are so already.
fn wanted_owners(owner: &StatefulSet, member: &Member, claim: &Obj) -> Option<Vec<Value>> {
    let policy = owner.retention;
    let is_condemned = !owner.range().contains(&member.ordinal);
    let by_pod = policy.delete_when_scaled && is_condemned;
    let by_set = policy.delete_when_deleted && !by_pod;
    let set_uid = owner.object.uid();
    let pod_uid = member.object.uid();
    let pod_name = member.object.name();
    let mut has_set = false;
    let mut has_pod = false;
    let mut has_former_pod = false;
    let mut wanted = Vec::new();
    for reference in tree::list(claim.value(), "metadata.ownerReferences") {
        let uid = tree::text(reference, "uid");
        let is_pod = tree::text(reference, "kind") == "Pod";
        let is_set = uid == set_uid;
        let is_of_place = is_pod && tree::text(reference, "name") == pod_name;
        let is_this_pod = is_of_place && uid == pod_uid;
        has_set |= is_set;
        has_pod |= is_this_pod;
        has_former_pod |= is_of_place && !is_this_pod;
        if !is_set && !is_of_place {
            wanted.push(reference.clone());
        }
    }
    let is_right = has_set == by_set && has_pod == by_pod;
    if is_right && !has_former_pod {
        return None;
    }
    if by_set {
        let reference = controller_reference(&owner.object, &STATEFUL_SETS);
        wanted.push(reference);
    }
    if by_pod {
        let reference = controller_reference(&member.object, &PODS);
        wanted.push(reference);
    }
    Some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owners(scaled: &str, deleted: &str, ordinal: i64, present: Value) -> Option<Vec<String>> {
        let set = Obj::from_value(
            json!({"metadata": {"name": "web", "namespace": "n", "uid": "set"}, "spec": {"replicas": 1,
            "persistentVolumeClaimRetentionPolicy": {"whenScaled": scaled, "whenDeleted": deleted}}}),
        )
        .unwrap();
        let set = StatefulSet::read(&set);
        let pod =
            Obj::from_value(json!({"metadata": {"name": format!("web-{ordinal}"), "uid": "pod"}}))
                .unwrap();
        let member = Member::read(&set, pod, jiff::Timestamp::UNIX_EPOCH).unwrap();
        let claim = Obj::from_value(json!({"metadata": {"name": "c", "ownerReferences": present}}))
            .unwrap();
        wanted_owners(&set, &member, &claim).map(|list| {
            list.iter()
                .map(|o| tree::text(o, "uid").to_owned())
                .collect()
        })
    }

    #[test]
    fn owners_follow_the_retention_policy() {
        let (set, pod) = (
            json!({"kind": "StatefulSet", "uid": "set", "name": "web"}),
            |uid: &str, n: i64| json!({"kind": "Pod", "uid": uid, "name": format!("web-{n}")}),
        );
        let yes = |uids: &[&str]| Some(uids.iter().map(|u| (*u).to_owned()).collect::<Vec<_>>());
        for (scaled, deleted, ordinal, present, expected) in [
            ("Retain", "Retain", 0, json!([]), None),
            ("Retain", "Retain", 0, json!([set]), yes(&[])),
            ("Retain", "Delete", 0, json!([]), yes(&["set"])),
            ("Retain", "Delete", 1, json!([set]), None),
            ("Delete", "Retain", 0, json!([]), None),
            ("Delete", "Retain", 1, json!([]), yes(&["pod"])),
            ("Delete", "Delete", 1, json!([set]), yes(&["pod"])),
            ("Delete", "Delete", 0, json!([pod("pod", 0)]), yes(&["set"])),
            ("Delete", "Retain", 1, json!([pod("pod", 1)]), None),
            (
                "Delete",
                "Retain",
                1,
                json!([pod("former", 1)]),
                yes(&["pod"]),
            ),
        ] {
            assert_eq!(
                owners(scaled, deleted, ordinal, present.clone()),
                expected,
                "{scaled} {deleted} {ordinal} {present}"
            );
        }
    }
}
