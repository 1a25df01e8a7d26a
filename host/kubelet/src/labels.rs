//! Labels and annotations that tie runtime objects to pods (`pkg/kubelet/types/labels.go`,
//! `pkg/kubelet/kuberuntime/labels.go`) and mark static pods.

/// Pod name.
pub(crate) const POD_NAME: &str = "io.kubernetes.pod.name";
/// Pod namespace.
pub(crate) const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// Pod uid, by which a new process finds the pod's containers again.
pub(crate) const POD_UID: &str = "io.kubernetes.pod.uid";
/// Container name.
pub(crate) const CONTAINER_NAME: &str = "io.kubernetes.container.name";
/// Which spec a container was made from.
pub(crate) const CONTAINER_HASH: &str = "io.kubernetes.container.hash";
/// How often the container was started before.
pub(crate) const RESTART_COUNT: &str = "io.kubernetes.container.restartCount";
/// Termination message path inside the container.
pub(crate) const MESSAGE_PATH: &str = "io.kubernetes.container.terminationMessagePath";
/// Termination message policy.
pub(crate) const MESSAGE_POLICY: &str = "io.kubernetes.container.terminationMessagePolicy";
/// The pod's grace period at creation: an orphan is stopped with it.
pub(crate) const GRACE_PERIOD: &str = "io.kubernetes.pod.terminationGracePeriod";

/// `lifecycle.stopSignal`: CRI messages of this version have no field for it, the embedded runtime reads it here.
pub(crate) const STOP_SIGNAL: &str = "io.kubernetes.container.stopSignal";

/// Where a pod came from: `api` or `file`.
pub(crate) const CONFIG_SOURCE: &str = "kubernetes.io/config.source";
/// A static pod's hash.
pub(crate) const CONFIG_HASH: &str = "kubernetes.io/config.hash";
/// When the pod was first seen here.
pub(crate) const CONFIG_SEEN: &str = "kubernetes.io/config.seen";
/// Marks a mirror pod; its value is the static pod's hash.
pub(crate) const CONFIG_MIRROR: &str = k3s_objects::pod::MIRROR_ANNOTATION;
