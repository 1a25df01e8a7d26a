//! The built-in resources that components name.

use crate::resource::Resource;

macro_rules! resources {
    ($($name:ident = $group:literal $version:literal $plural:literal $kind:literal $namespaced:literal;)*) => {
        $(
            #[doc = concat!("`", $plural, "` of group `", $group, "`.")]
            pub const $name: Resource = Resource::new($group, $version, $plural, $kind, $namespaced);
        )*

        /// Every resource this module names.
        pub const ALL: &[Resource] = &[$($name),*];
    };
}

resources! {
    BINDINGS = "" "v1" "bindings" "Binding" true;
    COMPONENT_STATUSES = "" "v1" "componentstatuses" "ComponentStatus" false;
    CONFIG_MAPS = "" "v1" "configmaps" "ConfigMap" true;
    ENDPOINTS = "" "v1" "endpoints" "Endpoints" true;
    EVENTS = "" "v1" "events" "Event" true;
    LIMIT_RANGES = "" "v1" "limitranges" "LimitRange" true;
    NAMESPACES = "" "v1" "namespaces" "Namespace" false;
    NODES = "" "v1" "nodes" "Node" false;
    PERSISTENT_VOLUME_CLAIMS = "" "v1" "persistentvolumeclaims" "PersistentVolumeClaim" true;
    PERSISTENT_VOLUMES = "" "v1" "persistentvolumes" "PersistentVolume" false;
    PODS = "" "v1" "pods" "Pod" true;
    POD_TEMPLATES = "" "v1" "podtemplates" "PodTemplate" true;
    REPLICATION_CONTROLLERS = "" "v1" "replicationcontrollers" "ReplicationController" true;
    RESOURCE_QUOTAS = "" "v1" "resourcequotas" "ResourceQuota" true;
    SECRETS = "" "v1" "secrets" "Secret" true;
    SERVICE_ACCOUNTS = "" "v1" "serviceaccounts" "ServiceAccount" true;
    SERVICES = "" "v1" "services" "Service" true;
    CUSTOM_RESOURCE_DEFINITIONS = "apiextensions.k8s.io" "v1" "customresourcedefinitions" "CustomResourceDefinition" false;
    CONTROLLER_REVISIONS = "apps" "v1" "controllerrevisions" "ControllerRevision" true;
    DAEMON_SETS = "apps" "v1" "daemonsets" "DaemonSet" true;
    DEPLOYMENTS = "apps" "v1" "deployments" "Deployment" true;
    REPLICA_SETS = "apps" "v1" "replicasets" "ReplicaSet" true;
    STATEFUL_SETS = "apps" "v1" "statefulsets" "StatefulSet" true;
    TOKEN_REVIEWS = "authentication.k8s.io" "v1" "tokenreviews" "TokenReview" false;
    SUBJECT_ACCESS_REVIEWS = "authorization.k8s.io" "v1" "subjectaccessreviews" "SubjectAccessReview" false;
    SELF_SUBJECT_ACCESS_REVIEWS = "authorization.k8s.io" "v1" "selfsubjectaccessreviews" "SelfSubjectAccessReview" false;
    HORIZONTAL_POD_AUTOSCALERS = "autoscaling" "v2" "horizontalpodautoscalers" "HorizontalPodAutoscaler" true;
    CRON_JOBS = "batch" "v1" "cronjobs" "CronJob" true;
    JOBS = "batch" "v1" "jobs" "Job" true;
    CERTIFICATE_SIGNING_REQUESTS = "certificates.k8s.io" "v1" "certificatesigningrequests" "CertificateSigningRequest" false;
    LEASES = "coordination.k8s.io" "v1" "leases" "Lease" true;
    ENDPOINT_SLICES = "discovery.k8s.io" "v1" "endpointslices" "EndpointSlice" true;
    EVENTS_V1 = "events.k8s.io" "v1" "events" "Event" true;
    INGRESS_CLASSES = "networking.k8s.io" "v1" "ingressclasses" "IngressClass" false;
    INGRESSES = "networking.k8s.io" "v1" "ingresses" "Ingress" true;
    NETWORK_POLICIES = "networking.k8s.io" "v1" "networkpolicies" "NetworkPolicy" true;
    RUNTIME_CLASSES = "node.k8s.io" "v1" "runtimeclasses" "RuntimeClass" false;
    POD_DISRUPTION_BUDGETS = "policy" "v1" "poddisruptionbudgets" "PodDisruptionBudget" true;
    CLUSTER_ROLE_BINDINGS = "rbac.authorization.k8s.io" "v1" "clusterrolebindings" "ClusterRoleBinding" false;
    CLUSTER_ROLES = "rbac.authorization.k8s.io" "v1" "clusterroles" "ClusterRole" false;
    ROLE_BINDINGS = "rbac.authorization.k8s.io" "v1" "rolebindings" "RoleBinding" true;
    ROLES = "rbac.authorization.k8s.io" "v1" "roles" "Role" true;
    PRIORITY_CLASSES = "scheduling.k8s.io" "v1" "priorityclasses" "PriorityClass" false;
    CSI_DRIVERS = "storage.k8s.io" "v1" "csidrivers" "CSIDriver" false;
    CSI_NODES = "storage.k8s.io" "v1" "csinodes" "CSINode" false;
    STORAGE_CLASSES = "storage.k8s.io" "v1" "storageclasses" "StorageClass" false;
    VOLUME_ATTACHMENTS = "storage.k8s.io" "v1" "volumeattachments" "VolumeAttachment" false;
}
