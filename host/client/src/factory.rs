//! Clients of many users over one server. Their informers hold equal objects once.

use std::sync::Arc;

use http::{Request, Response};
use k3s_meta::user::UserInfo;
use tower::Service;

use crate::body::{Body, BoxError};
use crate::client::Client;
use crate::informer::SharedObjects;

/// Makes clients that act as a given user.
#[derive(Clone)]
pub struct ClientFactory(Arc<dyn Fn(UserInfo) -> Client + Send + Sync>);

impl std::fmt::Debug for ClientFactory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientFactory")
    }
}

impl ClientFactory {
    /// Clients as `make` makes them for a user: over HTTPS, from an agent.
    pub fn new(make: impl Fn(UserInfo) -> Client + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    /// Clients that call `service` directly.
    pub fn in_process<S>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
    {
        let shared = Arc::<SharedObjects>::default();
        Self(Arc::new(move |user| {
            Client::in_process(service.clone(), user).sharing(shared.clone())
        }))
    }

    /// A client that acts as `user`.
    #[must_use]
    pub fn for_user(&self, user: UserInfo) -> Client {
        (self.0)(user)
    }

    /// A client that acts as a service account of `kube-system`.
    #[must_use]
    pub fn for_controller(&self, service_account: &str) -> Client {
        self.for_user(UserInfo {
            name: format!("system:serviceaccount:kube-system:{service_account}"),
            groups: [
                "system:serviceaccounts",
                "system:serviceaccounts:kube-system",
                "system:authenticated",
            ]
            .map(str::to_owned)
            .to_vec(),
            ..UserInfo::default()
        })
    }
}
