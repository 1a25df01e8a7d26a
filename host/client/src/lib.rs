//! How every component speaks to the Kubernetes API: kube's client over a function call or HTTPS,
//! and what controllers need around it: shared informers, a work queue, expectations and an event
//! recorder.
//!
//! Controllers, scheduler, kubelet, proxies and DNS act through this crate only, so that
//! authentication, RBAC and admission apply to all of them. In the server's process the transport
//! is a tower service ([`Client::in_process`]); from outside it is HTTPS as a kubeconfig says
//! ([`Client::from_kubeconfig`]). [`Client::kube`] is kube's client over the same transport, for
//! `kube::Api`, exec and port-forward.
//!
//! Objects stay bytes: an [`Obj`] keeps the JSON it came as, the metadata read from it, and typed
//! views made at first use. Writes are JSON built from the dynamic tree or patches, never a typed
//! struct encoded over a stored object, since that would drop fields the struct does not know.
//!
//! ```no_run
//! use k3s_client::resources::PODS;
//! use k3s_client::{Client, KubeconfigSource, ListParams};
//!
//! # async fn example() -> k3s_client::Result<()> {
//! let client = Client::from_kubeconfig(KubeconfigSource::new("/etc/rancher/k3s/k3s.yaml"))?;
//! let running = ListParams::default().fields("status.phase=Running");
//! let pods = client.list_all(&PODS, Some("default"), &running).await?;
//! for pod in pods.items {
//!     let (name, node) = (pod.name(), &pod.value()["spec"]["nodeName"]);
//!     tracing::info!(name, %node);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Why informers of our own
//!
//! FIGURES
//!
//! Tasks owned: one reflector per live [`Informer`], one writer per [`EventRecorder`], and kube's
//! own: one request queue per client.

mod body;
mod client;
pub mod discovery;
mod error;
pub mod events;
pub mod expectations;
mod factory;
#[cfg(feature = "testing")]
pub mod fake;
pub mod informer;
mod object;
mod params;
pub mod queue;
mod resource;
pub mod resources;
mod transport;
mod verbs;
mod watch;

pub use body::{Body, BoxError, full};
pub use client::Client;
pub use error::{Error, Result};
pub use events::{EventRecorder, EventType, ObjectReference};
pub use expectations::Expectations;
pub use factory::ClientFactory;
pub use informer::{Informer, InformerEvent, Informers, Scope, Subscription};
pub use object::{Metadata, Obj, Object, key, split_key};
pub use params::{
    DeleteParams, List, ListParams, Patch, PatchParams, Preconditions, PropagationPolicy,
    WatchParams, uid_is, unchanged,
};
pub use queue::WorkQueue;
pub use resource::Resource;
pub use transport::credentials::KubeconfigSource;
pub use watch::{WatchEvent, WatchStream};
