//! Settings of one node: the server's own, or an agent's.

use std::net::IpAddr;
use std::path::PathBuf;

use super::Warnings;
use crate::command::Parsed;
use crate::error::ConfigError;
use crate::flags::client::DATA_DIR;
use crate::flags::node::{
    KUBELET_ARG, NODE_EXTERNAL_IP, NODE_IP, NODE_LABEL, NODE_NAME, NODE_TAINT, RESOLV_CONF,
    WITH_NODE_ID,
};
use crate::flags::runtime::{
    CONTAINER_RUNTIME_ENDPOINT, DEFAULT_RUNTIME, DISABLE_DEFAULT_REGISTRY_ENDPOINT,
    PRIVATE_REGISTRY, SNAPSHOTTER,
};
use crate::kubelet_args::KubeletArguments;

/// Settings of one node.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// `<data-dir>`; the node's state is in `agent` below it.
    pub data_dir: PathBuf,
    /// `--node-name`, lower case.
    pub node_name: Option<String>,
    /// Append the node id.
    pub with_node_id: bool,
    /// `key=value`.
    pub labels: Vec<(String, String)>,
    /// `key=value:effect`.
    pub taints: Vec<String>,
    /// `--node-ip`.
    pub node_ips: Vec<IpAddr>,
    /// `--node-external-ip`.
    pub external_ips: Vec<IpAddr>,
    /// `--resolv-conf`.
    pub resolv_conf: PathBuf,
    /// `--private-registry`.
    pub registries: PathBuf,
    /// `--disable-default-registry-endpoint`: a registry that has mirrors is asked through them only.
    pub disable_default_registry_endpoint: bool,
    /// `--container-runtime-endpoint`: a runtime other than the built-in one.
    pub container_runtime_endpoint: Option<String>,
    /// `--kubelet-arg`, those that act.
    pub kubelet: KubeletArguments,
    /// The arguments of the command line and file, for `k3s.io/node-args`.
    pub args: Vec<String>,
}

impl NodeSettings {
    pub(super) fn resolve(parsed: &Parsed, warnings: &mut Warnings) -> Result<Self, ConfigError> {
        // It has one value; others are refused here and nothing is left to set.
        parsed.get(&SNAPSHOTTER)?;
        parsed.get(&DEFAULT_RUNTIME)?;
        Ok(Self {
            data_dir: parsed.get(&DATA_DIR)?,
            node_name: parsed.get(&NODE_NAME)?,
            with_node_id: parsed.get(&WITH_NODE_ID)?,
            labels: parsed.get(&NODE_LABEL)?,
            taints: parsed.get(&NODE_TAINT)?,
            node_ips: parsed.get(&NODE_IP)?,
            external_ips: parsed.get(&NODE_EXTERNAL_IP)?,
            resolv_conf: parsed.get(&RESOLV_CONF)?,
            registries: parsed.get(&PRIVATE_REGISTRY)?,
            disable_default_registry_endpoint: parsed.get(&DISABLE_DEFAULT_REGISTRY_ENDPOINT)?,
            container_runtime_endpoint: parsed.get(&CONTAINER_RUNTIME_ENDPOINT)?,
            kubelet: KubeletArguments::parse(&parsed.get(&KUBELET_ARG)?, warnings)?,
            args: parsed.args.clone(),
        })
    }
}
