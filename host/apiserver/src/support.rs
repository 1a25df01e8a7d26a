//! Kinds that are served but not acted on: a client that writes one gets a warning.

use k3s_registry::{Resource, Warnings};

/// Group, plural, what is missing.
const IDLE: &[(&str, &str, &str)] = &[
    (
        "admissionregistration.k8s.io",
        "mutatingadmissionpolicies",
        "policies are not evaluated",
    ),
    (
        "admissionregistration.k8s.io",
        "mutatingadmissionpolicybindings",
        "policies are not evaluated",
    ),
    (
        "admissionregistration.k8s.io",
        "mutatingwebhookconfigurations",
        "webhooks are not called",
    ),
    (
        "admissionregistration.k8s.io",
        "validatingadmissionpolicies",
        "policies are not evaluated",
    ),
    (
        "admissionregistration.k8s.io",
        "validatingadmissionpolicybindings",
        "policies are not evaluated",
    ),
    (
        "admissionregistration.k8s.io",
        "validatingwebhookconfigurations",
        "webhooks are not called",
    ),
    (
        "autoscaling",
        "horizontalpodautoscalers",
        "nothing is scaled",
    ),
    (
        "certificates.k8s.io",
        "certificatesigningrequests",
        "certificates are not signed",
    ),
    (
        "flowcontrol.apiserver.k8s.io",
        "flowschemas",
        "requests are not classified by it",
    ),
    (
        "flowcontrol.apiserver.k8s.io",
        "prioritylevelconfigurations",
        "requests are not limited by it",
    ),
    (
        "networking.k8s.io",
        "ipaddresses",
        "addresses are allocated from the services themselves",
    ),
    (
        "networking.k8s.io",
        "networkpolicies",
        "traffic is not restricted",
    ),
    (
        "networking.k8s.io",
        "servicecidrs",
        "only the range given at start is used",
    ),
    (
        "resource.k8s.io",
        "deviceclasses",
        "devices are not allocated",
    ),
    (
        "resource.k8s.io",
        "resourceclaims",
        "devices are not allocated",
    ),
    (
        "resource.k8s.io",
        "resourceclaimtemplates",
        "devices are not allocated",
    ),
    (
        "resource.k8s.io",
        "resourceslices",
        "devices are not allocated",
    ),
    ("storage.k8s.io", "csidrivers", "CSI drivers are not called"),
    (
        "storage.k8s.io",
        "csistoragecapacities",
        "capacity is not considered",
    ),
    (
        "storage.k8s.io",
        "volumeattachments",
        "volumes are not attached",
    ),
    (
        "storage.k8s.io",
        "volumeattributesclasses",
        "volumes are not modified",
    ),
];

/// Kinds that upstream gives up: group, plural, and what clients are told on every request.
const DEPRECATED: &[(&str, &str, &str)] = &[
    (
        "",
        "componentstatuses",
        "v1 ComponentStatus is deprecated in v1.19+",
    ),
    (
        "",
        "endpoints",
        "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    ),
];

/// Warns about the use of a kind that will not stay.
pub(crate) fn warn_if_deprecated(resource: &Resource, warnings: &Warnings) {
    for (group, plural, text) in DEPRECATED {
        if resource.is(group, plural) {
            warnings.add(*text);
        }
    }
}

/// Why a kind is idle; `None` for kinds that something acts on.
pub(crate) fn idle(group: &str, plural: &str) -> Option<&'static str> {
    IDLE.iter()
        .find(|(g, p, _)| *g == group && *p == plural)
        .map(|(_, _, why)| *why)
}

/// Warns about a write that has no effect beyond being stored.
pub(crate) fn warn_if_idle(resource: &Resource, verb: &str, warnings: &Warnings) {
    if !matches!(verb, "create" | "update" | "patch") {
        return;
    }
    if let Some(why) = idle(resource.kind.group, resource.kind.plural) {
        warnings.add(format!(
            "{} is stored but not acted on by this server: {why}",
            resource.gr()
        ));
    }
}
