//! Typed, read-only views of the objects that several components interpret, and the rules for
//! reading them: what a pod requests, its quality of service, which taints it tolerates, which
//! nodes a selector term matches, whether an endpoint is ready. Each rule exists once, so that
//! scheduler, kubelet, controllers, admission, service proxy and DNS cannot disagree.
//!
//! A view lists the fields that some component reads and ignores all others. It is never written
//! back: an update starts from the dynamic tree, which keeps what the view does not know. Metadata
//! is not part of the views; informers keep it beside each object. Pure, no I/O.
//!
//! A JSON `null` reads as the field's default, as it does when Go decodes it; see [`view`].
//!
//! Upstream: `k8s.io/component-helpers/{resource,scheduling}`, `k8s.io/api/core/v1/toleration.go`,
//! `pkg/apis/core/v1/helper/qos`.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "a test may fail loudly"
    )
)]

mod view;

pub mod affinity;
pub mod condition;
pub mod endpoint_slice;
pub mod node;
pub mod node_selector;
pub mod pod;
pub mod resources;
pub mod service;
pub mod toleration;

pub use condition::Condition;
pub use endpoint_slice::EndpointSlice;
pub use node::Node;
pub use node_selector::{NodeSelector, NodeSelectorTerm};
pub use pod::{Pod, PodSpec, QosClass};
pub use resources::ResourceList;
pub use service::Service;
pub use toleration::{Taint, Toleration};
