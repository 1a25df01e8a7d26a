//! Puts the server together, and answers requests as a tower service.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use http::{Request, Response};
use k3s_registry::Error;
use k3s_serve::Body;
use tower::Service;

use crate::admission;
use crate::api_services;
use crate::authn::Authenticator;
use crate::authz::Authorizer;
use crate::bootstrap;
use crate::chain;
use crate::config::ApiServerConfig;
use crate::core::Core;
use crate::custom;
use crate::documents::Documents;
use crate::health::{Health, HealthCheck};
use crate::inflight::Inflight;
use crate::kubelet::Kubelets;
use crate::metrics::ApiMetrics;

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Stored objects the server itself needs cannot be read, or default ones cannot be written.
    #[error("cannot set up the API")]
    Setup(#[from] Error),
}

/// A running API server.
#[derive(Clone)]
pub struct ApiServer {
    core: Arc<Core>,
}

impl ApiServer {
    /// Makes sure that the default objects exist, builds the server and starts its tasks.
    ///
    /// # Errors
    /// When stored policy cannot be read or default objects cannot be written.
    pub async fn start(config: ApiServerConfig) -> Result<Self, StartError> {
        let tasks = config.tasks.child("apiserver");
        let registry = config.registry;
        let bootstrap = bootstrap::Settings {
            advertise_address: config.advertise_address,
            advertise_port: config.advertise_port,
            service_address: config.service_address,
            service_cidrs: config.service_cidrs,
            without_roles: config.without_roles,
        };
        // Before the policy is read, so that the default one is part of it.
        bootstrap::run(&registry, &bootstrap).await?;
        let served = custom::start(&registry, &tasks)?;
        let priorities = api_services::start(&registry, served, &tasks).await?;
        let authorizer = Arc::new(Authorizer::start(&registry, &tasks)?);
        let authenticator = Arc::new(Authenticator::new(
            registry.clone(),
            config.service_accounts.clone(),
            config.audiences,
            config.static_tokens,
        ));
        let checks = HealthCheck::datastore(registry.store())
            .into_iter()
            .chain(config.health_checks)
            .collect();
        let core = Arc::new(Core {
            admission: admission::Chain::start(&registry, &authorizer, &tasks)?,
            authenticator,
            authorizer,
            inflight: Inflight::default(),
            kubelets: Kubelets::new(config.kubelet_dialer, config.kubelet_tls, registry.clone()),
            metrics: ApiMetrics::new(config.metrics, &registry),
            health: Health::new(checks, registry.clock().clone()),
            documents: Documents::new(config.version, config.service_accounts),
            priorities,
            advertised: SocketAddr::new(config.advertise_address, config.advertise_port),
            tasks,
            registry,
        });
        Ok(Self { core })
    }

    /// The service: for the listener (see `k3s_serve::boxed`) and for in-process clients.
    #[must_use]
    pub fn service(&self) -> ApiService {
        ApiService {
            core: self.core.clone(),
        }
    }
}

/// Answers requests. Cheap to clone.
#[derive(Clone)]
pub struct ApiService {
    core: Arc<Core>,
}

impl Service<Request<Body>> for ApiService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(chain::handle(self.core.clone(), request))
    }
}
