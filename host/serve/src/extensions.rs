//! Facts about the connection that the listener adds to each request as extensions.

use std::any::Any;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use rustls::pki_types::CertificateDer;

/// The certificate chain the peer showed and the TLS layer verified; leaf first, empty without one.
#[derive(Clone, Debug, Default)]
pub struct PeerCertificates(pub Arc<[CertificateDer<'static>]>);

impl Deref for PeerCertificates {
    type Target = [CertificateDer<'static>];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// The address of the peer's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteAddr(pub SocketAddr);

/// A place for what a handler derives from the connection alone, for instance the identity in its
/// client certificate, so that it is derived once per connection and not once per request.
#[derive(Clone, Default)]
pub struct ConnectionSlot(Arc<OnceLock<Arc<dyn Any + Send + Sync>>>);

impl ConnectionSlot {
    /// The value kept here, made by `make` the first time. `None` when a value of another type is
    /// kept already.
    pub fn get_or_init<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Option<Arc<T>> {
        self.0
            .get_or_init(|| Arc::new(make()))
            .clone()
            .downcast()
            .ok()
    }
}

impl fmt::Debug for ConnectionSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionSlot")
            .field("filled", &self.0.get().is_some())
            .finish()
    }
}
