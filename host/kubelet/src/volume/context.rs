//! What making a volume reads besides the pod, and what comes of it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use k3s_client::Client;

use super::token::Tokens;
use crate::api::ApiReader;
use crate::config::KubeletConfig;

/// A volume ready to be mounted into containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) path: PathBuf,
    /// No container may write to it.
    pub(crate) read_only: bool,
}

/// Volumes by name.
pub(crate) type Mounted = HashMap<String, Ready>;

/// See the module.
pub(crate) struct VolumeContext {
    pub(super) config: Arc<KubeletConfig>,
    pub(super) api: Arc<ApiReader>,
    /// Claims, persistent volumes and tokens are asked for as the node.
    pub(super) client: Client,
    pub(super) tokens: Tokens,
}
