//! The server's end of being a CNI plugin: calls of the plugin arrive over a socket and go to the pod
//! network.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k3s_base::error::{Sentence, chain};
use k3s_lifecycle::Tasks;
use k3s_runtime::{NetworkError, PodNetwork, PortMapping, Protocol, SandboxNetwork};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::result;

/// Callers at a time; a node starts at most some hundred pods at once. Further ones wait.
const CALLERS: usize = 256;
/// Bytes of a request.
const REQUEST_LIMIT: u64 = 1 << 20;
/// How long a caller may take to send its request.
const PATIENCE: Duration = Duration::from_secs(10);
/// After an `accept` that failed (no file descriptors left).
const PAUSE: Duration = Duration::from_millis(100);

/// Error codes of the specification; those from 100 on are the plugin's own.
const UNSUPPORTED: u32 = 4;
const INVALID: u32 = 7;
const TRY_LATER: u32 = 11;
const NOT_AVAILABLE: u32 = 50;
const FAILED: u32 = 100;

/// Why the socket is not served.
#[derive(Debug, thiserror::Error)]
#[error("serve CNI calls at {path}")]
pub struct ServeError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// One call, as the plugin received it.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Call {
    pub(crate) command: String,
    pub(crate) container: String,
    pub(crate) netns: String,
    pub(crate) interface: String,
    pub(crate) args: String,
    /// The plugin's standard input.
    pub(crate) config: Value,
}

/// What the plugin prints, and whether it failed.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) failed: bool,
    /// Null for nothing.
    pub(crate) output: Value,
}

/// Serves calls at a socket that only root may use, for as long as the group runs.
///
/// # Errors
/// When the socket cannot be made.
pub fn serve(path: &Path, network: Arc<dyn PodNetwork>, tasks: &Tasks) -> Result<(), ServeError> {
    let listener = listen(path).map_err(|source| ServeError {
        path: path.to_owned(),
        source,
    })?;
    let tasks = tasks.child("cni calls");
    tasks.spawn_until_stopped("listener", accept(listener, network, tasks.clone()));
    Ok(())
}

