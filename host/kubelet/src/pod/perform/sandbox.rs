//! Making a pod's sandbox.

use k3s_cri::v1;
use k8s_openapi::api::core::v1::Pod;

use super::Performer;
use crate::container::sandbox::sandbox_config;
use crate::model::SandboxRecord;
use crate::pod::error::SandboxError;

/// What the containers of one sandbox share.
pub(crate) struct SandboxContext {
    pub(crate) id: String,
    pub(super) config: v1::PodSandboxConfig,
    pub(super) handler: String,
}

impl Performer {
    /// Makes a sandbox with this attempt number.
    pub(crate) async fn create_sandbox(
        &self,
        pod: &Pod,
        attempt: u32,
    ) -> Result<SandboxContext, SandboxError> {
        let mut sandbox = self.describe(pod, attempt).await?;
        let config = sandbox.config.clone();
        sandbox.id = self.cri.run_sandbox(config, &sandbox.handler).await?;
        Ok(sandbox)
    }

    /// A sandbox that exists, for instance since before this process.
    pub(crate) async fn open_sandbox(
        &self,
        pod: &Pod,
        record: &SandboxRecord,
    ) -> Result<SandboxContext, SandboxError> {
        let mut sandbox = self.describe(pod, record.attempt).await?;
        sandbox.id.clone_from(&record.id);
        Ok(sandbox)
    }

    async fn describe(&self, pod: &Pod, attempt: u32) -> Result<SandboxContext, SandboxError> {
        Ok(SandboxContext {
            id: String::new(),
            config: sandbox_config(&self.config, pod, attempt)?,
            handler: self.runtime_handler(pod).await?,
        })
    }

    /// The handler of the pod's RuntimeClass; empty for the default.
    async fn runtime_handler(&self, pod: &Pod) -> Result<String, SandboxError> {
        let spec = pod.spec.as_ref();
        let class = spec.and_then(|s| s.runtime_class_name.as_deref());
        match class.filter(|class| !class.is_empty()) {
            Some(class) => Ok(self.containers.api.runtime_handler(class).await?),
            None => Ok(String::new()),
        }
    }
}
