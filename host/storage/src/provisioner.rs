//! The port to whoever provides volumes: a component in its adapter, a fake in tests.

use std::error::Error;

use async_trait::async_trait;

/// What a claim asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// `pvc-` and the claim's UID; the same request has the same name.
    pub volume_name: String,
    /// The claim.
    pub claim: Claim,
    /// Its storage class.
    pub class: Class,
    /// The node of the first pod, if the scheduler has chosen one.
    pub node: Option<Node>,
}

/// A PersistentVolumeClaim, in the fields that matter for provisioning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// At most 1000 labels.
    pub labels: Vec<(String, String)>,
    /// At most 1000 annotations.
    pub annotations: Vec<(String, String)>,
    /// `spec.accessModes`.
    pub access_modes: Vec<String>,
    /// `spec.resources.requests.storage`; 0 where it is missing.
    pub capacity_bytes: u64,
    /// `spec.volumeMode` is `Block`.
    pub block: bool,
    /// `spec.selector` is set.
    pub has_selector: bool,
}

/// A StorageClass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Class {
    /// Name.
    pub name: String,
    /// At most 1000 annotations.
    pub annotations: Vec<(String, String)>,
    /// At most 1000 parameters.
    pub parameters: Vec<(String, String)>,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Name.
    pub name: String,
    /// At most 1000 labels.
    pub labels: Vec<(String, String)>,
}

/// Which volume source a volume becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeKind {
    /// `spec.local`.
    Local,
    /// `spec.hostPath`, of type `DirectoryOrCreate`.
    HostPath,
}

/// Where a volume may be used: nodes that have one of these values of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affinity {
    /// The label.
    pub key: String,
    /// Its values.
    pub values: Vec<String>,
}

/// A volume that was provisioned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Its source.
    pub kind: VolumeKind,
    /// Its directory on the node.
    pub path: String,
    /// None for a volume that every node reaches.
    pub affinity: Option<Affinity>,
    /// At least what was asked for.
    pub capacity_bytes: u64,
    /// For the PersistentVolume.
    pub annotations: Vec<(String, String)>,
}

/// A volume that exists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Existing {
    /// The PersistentVolume's name.
    pub volume_name: String,
    /// Its directory on the node.
    pub path: String,
    /// `spec.capacity.storage`.
    pub capacity_bytes: u64,
    /// At most 1000 annotations.
    pub annotations: Vec<(String, String)>,
}

/// Why a volume was not provisioned, deleted or changed.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// A retry fails alike until the claim, its class or the configuration changes.
    #[error("{0}")]
    Refused(String),
    /// The volume cannot be on this node.
    #[error("{0}")]
    WrongNode(String),
    /// The provisioner asks for a retry.
    #[error("{0}")]
    Retry(String),
    /// The provisioner gave no answer. Worth a retry.
    #[error("the storage provisioner gave no answer")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

/// Provides volumes. Every call is idempotent.
#[async_trait]
pub trait Provisioner: Send + Sync + 'static {
    /// Changes the configuration, for this instance and later ones.
    ///
    /// # Errors
    /// When it is refused; the one before stays in force.
    async fn configure(&self, config: Vec<u8>) -> Result<(), ProvisionError>;

    /// Makes a volume, or finds the one that an earlier call of the same request made.
    ///
    /// # Errors
    /// See [`ProvisionError`].
    async fn provision(&self, request: Request) -> Result<Volume, ProvisionError>;

    /// Deletes a volume and its data. A volume that does not exist is no error.
    ///
    /// # Errors
    /// See [`ProvisionError`].
    async fn delete(&self, volume: Existing) -> Result<(), ProvisionError>;

    /// Makes a volume at least this large, and answers its new size in bytes.
    ///
    /// # Errors
    /// See [`ProvisionError`].
    async fn expand(&self, volume: Existing, bytes: u64) -> Result<u64, ProvisionError>;
}
