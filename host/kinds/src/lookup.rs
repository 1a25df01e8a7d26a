//! From group and kind to rules.

use crate::rules::Rules;
use crate::{
    admissionregistration, apiextensions, apiregistration, apps, authentication, authorization,
    autoscaling, batch, certificates, coordination, core, discovery, events, flowcontrol, k3s,
    networking, node, policy, rbac, resource, scheduling, storage,
};

/// Group, kind and rules of every kind that has a folder, sorted for binary search.
const TABLE: &[(&str, &str, &Rules)] = &[
    ("", "Binding", &core::binding::RULES),
    ("", "ComponentStatus", &core::componentstatus::RULES),
    ("", "ConfigMap", &core::configmap::RULES),
    ("", "Endpoints", &core::endpoints::RULES),
    ("", "Event", &core::event::RULES),
    ("", "LimitRange", &core::limitrange::RULES),
    ("", "Namespace", &core::namespace::RULES),
    ("", "Node", &core::node::RULES),
    ("", "PersistentVolume", &core::persistentvolume::RULES),
    (
        "",
        "PersistentVolumeClaim",
        &core::persistentvolumeclaim::RULES,
    ),
    ("", "Pod", &core::pod::RULES),
    ("", "PodTemplate", &core::podtemplate::RULES),
    (
        "",
        "ReplicationController",
        &core::replicationcontroller::RULES,
    ),
    ("", "ResourceQuota", &core::resourcequota::RULES),
    ("", "Secret", &core::secret::RULES),
    ("", "Service", &core::service::RULES),
    ("", "ServiceAccount", &core::serviceaccount::RULES),
    (
        "admissionregistration.k8s.io",
        "MutatingAdmissionPolicy",
        &admissionregistration::mutatingadmissionpolicy::RULES,
    ),
    (
        "admissionregistration.k8s.io",
        "MutatingAdmissionPolicyBinding",
        &admissionregistration::mutatingadmissionpolicybinding::RULES,
    ),
    (
        "admissionregistration.k8s.io",
        "MutatingWebhookConfiguration",
        &admissionregistration::mutatingwebhookconfiguration::RULES,
    ),
    (
        "admissionregistration.k8s.io",
        "ValidatingAdmissionPolicy",
        &admissionregistration::validatingadmissionpolicy::RULES,
    ),
    (
        "admissionregistration.k8s.io",
        "ValidatingAdmissionPolicyBinding",
        &admissionregistration::validatingadmissionpolicybinding::RULES,
    ),
    (
        "admissionregistration.k8s.io",
        "ValidatingWebhookConfiguration",
        &admissionregistration::validatingwebhookconfiguration::RULES,
    ),
    (
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        &apiextensions::customresourcedefinition::RULES,
    ),
    (
        "apiregistration.k8s.io",
        "APIService",
        &apiregistration::apiservice::RULES,
    ),
    (
        "apps",
        "ControllerRevision",
        &apps::controllerrevision::RULES,
    ),
    ("apps", "DaemonSet", &apps::daemonset::RULES),
    ("apps", "Deployment", &apps::deployment::RULES),
    ("apps", "ReplicaSet", &apps::replicaset::RULES),
    ("apps", "StatefulSet", &apps::statefulset::RULES),
    (
        "authentication.k8s.io",
        "SelfSubjectReview",
        &authentication::selfsubjectreview::RULES,
    ),
    (
        "authentication.k8s.io",
        "TokenRequest",
        &authentication::tokenrequest::RULES,
    ),
    (
        "authentication.k8s.io",
        "TokenReview",
        &authentication::tokenreview::RULES,
    ),
    (
        "authorization.k8s.io",
        "LocalSubjectAccessReview",
        &authorization::localsubjectaccessreview::RULES,
    ),
    (
        "authorization.k8s.io",
        "SelfSubjectAccessReview",
        &authorization::selfsubjectaccessreview::RULES,
    ),
    (
        "authorization.k8s.io",
        "SelfSubjectRulesReview",
        &authorization::selfsubjectrulesreview::RULES,
    ),
    (
        "authorization.k8s.io",
        "SubjectAccessReview",
        &authorization::subjectaccessreview::RULES,
    ),
    (
        "autoscaling",
        "HorizontalPodAutoscaler",
        &autoscaling::horizontalpodautoscaler::RULES,
    ),
    ("batch", "CronJob", &batch::cronjob::RULES),
    ("batch", "Job", &batch::job::RULES),
    (
        "certificates.k8s.io",
        "CertificateSigningRequest",
        &certificates::certificatesigningrequest::RULES,
    ),
    ("coordination.k8s.io", "Lease", &coordination::lease::RULES),
    (
        "discovery.k8s.io",
        "EndpointSlice",
        &discovery::endpointslice::RULES,
    ),
    ("events.k8s.io", "Event", &events::event::RULES),
    (
        "flowcontrol.apiserver.k8s.io",
        "FlowSchema",
        &flowcontrol::flowschema::RULES,
    ),
    (
        "flowcontrol.apiserver.k8s.io",
        "PriorityLevelConfiguration",
        &flowcontrol::prioritylevelconfiguration::RULES,
    ),
    ("k3s.io", "Plugin", &k3s::plugin::RULES),
    (
        "networking.k8s.io",
        "IPAddress",
        &networking::ipaddress::RULES,
    ),
    ("networking.k8s.io", "Ingress", &networking::ingress::RULES),
    (
        "networking.k8s.io",
        "IngressClass",
        &networking::ingressclass::RULES,
    ),
    (
        "networking.k8s.io",
        "NetworkPolicy",
        &networking::networkpolicy::RULES,
    ),
    (
        "networking.k8s.io",
        "ServiceCIDR",
        &networking::servicecidr::RULES,
    ),
    ("node.k8s.io", "RuntimeClass", &node::runtimeclass::RULES),
    ("policy", "Eviction", &policy::eviction::RULES),
    (
        "policy",
        "PodDisruptionBudget",
        &policy::poddisruptionbudget::RULES,
    ),
    (
        "rbac.authorization.k8s.io",
        "ClusterRole",
        &rbac::clusterrole::RULES,
    ),
    (
        "rbac.authorization.k8s.io",
        "ClusterRoleBinding",
        &rbac::clusterrolebinding::RULES,
    ),
    ("rbac.authorization.k8s.io", "Role", &rbac::role::RULES),
    (
        "rbac.authorization.k8s.io",
        "RoleBinding",
        &rbac::rolebinding::RULES,
    ),
    (
        "resource.k8s.io",
        "DeviceClass",
        &resource::deviceclass::RULES,
    ),
    (
        "resource.k8s.io",
        "ResourceClaim",
        &resource::resourceclaim::RULES,
    ),
    (
        "resource.k8s.io",
        "ResourceClaimTemplate",
        &resource::resourceclaimtemplate::RULES,
    ),
    (
        "resource.k8s.io",
        "ResourceSlice",
        &resource::resourceslice::RULES,
    ),
    (
        "scheduling.k8s.io",
        "PriorityClass",
        &scheduling::priorityclass::RULES,
    ),
    ("storage.k8s.io", "CSIDriver", &storage::csidriver::RULES),
    ("storage.k8s.io", "CSINode", &storage::csinode::RULES),
    (
        "storage.k8s.io",
        "CSIStorageCapacity",
        &storage::csistoragecapacity::RULES,
    ),
    (
        "storage.k8s.io",
        "StorageClass",
        &storage::storageclass::RULES,
    ),
    (
        "storage.k8s.io",
        "VolumeAttachment",
        &storage::volumeattachment::RULES,
    ),
    (
        "storage.k8s.io",
        "VolumeAttributesClass",
        &storage::volumeattributesclass::RULES,
    ),
];

