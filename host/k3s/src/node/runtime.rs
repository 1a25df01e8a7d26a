//! Pod network and container runtime: the built-in ones or the operator's.

use std::sync::Arc;

use anyhow::{Context, Result};
use k3s_config::FlannelBackend;
use k3s_runtime::{PodNetwork, Runtime, RuntimeConfig};

use crate::node::context::NodeContext;
use crate::node::{external_runtime, network};

/// What the kubelet speaks to.
pub(crate) struct Containers {
    /// The CRI endpoint.
    pub(crate) endpoint: String,
    /// The built-in runtime, which ends when it is dropped.
    pub(crate) runtime: Option<Runtime>,
}

/// Starts what `--container-runtime-endpoint` and `--flannel-backend` ask for.
pub(crate) async fn start(context: &NodeContext) -> Result<Containers> {
    let has_foreign_network = context.cluster.flannel_backend == FlannelBackend::None;
    if let Some(endpoint) = &context.settings.container_runtime_endpoint {
        // With a foreign network, the foreign runtime calls it without help.
        if !has_foreign_network {
            external_runtime::connect(network::start(context)?, &context.ambient.tasks)?;
        }
        return Ok(Containers {
            endpoint: endpoint.clone(),
            runtime: None,
        });
    }
    let network = if has_foreign_network {
        network::foreign(context)
    } else {
        network::start(context)?
    };
    context.ambient.timeline.ready("cni");
    let runtime = start_builtin(context, network).await?;
    Ok(Containers {
        endpoint: runtime.endpoint(),
        runtime: Some(runtime),
    })
}

async fn start_builtin(context: &NodeContext, network: Arc<dyn PodNetwork>) -> Result<Runtime> {
    let (settings, ambient) = (&context.settings, &context.ambient);
    let standard = RuntimeConfig::standard(
        &settings.data_dir,
        network,
        ambient.clock.clone(),
        ambient.random.clone(),
        ambient.tasks.child("runtime"),
    );
    let config = RuntimeConfig {
        registries: settings.registries.clone(),
        default_registry_endpoint: !settings.disable_default_registry_endpoint,
        ..standard
    };
    Runtime::start(config)
        .await
        .context("start the container runtime")
}
