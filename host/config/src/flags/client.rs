//! State on disk and the administrator's kubeconfig.

use std::path::PathBuf;

use super::Flag;
use super::Shape::{One, Switch};
use super::typed::{DefaultFlag, OptionalFlag};
use super::values;

/// Where `--data-dir` points unless it is given.
pub(crate) const DEFAULT_DATA_DIR: &str = "/var/lib/rancher/k3s";
/// The variable that gives `--data-dir`.
pub(crate) const DATA_DIR_VARIABLE: &str = "K3S_DATA_DIR";

pub(crate) const DATA_DIR: DefaultFlag<PathBuf> = DefaultFlag::new(
    Flag::new("data-dir", One, "Folder that holds state")
        .short('d')
        .env(DATA_DIR_VARIABLE),
    DEFAULT_DATA_DIR,
    values::path,
);
pub(crate) const WRITE_KUBECONFIG: DefaultFlag<PathBuf> = DefaultFlag::new(
    Flag::new("write-kubeconfig", One, "Where to write the kubeconfig")
        .short('o')
        .env("K3S_KUBECONFIG_OUTPUT"),
    "/etc/rancher/k3s/k3s.yaml",
    values::path,
);
pub(crate) const WRITE_KUBECONFIG_MODE: DefaultFlag<u32> = DefaultFlag::new(
    Flag::new(
        "write-kubeconfig-mode",
        One,
        "Mode of the kubeconfig, octal",
    )
    .env("K3S_KUBECONFIG_MODE"),
    "600",
    values::file_mode,
);
pub(crate) const WRITE_KUBECONFIG_GROUP: OptionalFlag<String> = OptionalFlag::new(
    Flag::new(
        "write-kubeconfig-group",
        One,
        "Group that owns the kubeconfig",
    )
    .env("K3S_KUBECONFIG_GROUP"),
    values::text,
);

pub(super) const FLAGS: &[Flag] = &[
    DATA_DIR.row(),
    Flag::new("secrets-encryption", Switch, "Encrypt Secrets at rest")
        .fatal("Secrets would be stored unencrypted; encryption at rest does not exist yet"),
    Flag::new("secrets-encryption-provider", One, "aescbc or secretbox")
        .fatal("encryption at rest does not exist yet"),
    WRITE_KUBECONFIG.row(),
    WRITE_KUBECONFIG_MODE.row(),
    WRITE_KUBECONFIG_GROUP.row(),
];
