//! The component as the runtime's port, its `sync`, and its replacement while pods run.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use k3s_base::error::chain;
use k3s_plugin_host::{CallError, Host, LoadError, Plugin, PluginState, Source, Status};
use k3s_podnetwork::{Node, NodeNetwork, NodeSync, Outcome, SyncError};
use k3s_runtime::{
    Bandwidth, NetworkError, PodIps, PodNetwork, PortMapping, Protocol, SandboxNetwork,
};
use k3s_wit_bindings::cni::Cni;
use k3s_wit_bindings::cni::exports::k3s::cni::network as wit;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use wasmtime::Store;

use super::capability::Grant;
use super::open::Parts;

/// The component with its capabilities.
pub(super) type Instance = Plugin<Grant, Cni>;

/// Calls that wait for their turn; the next one is told to try later. A node has 110 pods by default.
const MAX_WAITING: usize = 512;

/// Why another component did not take over. The one before serves on.
#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    /// It is refused.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It does not start, or refuses its configuration. Nothing was changed.
    #[error("{0}")]
    Start(CallError),
    /// It cannot set the node up.
    #[error("it cannot set up the node's network: {0}")]
    Sync(String),
}

/// The arguments of the last `sync`, for instances to come.
#[derive(Clone, Debug)]
pub(super) struct LastSync {
    pub(super) this_node: String,
    pub(super) nodes: Vec<wit::Node>,
}

/// A pod network by plugin.
pub struct CniNetwork {
    plugin: ArcSwap<Instance>,
    parts: Parts,
    net: Arc<dyn NodeNetwork>,
    last_sync: Arc<Mutex<Option<LastSync>>>,
    waiting: Semaphore,
    /// One call at a time, so that waiting callers hold no threads.
    turn: Semaphore,
}

impl CniNetwork {
    pub(super) fn new(plugin: Instance, parts: Parts) -> Self {
        Self {
            plugin: ArcSwap::from_pointee(plugin),
            net: parts.grant.net.clone(),
            last_sync: parts.last_sync.clone(),
            parts,
            waiting: Semaphore::new(MAX_WAITING),
            turn: Semaphore::new(1),
        }
    }