fn listen(path: &Path) -> std::io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn accept(listener: UnixListener, network: Arc<dyn PodNetwork>, tasks: Tasks) {
    let places = Arc::new(Semaphore::new(CALLERS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let network = network.clone();
        tasks.spawn("caller", async move {
            if let Err(error) = answer(stream, &*network).await {
                tracing::debug!(error = chain(&error), "a CNI call was cut off");
            }
            drop(place);
        });
    }
}

async fn answer(mut stream: UnixStream, network: &dyn PodNetwork) -> std::io::Result<()> {
    // The socket's mode already excludes others, but a descriptor may have been passed on.
    if stream.peer_cred()?.uid() != 0 {
        return Ok(());
    }
    let mut bytes = Vec::new();
    let mut limited = (&mut stream).take(REQUEST_LIMIT);
    tokio::time::timeout(PATIENCE, limited.read_to_end(&mut bytes))
        .await
        .map_err(std::io::Error::other)??;
    let answer = match serde_json::from_slice::<Call>(&bytes) {
        Ok(call) => handle(&call, network).await,
        Err(error) => {
            let message = format!("the call cannot be read: {}", chain(&error));
            failure("1.0.0", FAILED, message)
        }
    };
    stream.write_all(&serde_json::to_vec(&answer)?).await?;
    stream.shutdown().await
}

/// Why a call failed, with the specification's code for it.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error("unknown CNI_COMMAND {0:?}")]
    UnknownCommand(String),
    /// The call does not describe a pod.
    #[error(transparent)]
    Sandbox(#[from] Sentence),
    /// The answer to STATUS.
    #[error(transparent)]
    NotAvailable(NetworkError),
    #[error(transparent)]
    Network(#[from] NetworkError),
}

impl CallError {
    fn code(&self) -> u32 {
        match self {
            Self::UnknownCommand(_) => UNSUPPORTED,
            Self::Sandbox(_) => INVALID,
            Self::NotAvailable(_) => NOT_AVAILABLE,
            Self::Network(error) if error.retryable => TRY_LATER,
            Self::Network(_) => FAILED,
        }
    }
}

async fn handle(call: &Call, network: &dyn PodNetwork) -> Answer {
    let version = call
        .config
        .get("cniVersion")
        .and_then(Value::as_str)
        .unwrap_or("1.0.0");
    match perform(call, version, network).await {
        Ok(output) => Answer {
            failed: false,
            output,
        },
        Err(error) => failure(version, error.code(), error.to_string()),
    }
}

/// Performs the call; null where its command has no result.
async fn perform(call: &Call, version: &str, network: &dyn PodNetwork) -> Result<Value, CallError> {
    match call.command.as_str() {
        "ADD" => {
            let ips = network.add(&sandbox(call)?).await?;
            return Ok(result::make(version, &call.interface, &call.netns, &ips));
        }
        "DEL" => network.del(&sandbox(call)?).await?,
        "CHECK" => network.check().await?,
        "STATUS" => network.check().await.map_err(CallError::NotAvailable)?,
        "GC" => network.gc(&valid(&call.config)).await?,
        other => return Err(CallError::UnknownCommand(other.to_owned())),
    }
    Ok(Value::Null)
}

fn failure(version: &str, code: u32, message: String) -> Answer {
    Answer {
        failed: true,
        output: json!({"cniVersion": version, "code": code, "msg": message}),
    }
}

/// In the specification's spelling, and in containerd's, since plugins ignore the case of names.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Port {
    #[serde(alias = "HostPort")]
    host_port: u16,
    #[serde(alias = "ContainerPort")]
    container_port: u16,
    #[serde(alias = "Protocol")]
    protocol: String,
    #[serde(rename = "hostIP", alias = "HostIP")]
    host_ip: String,
}

const PORT_MAPPINGS: &str = "portMappings";
const ANNOTATIONS: &str = "io.kubernetes.cri.pod-annotations";

/// The pod that a call is about.
fn sandbox(call: &Call) -> Result<SandboxNetwork, Sentence> {
    if call.container.is_empty() {
        return Err("CNI_CONTAINERID is missing".into());
    }
    let arg = |name: &str| {
        let value = call
            .args
            .split(';')
            .find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name));
        value.map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    let runtime = call.config.get("runtimeConfig");
    let of = |name: &str| {
        runtime
            .and_then(|r| r.get(name))
            .filter(|v| !v.is_null())
            .cloned()
    };
    let ports: Vec<Port> = match of(PORT_MAPPINGS) {
        Some(value) => serde_json::from_value(value).map_err(malformed(PORT_MAPPINGS))?,
        None => Vec::new(),
    };
    let annotations = match of(ANNOTATIONS) {
        Some(value) => serde_json::from_value(value).map_err(malformed(ANNOTATIONS))?,
        None => BTreeMap::new(),
    };
    Ok(SandboxNetwork {
        id: call.container.clone(),
        netns_path: PathBuf::from(&call.netns),
        namespace: arg("K8S_POD_NAMESPACE"),
        name: arg("K8S_POD_NAME"),
        uid: arg("K8S_POD_UID"),
        port_mappings: ports.iter().map(mapping).collect::<Result<_, _>>()?,
        annotations,
    })
}

/// The sentence on a capability's value that cannot be read.
fn malformed(capability: &str) -> impl FnOnce(serde_json::Error) -> Sentence {
    move |error| format!("runtimeConfig.{capability}: {error}").into()
}

fn mapping(port: &Port) -> Result<PortMapping, Sentence> {
    let protocol = match port.protocol.to_ascii_lowercase().as_str() {
        "" | "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        other => {
            return Err(format!("runtimeConfig.portMappings: unknown protocol {other:?}").into());
        }
    };
    let host_ip = match port.host_ip.as_str() {
        "" => None,
        text => Some(
            text.parse()
                .map_err(|_| format!("runtimeConfig.portMappings: hostIP {text:?}"))?,
        ),
    };
    Ok(PortMapping {
        protocol,
        container_port: port.container_port,
        host_port: port.host_port,
        host_ip,
    })
}

fn valid(config: &Value) -> Vec<String> {
    let list = config
        .get("cni.dev/valid-attachments")
        .and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(|a| Some(a.get("containerID")?.as_str()?.to_owned()))
        .collect()
}

#[cfg(test)]
#[path = "forward_tests.rs"]
mod tests;
