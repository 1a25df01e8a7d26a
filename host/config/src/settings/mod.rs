//! The resolved settings of `k3s server`: defaults filled in, values checked against each other.
//!
//! They are in three parts, by who needs them: the server, its node, and the cluster. Node code sees
//! the last two only, so that an agent can be given them by its server.

mod cluster;
mod node;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

use k3s_base::Secret;

use crate::command::Parsed;
use crate::datastore::{Endpoint, TlsFiles};
use crate::error::ConfigError;
use crate::flags::client::{
    DATA_DIR, WRITE_KUBECONFIG, WRITE_KUBECONFIG_GROUP, WRITE_KUBECONFIG_MODE,
};
use crate::flags::cluster::{AGENT_TOKEN, AGENT_TOKEN_FILE, TOKEN, TOKEN_FILE};
use crate::flags::components::{
    DISABLE_AGENT, DISABLE_CLOUD_CONTROLLER, DISABLE_CONTROLLER_MANAGER, DISABLE_SCHEDULER, PLUGIN,
};
use crate::flags::datastore::{
    DATASTORE_CAFILE, DATASTORE_CERTFILE, DATASTORE_ENDPOINT, DATASTORE_KEYFILE,
};
use crate::flags::listener::{
    ADVERTISE_ADDRESS, ADVERTISE_PORT, BIND_ADDRESS, HTTPS_LISTEN_PORT, TLS_SAN,
};
use crate::flags::logging::{ALSO_LOG_TO_STDERR, DEBUG, LOG, VERBOSITY};
use crate::flags::networking::{FLANNEL_BACKEND, SERVICE_NODE_PORT_RANGE};
use crate::flags::typed::{OptionalFlag, TypedFlag};
use crate::plugin::{self, PluginRef};

pub use cluster::{ClusterSettings, FlannelBackend};
pub use node::NodeSettings;

/// Sentences for the operator that are not errors.
pub type Warnings = Vec<String>;

/// Libraries whose traces drown everything else.
const QUIET_LIBRARIES: &str = "h2=info,hyper=info,rustls=info,wasmtime=info,cranelift=info";

/// Everything `k3s server` needs to know.
#[derive(Debug)]
pub struct ServerSettings {
    /// The cluster's settings, which nodes get too.
    pub cluster: Arc<ClusterSettings>,
    /// The server's own node.
    pub node: Arc<NodeSettings>,
    /// `<data-dir>`; the server's state is in `server` below it.
    pub data_dir: PathBuf,
    /// Tracing filter directives.
    pub log_filter: String,
    /// `--log`: a file instead of standard error.
    pub log_file: Option<PathBuf>,
    /// Both places.
    pub also_log_to_stderr: bool,
    /// `--datastore-endpoint` with its TLS files.
    pub datastore: Endpoint,
    /// Where the API listens.
    pub bind_address: IpAddr,
    /// And on which port.
    pub https_port: u16,
    /// `--advertise-address`.
    pub advertise_address: Option<IpAddr>,
    /// `--advertise-port`.
    pub advertise_port: Option<u16>,
    /// `--tls-san`.
    pub tls_sans: Vec<String>,
    /// NodePorts.
    pub node_ports: RangeInclusive<u16>,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// Its mode.
    pub kubeconfig_mode: u32,
    /// Its group.
    pub kubeconfig_group: Option<String>,
    /// `--token`.
    pub token: Option<Secret>,
    /// `--agent-token`.
    pub agent_token: Option<Secret>,
    /// `--plugin`.
    pub plugins: Vec<PluginRef>,
    /// Leave out the scheduler.
    pub disable_scheduler: bool,
    /// Leave out the cloud controller.
    pub disable_cloud_controller: bool,
    /// Leave out the controllers.
    pub disable_controllers: bool,
    /// Leave out the node.
    pub disable_agent: bool,
}

