//! How containers are run.

use std::path::PathBuf;

use super::Flag;
use super::Shape::{Many, One, Switch};
use super::typed::{DefaultFlag, OptionalFlag, SwitchFlag};
use super::values;

pub(super) const OTHER_RUNTIME: &str =
    "other runtimes are used with --container-runtime-endpoint only";

/// Where `--private-registry` points unless it is given.
pub const DEFAULT_REGISTRIES: &str = "/etc/rancher/k3s/registries.yaml";

pub(crate) const CONTAINER_RUNTIME_ENDPOINT: OptionalFlag<String> = OptionalFlag::new(
    Flag::new(
        "container-runtime-endpoint",
        One,
        "CRI socket of another runtime, instead of the built-in one",
    ),
    values::unix_endpoint,
);
pub(crate) const SNAPSHOTTER: OptionalFlag<()> = OptionalFlag::new(
    Flag::new("snapshotter", One, "Image layers: overlayfs (the only one)"),
    values::snapshotter,
);
pub(crate) const DEFAULT_RUNTIME: OptionalFlag<()> = OptionalFlag::new(
    Flag::new(
        "default-runtime",
        One,
        "Handler of pods without a runtime class: runc (the only one)",
    ),
    values::default_runtime,
);
pub(crate) const PRIVATE_REGISTRY: DefaultFlag<PathBuf> = DefaultFlag::new(
    Flag::new("private-registry", One, "Registry configuration"),
    DEFAULT_REGISTRIES,
    values::path,
);
pub(crate) const DISABLE_DEFAULT_REGISTRY_ENDPOINT: SwitchFlag = SwitchFlag::new(
    "disable-default-registry-endpoint",
    "Do not fall back to a registry itself when mirrors are configured for it",
);

pub(super) const FLAGS: &[Flag] = &[
    CONTAINER_RUNTIME_ENDPOINT.row(),
    Flag::new(
        "image-service-endpoint",
        One,
        "CRI socket of another image service",
    )
    .fatal("images come from the container runtime's own endpoint"),
    Flag::new("docker", Switch, "Use Docker").fatal(OTHER_RUNTIME),
    DEFAULT_RUNTIME.row(),
    Flag::new("pause-image", One, "Image of the sandbox container")
        .warns("pods need no pause image here"),
    SNAPSHOTTER.row(),
    PRIVATE_REGISTRY.row(),
    DISABLE_DEFAULT_REGISTRY_ENDPOINT.row(),
    Flag::new(
        "nonroot-devices",
        Switch,
        "Device ownership for users other than root",
    )
    .warns("device nodes keep the host's owner"),
    Flag::new(
        "airgap-extra-registry",
        Many,
        "Extra tags for imported images",
    )
    .warns("imported images keep their own names only"),
    Flag::new(
        "image-credential-provider-bin-dir",
        One,
        "Folder of credential provider plugins",
    )
    .warns("credential provider plugins are not called yet"),
    Flag::new(
        "image-credential-provider-config",
        One,
        "Configuration of credential provider plugins",
    )
    .warns("credential provider plugins are not called yet"),
    Flag::new("prefer-bundled-bin", Switch, "Prefer bundled tools").warns("no host tool is needed"),
];
