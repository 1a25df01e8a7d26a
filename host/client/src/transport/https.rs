//! HTTPS with one pooled connection per protocol: HTTP/2 for everything, HTTP/1.1 for upgrades.
//!
//! Windows and keep-alive are set as client-go sets them: the defaults of 64 KiB and no ping make
//! many watches on one connection stall, or hang for minutes when the peer is gone.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{AUTHORIZATION, UPGRADE};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::BodyExt;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::{CaSource, Identity, Transport, files};
use crate::body::Body;
use crate::error::{Error, Result};

const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(15);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

type HttpPool = Pool<HttpsConnector<HttpConnector>, Body>;

pub(crate) struct Https {
    base: Uri,
    ca: CaSource,
    identity: Identity,
    live: Mutex<Live>,
}

/// What was made from the credentials as last read.
#[derive(Clone)]
struct Live {
    pool: HttpPool,
    upgrades: HttpPool,
    authorization: Option<HeaderValue>,
    read_from: Option<SystemTime>,
    checked: Instant,
}

impl Https {
    /// `server` is `https://host:port`, optionally with a path below which the API is served.
    pub(crate) fn new(server: &str, ca: CaSource, identity: Identity) -> Result<Self> {
        let base: Uri = server
            .trim_end_matches('/')
            .parse()
            .map_err(|e| Error::Request(format!("{server:?} is not a server address: {e}")))?;
        if base.scheme_str() != Some("https") || base.authority().is_none() {
            return Err(Error::Request(format!(
                "{server:?} is not an https:// address"
            )));
        }
        let live = Mutex::new(Live::load(&ca, &identity)?);
        Ok(Self {
            base,
            ca,
            identity,
            live,
        })
    }

    /// The live pools, made anew where a credential file changed. A file that is half written or
    /// gone keeps the old ones: the next check tries again.
    fn current(&self) -> Live {
        let mut live = self.live.lock();
        if live.checked.elapsed() >= files::CHECK_INTERVAL {
            live.checked = Instant::now();
            let changed = files::newest_change(&self.identity.paths(&self.ca));
            if changed.is_some() && changed != live.read_from {
                match Live::load(&self.ca, &self.identity) {
                    Ok(fresh) => *live = fresh,
                    Err(error) => tracing::warn!(%error, "keeping the old API credentials"),
                }
            }
        }
        live.clone()
    }

    fn absolute(&self, relative: &Uri) -> Result<Uri> {
        let path = relative.path_and_query().map_or("/", |p| p.as_str());
        let prefix = self.base.path().trim_end_matches('/');
        let authority = self.base.authority().map_or("", |a| a.as_str());
        format!("https://{authority}{prefix}{path}")
            .parse()
            .map_err(|e| Error::Request(format!("bad request path {path:?}: {e}")))
    }
}

impl Transport for Https {
    fn send(&self, mut request: Request<Body>) -> BoxFuture<'static, Result<Response<Body>>> {
        let live = self.current();
        match self.absolute(request.uri()) {
            Ok(uri) => *request.uri_mut() = uri,
            Err(error) => return async move { Err(error) }.boxed(),
        }
        if let Some(value) = &live.authorization
            && !request.headers().contains_key(AUTHORIZATION)
        {
            request.headers_mut().insert(AUTHORIZATION, value.clone());
        }
        // An upgrade exists in HTTP/1.1 only.
        let pool = if request.headers().contains_key(UPGRADE) {
            live.upgrades
        } else {
            live.pool
        };
        async move {
            let response = pool
                .request(request)
                .await
                .map_err(|e| Error::Transport(e.into()))?;
            Ok(response.map(|body| body.map_err(Into::into).boxed()))
        }
        .boxed()
    }
}

impl Live {
    fn load(ca: &CaSource, identity: &Identity) -> Result<Self> {
        let read_from = files::newest_change(&identity.paths(ca));
        let config = tls_config(ca, identity)?;
        Ok(Self {
            pool: pool(config.clone(), true),
            upgrades: pool(config, false),
            authorization: authorization(identity)?,
            read_from,
            checked: Instant::now(),
        })
    }
}

impl Identity {
    fn paths<'a>(&'a self, ca: &'a CaSource) -> Vec<&'a std::path::Path> {
        let mut paths = match self {
            Self::CertFiles { cert, key } => vec![cert.as_path(), key.as_path()],
            Self::TokenFile(path) => vec![path.as_path()],
            _ => Vec::new(),
        };
        if let CaSource::File(path) = ca {
            paths.push(path);
        }
        paths
    }
}

/// hyper-util's executor spawns the connection's own task; it ends with the pool or the peer, so
/// it needs no stop signal of its own.
fn pool(config: ClientConfig, http2: bool) -> HttpPool {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    tcp.set_keepalive(Some(KEEP_ALIVE_INTERVAL));
    let builder = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_only()
        .enable_http1();
    let connector = if http2 {
        builder.enable_http2().wrap_connector(tcp)
    } else {
        builder.wrap_connector(tcp)
    };
    Pool::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .http2_initial_stream_window_size(STREAM_WINDOW_BYTES)
        .http2_initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .http2_keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .http2_keep_alive_while_idle(true)
        .build(connector)
}

fn tls_config(ca: &CaSource, identity: &Identity) -> Result<ClientConfig> {
    let builder =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::Request(format!("TLS: {e}")))?
            .with_root_certificates(roots(ca)?);
    let (cert, key) = match identity {
        Identity::Cert { cert_pem, key_pem } => (cert_pem.clone(), key_pem.reveal().clone()),
        Identity::CertFiles { cert, key } => (files::read(cert)?, files::read(key)?),
        _ => return Ok(builder.with_no_client_auth()),
    };
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|e| Error::Request(format!("client key: {e}")))?;
    builder
        .with_client_auth_cert(certificates(&cert, "client certificate")?, key)
        .map_err(|e| Error::Request(format!("client certificate: {e}")))
}

fn roots(ca: &CaSource) -> Result<RootCertStore> {
    let pem = match ca {
        CaSource::Pem(pem) => pem.clone(),
        CaSource::File(path) => files::read(path)?,
    };
    let mut roots = RootCertStore::empty();
    for cert in certificates(&pem, "CA bundle")? {
        roots
            .add(cert)
            .map_err(|e| Error::Request(format!("CA bundle: {e}")))?;
    }
    Ok(roots)
}

fn certificates(pem: &str, what: &str) -> Result<Vec<CertificateDer<'static>>> {
    let certs: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|e| Error::Request(format!("{what}: {e}")))?;
    if certs.is_empty() {
        Err(Error::Request(format!("{what}: holds no certificate")))
    } else {
        Ok(certs)
    }
}

fn authorization(identity: &Identity) -> Result<Option<HeaderValue>> {
    let text = match identity {
        Identity::Token(token) => format!("Bearer {}", token.reveal().trim()),
        Identity::TokenFile(path) => format!("Bearer {}", files::read(path)?.trim()),
        Identity::Basic { user, password } => {
            let plain = format!("{user}:{}", password.reveal());
            format!(
                "Basic {}",
                base64::engine::general_purpose::STANDARD.encode(plain)
            )
        }
        _ => return Ok(None),
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| {
        Error::Request("the token holds characters that no header can carry".into())
    })?;
    value.set_sensitive(true);
    Ok(Some(value))
}
