//! Parts of the server that can be replaced, left out or tuned.

use std::path::PathBuf;

use super::Flag;
use super::Shape::{Many, ManyByComma, One, Switch};
use super::typed::{ListFlag, OptionalFlag, SwitchFlag};
use super::values;
use crate::component::{Disabled, PackagedComponent};
use crate::plugin::{self, PluginRef};

const NO_HELM: &str = "the Helm controller does not exist yet";
const NO_PASS: &str = "arguments of the Go component do not exist here";

pub(crate) const PLUGIN: ListFlag<PluginRef> = ListFlag::new(
    Flag::new(
        "plugin",
        Many,
        "Choose a battery: KIND=REF[,digest=sha256:...][,config=FILE][,grant=NAME], where REF is a bundled name, a file, or oci://HOST/REPOSITORY@sha256:...",
    )
    .choices("kinds", plugin::kinds),
    PluginRef::parse,
);
pub(crate) const DISABLE: ListFlag<String> = ListFlag::new(
    Flag::new(
        "disable",
        ManyByComma,
        "Leave a component out, or a manifest by its name",
    )
    .choices("components", PackagedComponent::names),
    Disabled::parse_name,
);
pub(crate) const DISABLE_SCHEDULER: SwitchFlag =
    SwitchFlag::new("disable-scheduler", "Leave the scheduler out");
pub(crate) const DISABLE_CLOUD_CONTROLLER: SwitchFlag =
    SwitchFlag::new("disable-cloud-controller", "Leave the cloud controller out");
pub(crate) const DISABLE_KUBE_PROXY: SwitchFlag =
    SwitchFlag::new("disable-kube-proxy", "Leave the service proxy out");
pub(crate) const DISABLE_CONTROLLER_MANAGER: SwitchFlag =
    SwitchFlag::new("disable-controller-manager", "Do not run the controllers");
pub(crate) const DISABLE_AGENT: SwitchFlag =
    SwitchFlag::new("disable-agent", "Do not run a node in this process");
pub(crate) const DEFAULT_LOCAL_STORAGE_PATH: OptionalFlag<PathBuf> = OptionalFlag::new(
    Flag::new(
        "default-local-storage-path",
        One,
        "Folder of local-path volumes (default: DATA-DIR/storage)",
    ),
    values::own_folder,
);

pub(super) const FLAGS: &[Flag] = &[
    PLUGIN.row(),
    DISABLE.row(),
    DISABLE_SCHEDULER.row(),
    DISABLE_CLOUD_CONTROLLER.row(),
    DISABLE_KUBE_PROXY.row(),
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
    DISABLE_CONTROLLER_MANAGER.row(),
    Flag::new("disable-etcd", Switch, "Do not run etcd")
        .fatal("there is no embedded etcd to leave out"),
    DISABLE_AGENT.row(),
    DEFAULT_LOCAL_STORAGE_PATH.row(),
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