    /// How the instance is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.plugin.load().status()
    }

    /// Drops the instance, as a failure would; the next call makes a fresh one.
    pub(super) fn recycle(&self) {
        self.plugin.load().recycle();
    }

    /// Whether a pod is still connected as `add` left it.
    pub(super) async fn check_sandbox(&self, pod: &SandboxNetwork) -> Result<(), NetworkError> {
        let (request, namespace, net) = (sandbox(pod), pod.netns_path.clone(), self.net.clone());
        let result = self.call("check", blame(pod), move |b, store| {
            net.begin_pod(&request.id, namespace);
            let _reach = Reach {
                net,
                id: request.id.clone(),
            };
            b.k3s_cni_network().call_check(store, &request)
        });
        result.await?.map_err(describe)
    }

    /// Replaces the component. The new one is loaded, configured and told of the last `sync` beside the
    /// old one, with plans that are compared and not made true; then, between two calls, it sets the node
    /// up and takes over. Should that fail after all, the old one sets the node up again and serves on.
    /// Pods that run keep what was made for them, as far as the new one's set-up of the node leaves it.
    ///
    /// # Errors
    /// When it does not take over.
    pub async fn swap(
        &self,
        host: &Host,
        source: Source<'_>,
        config: Vec<u8>,
    ) -> Result<(), SwapError> {
        let load = || {
            self.parts
                .instance(&host.candidate(), source, config, false)
        };
        let (plugin, live) = tokio::task::block_in_place(load)?;
        let plugin = Arc::new(plugin);
        // Starting it calls `configure`; what it answers before a `sync` does not matter.
        let _ = run(&plugin, "status", |b, store| {
            b.k3s_cni_network().call_status(store)
        })
        .await
        .map_err(SwapError::Start)?;
        self.set_up(&plugin).await?;
        let _turn = self.turn.acquire().await;
        live.store(true, Ordering::Relaxed);
        if let Err(why) = self.set_up(&plugin).await {
            if let Err(error) = self.set_up(&self.plugin.load_full()).await {
                tracing::warn!(%error, "the pod network that serves on could not set up the node again");
            }
            return Err(why);
        }
        plugin.adopt();
        self.plugin.store(plugin);
        Ok(())
    }

    /// The last `sync` again, if there was one.
    async fn set_up(&self, plugin: &Arc<Instance>) -> Result<(), SwapError> {
        let Some(last) = self.last_sync.lock().clone() else {
            return Ok(());
        };
        match sync(plugin, last).await {
            Ok(Ok(_) | Err(wit::Error::NotReady(_))) => Ok(()),
            Ok(Err(error)) => Err(SwapError::Sync(describe(error).message)),
            Err(error) => Err(SwapError::Sync(error.to_string())),
        }
    }

    /// Whatever the plugin is: a limit is not a matter of how pods are connected.
    async fn limit(&self, pod: &SandboxNetwork, limits: Bandwidth) -> Result<(), NetworkError> {
        if limits == Bandwidth::default() {
            return Ok(());
        }
        let (net, id, namespace) = (self.net.clone(), pod.id.clone(), pod.netns_path.clone());
        let work = move || {
            net.limit(&id, &namespace, limits)
                .map_err(|error| chain(&error))
        };
        let result = tokio::task::spawn_blocking(work).await;
        let failed = |message| NetworkError {
            message,
            retryable: false,
        };
        result
            .map_err(|e| failed(format!("the call was cut off: {e}")))?
            .map_err(failed)
    }

    async fn call<T: Send + 'static>(
        &self,
        function: &'static str,
        input: String,
        call: impl FnOnce(&Cni, &mut Store<PluginState<Grant>>) -> Answer<T> + Send + 'static,
    ) -> Result<Result<T, wit::Error>, NetworkError> {
        let later = |message: String| NetworkError {
            message,
            retryable: true,
        };
        let full = || later("too many pods are waiting for the network; try later".to_owned());
        let _waiting = self.waiting.try_acquire().map_err(|_| full())?;
        let _turn = self.turn.acquire().await.map_err(|_| full())?;
        // With the turn, so that a call never meets a component that has been replaced.
        let plugin = self.plugin.load_full();
        let result =
            tokio::task::spawn_blocking(move || plugin.try_call(function, &input, call)).await;
        result
            .map_err(|e| later(format!("the call was cut off: {e}")))?
            .map_err(|e| unavailable(&e))
    }
}

type Answer<T> = wasmtime::Result<Result<T, wit::Error>>;

/// One call of a component that does not serve yet, or of the one that does by who has the turn.
async fn run<T: Send + 'static>(
    plugin: &Arc<Instance>,
    function: &'static str,
    call: impl FnOnce(&Cni, &mut Store<PluginState<Grant>>) -> Answer<T> + Send + 'static,
) -> Result<Result<T, wit::Error>, CallError> {
    let on_thread = plugin.clone();
    let lost = |error: tokio::task::JoinError| CallError::NotStarted {
        plugin: plugin.status().name,
        cause: format!("the call was cut off: {error}"),
    };
    tokio::task::spawn_blocking(move || on_thread.try_call(function, "", call))
        .await
        .map_err(lost)?
}

async fn sync(
    plugin: &Arc<Instance>,
    last: LastSync,
) -> Result<Result<wit::Outcome, wit::Error>, CallError> {
    run(plugin, "sync", move |b, store| {
        b.k3s_cni_network()
            .call_sync(store, &last.this_node, &last.nodes)
    })
    .await
}

/// A plugin that is down comes back by itself.
fn unavailable(error: &CallError) -> NetworkError {
    NetworkError {
        message: format!("{error}; try later"),
        retryable: true,
    }
}

fn describe(error: wit::Error) -> NetworkError {
    let (message, retryable) = match error {
        wit::Error::NotReady(why) | wit::Error::Retry(why) | wit::Error::Exhausted(why) => {
            (why, true)
        }
        wit::Error::Invalid(why) | wit::Error::Other(why) => (why, false),
    };
    NetworkError { message, retryable }
}

