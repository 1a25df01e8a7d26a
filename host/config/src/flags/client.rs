//! State on disk and the administrator's kubeconfig.

use super::Flag;
use super::Shape::{One, Switch};

pub(super) const FLAGS: &[Flag] = &[
    Flag::new(
        "data-dir",
        One,
        "Folder that holds state (default: /var/lib/rancher/k3s)",
    )
    .short('d')
    .env("K3S_DATA_DIR"),
    Flag::new("secrets-encryption", Switch, "Encrypt Secrets at rest")
        .fatal("Secrets would be stored unencrypted; encryption at rest does not exist yet"),
    Flag::new("secrets-encryption-provider", One, "aescbc or secretbox")
        .fatal("encryption at rest does not exist yet"),
    Flag::new(
        "write-kubeconfig",
        One,
        "Where to write the kubeconfig (default: /etc/rancher/k3s/k3s.yaml)",
    )
    .short('o')
    .env("K3S_KUBECONFIG_OUTPUT"),
    Flag::new(
        "write-kubeconfig-mode",
        One,
        "Mode of the kubeconfig, octal (default: 600)",
    )
    .env("K3S_KUBECONFIG_MODE"),
    Flag::new(
        "write-kubeconfig-group",
        One,
        "Group that owns the kubeconfig",
    )
    .env("K3S_KUBECONFIG_GROUP"),
];
