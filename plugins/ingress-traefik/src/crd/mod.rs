//! Traefik's own kinds (`traefik.io/v1alpha1`): routes with rules of their own, middlewares, weighted
//! services, TLS options, transports.
//!
//! Specs are read with every field known by name: what this plugin does not know is refused by name on
//! the object that a route follows from, so that nothing an author relies on is left out in silence.

mod actions;
mod breaker;
mod headers;
pub(crate) mod middleware;
mod middleware_types;
pub(crate) mod route;
mod rule;
mod service;
pub(crate) mod store;
mod tcp;
pub(crate) mod tls;
mod transport;
mod types;
mod values;

pub(crate) use tcp::compile as compile_tcp;
pub(crate) use transport::transport;
pub(crate) use types::{By, Reference};

use k3s_plugin_sdk::Sentence;
use k3s_plugin_sdk::ingress::{Key, Kind};

use crate::view::View;
use crate::wit::Outcome;

/// Tells the author of an object that nothing follows from it.
pub(crate) fn not_supported(_: &View<'_>, key: &Key) -> Option<Outcome> {
    let mut outcome = Outcome::of(key);
    let why = format!(
        "{} is not supported; the object has no effect",
        key.kind.name()
    );
    outcome.error("NotSupported", why);
    Some(outcome)
}

/// The object that `name` (and maybe `namespace`) means to an object in `own` namespace.
fn resolve(
    view: &View<'_>,
    kind: &'static Kind,
    own: &str,
    namespace: &str,
    name: &str,
) -> Result<Key, Sentence> {
    let wanted = if namespace.is_empty() { own } else { namespace };
    if wanted != own && !view.config.allow_cross_namespace {
        return Err(format!(
            "{} {wanted}/{name} is in another namespace, which is not allowed here",
            kind.name()
        )
        .into());
    }
    Ok(Key::new(kind, wanted, name))
}

/// Reads an object that another one names.
fn read<T: serde::de::DeserializeOwned>(view: &View<'_>, key: &Key) -> Result<T, Sentence> {
    let what = || format!("{} {}/{}", key.kind.name(), key.namespace, key.name);
    match view.get(key) {
        Some(Ok(found)) => Ok(found),
        Some(Err(error)) => Err(format!("{} cannot be used: {error}", what()).into()),
        None => Err(format!("{} does not exist", what()).into()),
    }
}