/// The rules of a kind. Kinds without a folder get the plain ones: object metadata is validated, the
/// table has name and age.
#[must_use]
pub(crate) fn rules(group: &str, kind: &str) -> &'static Rules {
    let found = TABLE.binary_search_by_key(&(group, kind), |(group, kind, _)| (group, kind));
    match found.ok().and_then(|at| TABLE.get(at)) {
        Some((_, _, rules)) => rules,
        None => &Rules::PLAIN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        assert!(TABLE.is_sorted_by_key(|(group, kind, _)| (*group, *kind)));
    }

    /// A K3s datastore is read as it is, so these paths can never change.
    #[test]
    fn legacy_storage_paths_are_kept() {
        let named: Vec<(&str, &str, &str)> = TABLE
            .iter()
            .filter_map(|(group, kind, rules)| Some((*group, *kind, rules.storage_path?)))
            .collect();
        let crds = "apiextensions.k8s.io/customresourcedefinitions";
        let services = "apiregistration.k8s.io/apiservices";
        assert_eq!(
            named,
            [
                ("", "Endpoints", "services/endpoints"),
                ("", "Node", "minions"),
                ("", "ReplicationController", "controllers"),
                ("", "Service", "services/specs"),
                ("apiextensions.k8s.io", "CustomResourceDefinition", crds),
                ("apiregistration.k8s.io", "APIService", services),
                ("networking.k8s.io", "Ingress", "ingress"),
            ]
        );
    }
}
