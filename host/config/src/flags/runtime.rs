//! How containers are run.

use super::Flag;
use super::Shape::{Many, One, Switch};

const OTHER_RUNTIME: &str = "other runtimes are used with --container-runtime-endpoint only";

pub(super) const FLAGS: &[Flag] = &[
    Flag::new(
        "container-runtime-endpoint",
        One,
        "CRI socket of another runtime, instead of the built-in one",
    ),
    Flag::new(
        "image-service-endpoint",
        One,
        "CRI socket of another image service",
    )
    .fatal("images come from the container runtime's own endpoint"),
    Flag::new("docker", Switch, "Use Docker").fatal(OTHER_RUNTIME),
    Flag::new("default-runtime", One, "Default runtime class handler").fatal(OTHER_RUNTIME),
    Flag::new("pause-image", One, "Image of the sandbox container")
        .warns("pods need no pause image here"),
    Flag::new("snapshotter", One, "Image layers: overlayfs (the only one)"),
    Flag::new(
        "private-registry",
        One,
        "Registry configuration (default: /etc/rancher/k3s/registries.yaml)",
    ),
    Flag::new(
        "disable-default-registry-endpoint",
        Switch,
        "Do not fall back to a registry itself when mirrors are configured for it",
    ),
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
