//! The API server's own tower service as the transport of clients in its process.
//!
//! Not a shortcut around the rules: the request runs the whole handler chain. Only authentication
//! is replaced, by a request extension. Extensions are values in memory: nothing that arrives on a
//! wire can set one, and [`Asserting`] overwrites whatever the caller has put there.

use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, TryFutureExt};
use http::{Request, Response};
use k3s_meta::user::{AssertedUser, UserInfo};
use kube::client::Body as ClientBody;
use tower::{Service, ServiceExt};

use crate::body::{Body, BoxError, full};

/// Calls `service` as one user.
pub(crate) struct Asserting<S> {
    service: S,
    user: UserInfo,
}

impl<S> Asserting<S> {
    pub(crate) fn new(service: S, user: UserInfo) -> Self {
        Self { service, user }
    }
}

impl<S> Service<Request<ClientBody>> for Asserting<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    /// Always ready: each call waits for the readiness of its own clone, so that one request that
    /// has to wait does not hold up the others.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<ClientBody>) -> Self::Future {
        let service = self.service.clone();
        let asserted = AssertedUser(self.user.clone());
        let (mut head, body) = request.into_parts();
        head.extensions.insert(asserted);
        // Bodies of this crate's requests are one buffer, which is passed on without a copy.
        let bytes = body.collect_bytes().map_err(BoxError::from);
        let answer = bytes.and_then(move |bytes| {
            let request = Request::from_parts(head, full(bytes));
            service.oneshot(request).map_err(Into::into)
        });
        answer.boxed()
    }
}
