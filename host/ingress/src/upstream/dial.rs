//! Connections to servers. Whoever writes endpoints or names must not reach what listens on this machine only, so
//! each address is judged when it is dialled: after names are resolved, and in its canonical form.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, Scheme};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::Service;

/// Opens connections. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    may_dial: fn(IpAddr) -> bool,
    timeout: Duration,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    /// The address means this machine, or something next to it.
    #[error("{0} is not an address that an endpoint may have")]
    Refused(IpAddr),
    /// The name has no address.
    #[error("there is no address for the name")]
    NoAddress,
    /// It cannot be reached.
    #[error("cannot connect")]
    Io(#[from] io::Error),
    /// No connection came about in time.
    #[error("no connection within {0:?}")]
    Timeout(Duration),
}

impl Dialer {
    /// Dials what `may_dial` allows, and gives up after `timeout`.
    pub(crate) fn new(may_dial: fn(IpAddr) -> bool, timeout: Duration) -> Self {
        Self { may_dial, timeout }
    }

    pub(crate) fn with_timeout(&self, timeout: Duration) -> Self {
        Self {
            timeout,
            ..self.clone()
        }
    }

    /// A connection to the first address that takes one.
    pub(crate) async fn dial(
        &self,
        authority: &Authority,
        default_port: u16,
    ) -> Result<TcpStream, DialError> {
        let host = authority.host();
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let port = authority.port_u16().unwrap_or(default_port);
        let dialled = self.try_all(bare.unwrap_or(host), port);
        let in_time = tokio::time::timeout(self.timeout, dialled).await;
        in_time.map_err(|_elapsed| DialError::Timeout(self.timeout))?
    }

    async fn try_all(&self, host: &str, port: u16) -> Result<TcpStream, DialError> {
        let mut last = DialError::NoAddress;
        for address in tokio::net::lookup_host((host, port)).await? {
            if !(self.may_dial)(address.ip()) {
                last = DialError::Refused(address.ip());
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(stream);
                }
                Err(error) => last = error.into(),
            }
        }
        Err(last)
    }
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialer = self.clone();
        Box::pin(async move {
            let authority = uri.authority().ok_or(DialError::NoAddress)?;
            let default_port = if uri.scheme() == Some(&Scheme::HTTPS) {
                443
            } else {
                80
            };
            let stream = dialer.dial(authority, default_port).await?;
            Ok(TokioIo::new(stream))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::may_dial;

    #[tokio::test]
    async fn this_machine_is_not_dialled_under_any_name() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let dialer = Dialer::new(may_dial, Duration::from_secs(10));
        for host in [
            "127.0.0.1",
            "localhost",
            "0.0.0.0",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::ffff:169.254.169.254]",
            "169.254.169.254",
            "[fe80::1]",
            "224.0.0.1",
            "2130706433",
            "127.1",
        ] {
            let authority: Authority = format!("{host}:{port}").parse().unwrap();
            let dialled = dialer.dial(&authority, 80).await;
            assert!(
                matches!(dialled, Err(DialError::Refused(_) | DialError::Io(_))),
                "{host}: {dialled:?}"
            );
        }
        let anything = Dialer::new(|_| true, Duration::from_secs(10));
        let authority: Authority = format!("localhost:{port}").parse().unwrap();
        assert!(anything.dial(&authority, 80).await.is_ok());
    }
}
