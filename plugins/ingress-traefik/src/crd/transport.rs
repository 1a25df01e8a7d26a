//! ServersTransport: how servers are reached.

use k3s_plugin_sdk::Sentence;
use k3s_plugin_sdk::ingress::Key;

use serde::Deserialize;

use super::types::{By, Custom};
use super::values::{NumberOrText, millis_or};
use super::{read, resolve};
use crate::kinds;
use crate::view::View;
use crate::wit::{Reference, Transport};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Spec {
    #[serde(default)]
    server_name: String,
    #[serde(default)]
    insecure_skip_verify: bool,
    #[serde(default, rename = "rootCAsSecrets")]
    root_cas_secrets: Vec<String>,
    #[serde(default, rename = "rootCAs")]
    root_cas: Vec<RootCa>,
    #[serde(default)]
    certificates_secrets: Vec<String>,
    #[serde(default)]
    max_idle_conns_per_host: u32,
    forwarding_timeouts: Option<Timeouts>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RootCa {
    secret: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Timeouts {
    dial_timeout: Option<NumberOrText>,
    response_header_timeout: Option<NumberOrText>,
}

/// The transport that a service names: `NAME`, or `NAMESPACE-NAME@kubernetescrd`.
pub(crate) fn transport(
    view: &View<'_>,
    (namespace, by): (&str, By),
    name: &str,
) -> Result<Transport, Sentence> {
    let key = match name.split_once('@') {
        None => resolve(view, &kinds::SERVERS_TRANSPORT, namespace, "", name)?,
        Some((full, "kubernetescrd")) => {
            super::middleware::split(view, &kinds::SERVERS_TRANSPORT, (namespace, by), full)?
        }
        Some(_) => return Err(format!("ServersTransport {name} does not exist").into()),
    };
    from_spec(&key, read::<Custom<Spec>>(view, &key)?.spec)
        .map_err(|error| format!("ServersTransport {}/{}: {error}", key.namespace, key.name).into())
}

fn from_spec(key: &Key, spec: Spec) -> Result<Transport, Sentence> {
    let secret = |name: String| Reference {
        namespace: key.namespace.clone(),
        name,
    };
    let mut certificates = spec.certificates_secrets;
    if certificates.len() > 1 {
        return Err("only one client certificate is supported".into());
    }
    let (dial, header) = match &spec.forwarding_timeouts {
        Some(t) => (
            millis_or(t.dial_timeout.as_ref(), 0)?,
            millis_or(t.response_header_timeout.as_ref(), 0)?,
        ),
        None => (0, 0),
    };
    let short = |millis: u64| u32::try_from(millis).map_err(|_| "a timeout is too long".to_owned());
    let named = spec.root_cas.into_iter().map(|ca| ca.secret);
    Ok(Transport {
        server_name: spec.server_name,
        insecure_skip_verify: spec.insecure_skip_verify,
        root_cas: spec
            .root_cas_secrets
            .into_iter()
            .chain(named)
            .map(secret)
            .collect(),
        client_certificate: certificates.pop().map(secret),
        dial_timeout_ms: short(dial)?,
        response_header_timeout_ms: short(header)?,
        max_idle_per_host: spec.max_idle_conns_per_host,
    })
}