fn sandbox(from: &SandboxNetwork) -> wit::Sandbox {
    let port = |p: &PortMapping| wit::PortMapping {
        protocol: match p.protocol {
            Protocol::Tcp => wit::Protocol::Tcp,
            Protocol::Udp => wit::Protocol::Udp,
            Protocol::Sctp => wit::Protocol::Sctp,
        },
        container_port: p.container_port,
        host_port: p.host_port,
        host_ip: p.host_ip.map(|ip| ip.to_string()),
    };
    wit::Sandbox {
        id: from.id.clone(),
        pod_namespace: from.namespace.clone(),
        pod_name: from.name.clone(),
        pod_uid: from.uid.clone(),
        ports: from
            .port_mappings
            .iter()
            .filter(|p| p.host_port != 0)
            .map(port)
            .collect(),
        annotations: from
            .annotations
            .iter()
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
    }
}

/// What a call was about when the plugin failed in it. By the pod, as each try has a new sandbox.
fn blame(pod: &SandboxNetwork) -> String {
    format!("pod {}/{}", pod.namespace, pod.name)
}

/// Lets plans reach a pod's namespace for as long as it lives.
struct Reach {
    net: Arc<dyn NodeNetwork>,
    id: String,
}

impl Drop for Reach {
    fn drop(&mut self) {
        self.net.end_pod(&self.id);
    }
}

fn node(from: Node) -> wit::Node {
    wit::Node {
        name: from.name,
        internal_ips: from.internal_ips,
        pod_cidrs: from.pod_cidrs,
        annotations: from.annotations,
    }
}

#[async_trait]
impl NodeSync for CniNetwork {
    /// Later instances are told the same.
    async fn sync(&self, this_node: &str, nodes: Vec<Node>) -> Result<Outcome, SyncError> {
        let arguments = LastSync {
            this_node: this_node.to_owned(),
            nodes: nodes.into_iter().map(node).collect(),
        };
        let call = arguments.clone();
        let result = self
            .call("sync", String::new(), move |b, store| {
                b.k3s_cni_network()
                    .call_sync(store, &call.this_node, &call.nodes)
            })
            .await
            .map_err(|error| SyncError::Unavailable(error.into()))?;
        match result {
            Ok(outcome) => {
                *self.last_sync.lock() = Some(arguments);
                Ok(Outcome {
                    annotations: outcome.annotations,
                    subnet_env: outcome.subnet_env,
                })
            }
            Err(wit::Error::NotReady(why)) => Err(SyncError::NotReady(why)),
            Err(error) => Err(SyncError::Failed(describe(error).message)),
        }
    }
}

#[async_trait]
impl PodNetwork for CniNetwork {
    async fn add(&self, pod: &SandboxNetwork) -> Result<PodIps, NetworkError> {
        let limits = pod.bandwidth().map_err(|reason| NetworkError {
            message: reason.to_string(),
            retryable: false,
        })?;
        let (request, namespace, net) = (sandbox(pod), pod.netns_path.clone(), self.net.clone());
        let result = self.call("add", blame(pod), move |b, store| {
            net.begin_pod(&request.id, namespace);
            let _reach = Reach {
                net,
                id: request.id.clone(),
            };
            b.k3s_cni_network().call_add(store, &request)
        });
        let attachment = result.await?.map_err(describe)?;
        self.limit(pod, limits).await?;
        let bad = |text: &str| NetworkError {
            message: format!("the plugin gave {text:?} as an address"),
            retryable: false,
        };
        let parse = |text: &String| text.parse().map_err(|_| bad(text));
        Ok(PodIps(
            attachment
                .addresses
                .iter()
                .map(parse)
                .collect::<Result<_, _>>()?,
        ))
    }

    async fn del(&self, pod: &SandboxNetwork) -> Result<(), NetworkError> {
        let id = pod.id.clone();
        self.call("del", blame(pod), move |b, store| {
            b.k3s_cni_network().call_del(store, &id)
        })
        .await?
        .map_err(describe)
    }

    async fn check(&self) -> Result<(), NetworkError> {
        self.call("status", String::new(), |b, store| {
            b.k3s_cni_network().call_status(store)
        })
        .await?
        .map_err(describe)
    }

    async fn gc(&self, valid_ids: &[String]) -> Result<(), NetworkError> {
        let valid = valid_ids.to_vec();
        self.call("gc", String::new(), move |b, store| {
            b.k3s_cni_network().call_gc(store, &valid)
        })
        .await?
        .map_err(describe)
    }
}
