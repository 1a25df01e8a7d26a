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
//! kube's runtime has a reflector, which keeps each object as a struct or a tree. For 10,000 running
//! pods of 3 kB (`examples/informer_cost.rs`, a development build with optimised serde_json):
//!
//! | Copy | Memory of one | of three | List | One event |
//! |---|---|---|---|---|
//! | [`Informer`] | 53 MiB | 103 MiB | 0.4 s | 46 us |
//! | `reflector` of `Pod` | 173 MiB | 503 MiB | 0.7 s | 98 us |
//! | `reflector` of `DynamicObject` | 334 MiB | 997 MiB | 1.0 s | 113 us |
//!
//! An informer reads the metadata only and keeps a slice of the server's own frame; views are
//! parsed for the objects that some logic reads. Informers of one process also hold equal objects
//! once, with their views, while each reads under its own identity.
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
