//! Acting as another user over a transport whose own user may impersonate.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::HeaderName;
use http::{HeaderValue, Request, Response};
use k3s_meta::user::UserInfo;

use super::Transport;
use crate::body::Body;
use crate::error::{Error, Result};

pub(crate) struct Impersonating {
    inner: Arc<dyn Transport>,
    user: UserInfo,
}

impl Impersonating {
    pub(crate) fn new(inner: Arc<dyn Transport>, user: UserInfo) -> Self {
        Self { inner, user }
    }

    fn headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>> {
        let value = |text: &str| {
            HeaderValue::from_str(text).map_err(|_| {
                Error::Request(format!("cannot impersonate {text:?}: not a header value"))
            })
        };
        let mut headers = vec![(
            HeaderName::from_static("impersonate-user"),
            value(&self.user.name)?,
        )];
        for group in &self.user.groups {
            headers.push((HeaderName::from_static("impersonate-group"), value(group)?));
        }
        Ok(headers)
    }
}

impl Transport for Impersonating {
    fn send(&self, mut request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>>> {
        match self.headers() {
            Ok(headers) => {
                for (name, value) in headers {
                    request.headers_mut().append(name, value);
                }
                self.inner.send(request)
            }
            Err(error) => async move { Err(error) }.boxed(),
        }
    }
}
