//! The server process' own transport: the API server's tower service, called directly.
//!
//! Not a shortcut around the rules: the request runs the whole handler chain. Only authentication
//! is replaced, by a request extension that nothing on the wire can set.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use k3s_meta::user::{AssertedUser, UserInfo};
use tower::{Service, ServiceExt};

use super::Transport;
use crate::body::{Body, BoxError};
use crate::error::{Error, Result};

pub(crate) struct InProcess<S> {
    service: S,
    user: UserInfo,
}

impl<S> InProcess<S> {
    pub(crate) fn new(service: S, user: UserInfo) -> Self {
        Self { service, user }
    }
}

impl<S> Transport for InProcess<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    fn send(&self, mut request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>>> {
        request
            .extensions_mut()
            .insert(AssertedUser(self.user.clone()));
        self.service
            .clone()
            .oneshot(request)
            .map(|result| result.map_err(|e| Error::Transport(e.into())))
            .boxed()
    }
}
