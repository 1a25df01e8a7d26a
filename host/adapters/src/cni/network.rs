//! The component as the runtime's port and as the follower of nodes.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use k3s_base::error::chain;
use k3s_battery::{Battery, BatteryOptions, Environment, Error};
use k3s_plugin_host::{Host, LoadError, PluginState, Source};
use k3s_podnetwork::{Ipam, Node, NodeNetwork, NodeSync, Outcome, SyncError};
use k3s_runtime::{Bandwidth, NetworkError, PodIps, PodNetwork, SandboxNetwork};
use k3s_wit_bindings::cni::Cni;
use k3s_wit_bindings::cni::exports::k3s::cni::network as wit;
use wasmtime::Store;

use super::capability::Grant;
use super::convert;
use super::kind::{CniKind, LastSync};

/// Calls that wait for their turn; the next one fails and is retried. A node has 110 pods by default.
const MAX_WAITING: usize = 512;

/// How to run a pod network.
pub struct CniOptions {
    /// The plugin's own configuration, JSON; empty means defaults. For flannel: `network`, `backend`
    /// (`vxlan`, `host-gw`), `ipMasq`.
    pub config: Vec<u8>,
    /// Leases; the node's are in `/var/lib/cni/networks`.
    pub ipam: Ipam,
    /// The node's network.
    pub net: Arc<dyn NodeNetwork>,
    /// What instances are run with.
    pub environment: Environment,
}

/// A pod network by plugin.
pub struct CniNetwork {
    battery: Battery<CniKind>,
    net: Arc<dyn NodeNetwork>,
}

type Answer<T> = wasmtime::Result<Result<T, wit::Error>>;

/// Loads `source` (see [`crate::bundled`]) with the node's network as its capability.
///
/// # Errors
/// When the component is refused.
pub fn open_cni(
    host: &Host,
    source: Source<'_>,
    options: CniOptions,
) -> Result<CniNetwork, LoadError> {
    let net = options.net;
    let kind = CniKind::new(Grant {
        net: net.clone(),
        ipam: Arc::new(options.ipam),
    });
    let options = BatteryOptions {
        config: options.config,
        max_waiting: MAX_WAITING,
        environment: options.environment,
    };
    let battery = Battery::load(kind, host, source, options)?;
    Ok(CniNetwork { battery, net })
}

impl CniNetwork {
    /// The engine that runs it.
    #[must_use]
    pub fn battery(&self) -> &Battery<CniKind> {
        &self.battery
    }

    /// Whether a pod is still connected as `add` left it.
    ///
    /// # Errors
    /// When it is not, or the plugin has no answer.
    pub async fn check_sandbox(&self, pod: &SandboxNetwork) -> Result<(), NetworkError> {
        let reach = self.reach(pod);
        let request = convert::sandbox(pod);
        let result = self.call("check", input_of(pod), move |bindings, store| {
            let _reach = reach.open();
            bindings.k3s_cni_network().call_check(store, &request)
        });
        result.await.map_err(unavailable)?.map_err(convert::error)
    }

    /// Whatever the plugin is: a limit does not depend on how pods are connected.
    async fn limit(&self, pod: &SandboxNetwork, limits: Bandwidth) -> Result<(), NetworkError> {
        if limits == Bandwidth::default() {
            return Ok(());
        }
        let (net, id, namespace) = (self.net.clone(), pod.id.clone(), pod.netns_path.clone());
        let work = move || net.limit(&id, &namespace, limits);
        let failed = |message| NetworkError {
            message,
            retryable: false,
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(result) => result.map_err(|error| failed(chain(&error))),
            Err(lost) => Err(failed(format!("the call was cut off: {lost}"))),
        }
    }

    fn reach(&self, pod: &SandboxNetwork) -> Reach {
        Reach {
            net: self.net.clone(),
            id: pod.id.clone(),
            namespace: pod.netns_path.clone(),
        }
    }

    async fn call<T: Send + 'static>(
        &self,
        function: &'static str,
        input: String,
        call: impl FnOnce(&Cni, &mut Store<PluginState<Grant>>) -> Answer<T> + Send + 'static,
    ) -> Result<Result<T, wit::Error>, Error> {
        self.battery
            .run(move |component| component.try_call(function, &input, call))
            .await
    }
}

/// A plugin that is down restarts, and a line gets shorter.
fn unavailable(error: Error) -> NetworkError {
    NetworkError {
        message: format!("{}; try later", chain(&error)),
        retryable: true,
    }
}

/// What a call was about when the plugin failed in it. By the pod, as each try has a new sandbox.
fn input_of(pod: &SandboxNetwork) -> String {
    format!("pod {}/{}", pod.namespace, pod.name)
}

/// Lets plans reach a pod's namespace during a call.
struct Reach {
    net: Arc<dyn NodeNetwork>,
    id: String,
    namespace: PathBuf,
}

/// Ends that when it is dropped.
struct Reached(Reach);

impl Reach {
    fn open(self) -> Reached {
        self.net.begin_pod(&self.id, self.namespace.clone());
        Reached(self)
    }
}

impl Drop for Reached {
    fn drop(&mut self) {
        self.0.net.end_pod(&self.0.id);
    }
}

#[async_trait]
impl NodeSync for CniNetwork {
    async fn sync(&self, this_node: &str, nodes: Vec<Node>) -> Result<Outcome, SyncError> {
        let arguments = LastSync {
            this_node: this_node.to_owned(),
            nodes: nodes.into_iter().map(convert::node).collect(),
        };
        let call = arguments.clone();
        let result = self.call("sync", String::new(), move |bindings, store| {
            let network = bindings.k3s_cni_network();
            network.call_sync(store, &call.this_node, &call.nodes)
        });
        match result.await {
            Ok(Ok(outcome)) => {
                self.battery.kind().set_last_sync(arguments);
                Ok(convert::outcome(outcome))
            }
            Ok(Err(wit::Error::NotReady(why))) => Err(SyncError::NotReady(why)),
            Ok(Err(error)) => Err(SyncError::Failed(convert::error(error).message)),
            Err(error) => Err(SyncError::Unavailable(error.into())),
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
        let reach = self.reach(pod);
        let request = convert::sandbox(pod);
        let result = self.call("add", input_of(pod), move |bindings, store| {
            let _reach = reach.open();
            bindings.k3s_cni_network().call_add(store, &request)
        });
        let attachment = result.await.map_err(unavailable)?.map_err(convert::error)?;
        self.limit(pod, limits).await?;
        convert::addresses(&attachment)
    }

    async fn del(&self, pod: &SandboxNetwork) -> Result<(), NetworkError> {
        let id = pod.id.clone();
        let result = self.call("del", input_of(pod), move |bindings, store| {
            bindings.k3s_cni_network().call_del(store, &id)
        });
        result.await.map_err(unavailable)?.map_err(convert::error)
    }

    async fn check(&self) -> Result<(), NetworkError> {
        let result = self.call("status", String::new(), |bindings, store| {
            bindings.k3s_cni_network().call_status(store)
        });
        result.await.map_err(unavailable)?.map_err(convert::error)
    }

    async fn gc(&self, valid_ids: &[String]) -> Result<(), NetworkError> {
        let valid = valid_ids.to_vec();
        let result = self.call("gc", String::new(), move |bindings, store| {
            bindings.k3s_cni_network().call_gc(store, &valid)
        });
        result.await.map_err(unavailable)?.map_err(convert::error)
    }
}