impl ServerSettings {
    /// Checks and completes what was parsed.
    ///
    /// # Errors
    /// On values of a wrong form and combinations that cannot work.
    pub fn resolve(parsed: &Parsed) -> Result<(Self, Warnings), ConfigError> {
        let mut warnings = parsed.warnings.clone();
        let cluster = ClusterSettings::resolve(parsed, &mut warnings)?;
        let node = NodeSettings::resolve(parsed, &mut warnings)?;
        let settings = Self {
            plugins: plugins(parsed, &cluster)?,
            cluster: Arc::new(cluster),
            node: Arc::new(node),
            data_dir: parsed.get(&DATA_DIR)?,
            log_filter: log_filter(parsed)?,
            log_file: parsed.get(&LOG)?,
            also_log_to_stderr: parsed.get(&ALSO_LOG_TO_STDERR)?,
            datastore: datastore(parsed)?,
            bind_address: parsed.get(&BIND_ADDRESS)?,
            https_port: parsed.get(&HTTPS_LISTEN_PORT)?,
            advertise_address: parsed.get(&ADVERTISE_ADDRESS)?,
            advertise_port: parsed.get(&ADVERTISE_PORT)?,
            tls_sans: parsed.get(&TLS_SAN)?,
            node_ports: parsed.get(&SERVICE_NODE_PORT_RANGE)?,
            kubeconfig: parsed.get(&WRITE_KUBECONFIG)?,
            kubeconfig_mode: parsed.get(&WRITE_KUBECONFIG_MODE)?,
            kubeconfig_group: parsed.get(&WRITE_KUBECONFIG_GROUP)?,
            token: secret(parsed, &TOKEN, &TOKEN_FILE)?,
            agent_token: secret(parsed, &AGENT_TOKEN, &AGENT_TOKEN_FILE)?,
            disable_scheduler: parsed.get(&DISABLE_SCHEDULER)?,
            disable_cloud_controller: parsed.get(&DISABLE_CLOUD_CONTROLLER)?,
            disable_controllers: parsed.get(&DISABLE_CONTROLLER_MANAGER)?,
            disable_agent: parsed.get(&DISABLE_AGENT)?,
        };
        Ok((settings, warnings))
    }
}

/// The chosen batteries, at most one of a kind. A network needs a backend to replace.
fn plugins(parsed: &Parsed, cluster: &ClusterSettings) -> Result<Vec<PluginRef>, ConfigError> {
    let plugins = parsed.get(&PLUGIN)?;
    plugin::check_unique(&plugins)?;
    let has_network = plugins.iter().any(|plugin| plugin.kind == "cni");
    if has_network && cluster.flannel_backend == FlannelBackend::None {
        return Err(ConfigError::value(
            FLANNEL_BACKEND.flag().name,
            cluster.flannel_backend.name(),
            "a network is given with --plugin cni as well",
        ));
    }
    Ok(plugins)
}

fn datastore(parsed: &Parsed) -> Result<Endpoint, ConfigError> {
    let files = TlsFiles {
        ca: parsed.get(&DATASTORE_CAFILE)?,
        cert: parsed.get(&DATASTORE_CERTFILE)?,
        key: parsed.get(&DATASTORE_KEYFILE)?,
    };
    let endpoint = parsed.get(&DATASTORE_ENDPOINT)?.unwrap_or_default();
    Endpoint::parse(DATASTORE_ENDPOINT.flag().name, &endpoint, &files)
}

fn log_filter(parsed: &Parsed) -> Result<String, ConfigError> {
    let is_debug = parsed.get(&DEBUG)?;
    Ok(match (is_debug, parsed.get(&VERBOSITY)?) {
        (false, 0) => "info".to_owned(),
        (_, 5..) => format!("trace,{QUIET_LIBRARIES}"),
        _ => format!("debug,{QUIET_LIBRARIES}"),
    })
}

/// A secret that is given itself, or in a file.
fn secret(
    parsed: &Parsed,
    flag: &OptionalFlag<String>,
    file_flag: &OptionalFlag<PathBuf>,
) -> Result<Option<Secret>, ConfigError> {
    if let Some(value) = parsed.get(flag)? {
        return Ok(Some(Secret::new(value)));
    }
    let Some(path) = parsed.get(file_flag)? else {
        return Ok(None);
    };
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(source) => return Err(ConfigError::Read { path, source }),
    };
    match text.trim() {
        "" => Err(ConfigError::value(
            file_flag.flag().name,
            &path.display().to_string(),
            "the file is empty",
        )),
        token => Ok(Some(Secret::new(token.to_owned()))),
    }
}
