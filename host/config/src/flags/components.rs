//! Parts of the server that can be replaced, left out or tuned.

use super::Flag;
use super::Shape::{Many, ManyByComma, One, Switch};

const NO_HELM: &str = "the Helm controller does not exist yet";
const NO_PASS: &str = "arguments of the Go component do not exist here";

pub(super) const FLAGS: &[Flag] = &[
    Flag::new(
        "plugin",
        Many,
        "Choose a battery: KIND=REF[,digest=sha256:...][,config=FILE][,grant=NAME], where REF is a bundled name, a file, or oci://HOST/REPOSITORY@sha256:... (kinds: datastore, cni, ingress, load-balancer, storage)",
    ),
    Flag::new(
        "disable",
        ManyByComma,
        "Leave a component out: coredns, servicelb, traefik, local-storage, metrics-server, runtimes, or a manifest by its name",
    ),
    Flag::new("disable-scheduler", Switch, "Leave the scheduler out"),
    Flag::new(
        "disable-cloud-controller",
        Switch,
        "Leave the cloud controller out",
    ),
    Flag::new("disable-kube-proxy", Switch, "Leave the service proxy out"),
    Flag::new(
        "disable-network-policy",
        Switch,
        "Leave the network policy controller out",
    )
    .warns("there is no network policy controller to leave out"),
    Flag::new(
        "disable-helm-controller",
        Switch,
        "Leave the Helm controller out",
    )
    .warns("there is no Helm controller to leave out"),
    Flag::new("disable-apiserver", Switch, "Do not run the API server")
        .fatal("a server without an API server cannot do anything yet"),
    Flag::new(
        "disable-controller-manager",
        Switch,
        "Do not run the controllers",
    ),
    Flag::new("disable-etcd", Switch, "Do not run etcd")
        .fatal("there is no embedded etcd to leave out"),
    Flag::new("disable-agent", Switch, "Do not run a node in this process"),
    Flag::new(
        "default-local-storage-path",
        One,
        "Folder of local-path volumes (default: DATA-DIR/storage)",
    ),
    Flag::new("embedded-registry", Switch, "Mirror images between nodes")
        .fatal("the embedded registry mirror does not exist yet"),
    Flag::new(
        "supervisor-metrics",
        Switch,
        "Metrics on the supervisor port",
    )
    .warns("/metrics is always served, to authorized clients"),
    Flag::new("system-default-registry", One, "Registry of system images")
        .env("K3S_SYSTEM_DEFAULT_REGISTRY")
        .warns("no system component runs from an image"),
    Flag::new("helm-job-image", One, "Image of Helm jobs").warns(NO_HELM),
    Flag::new(
        "helm-controller-arg",
        Many,
        "Argument of the Helm controller",
    )
    .warns(NO_HELM),
    Flag::new("kube-apiserver-arg", Many, "Argument of kube-apiserver").warns(NO_PASS),
    Flag::new(
        "kube-controller-manager-arg",
        Many,
        "Argument of kube-controller-manager",
    )
    .warns(NO_PASS),
    Flag::new(
        "kube-controller-arg",
        Many,
        "Argument of kube-controller-manager",
    )
    .warns(NO_PASS),
    Flag::new("kube-scheduler-arg", Many, "Argument of kube-scheduler").warns(NO_PASS),
    Flag::new(
        "kube-cloud-controller-manager-arg",
        Many,
        "Argument of the cloud controller",
    )
    .warns(NO_PASS),
    Flag::new(
        "kube-cloud-controller-arg",
        Many,
        "Argument of the cloud controller",
    )
    .warns(NO_PASS),
    Flag::new("kube-proxy-arg", Many, "Argument of kube-proxy").warns(NO_PASS),
    Flag::new("enable-pprof", Switch, "Go profiles").warns("this is not a Go program"),
];
