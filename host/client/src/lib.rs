//! How every component speaks to the Kubernetes API: one client over two transports, shared
//! informers, a work queue, expectations and an event recorder.
//!
//! Controllers, scheduler, kubelet, proxies and DNS act through this crate only, so that
//! authentication, RBAC and admission apply to all of them. In the server process the transport is
//! an in-process tower service ([`Client::in_process`]); from an agent it is HTTPS.
//!
//! Objects stay bytes: an [`Obj`] keeps the JSON it came as, the metadata read from it, and typed
//! views made at first use. Writes are JSON built from the dynamic tree or patches, never a typed
//! struct encoded over a stored object, since that would drop fields the struct does not know.
//!
//! Tasks owned: one reflector per live [`Informer`], one writer per [`EventRecorder`].

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
