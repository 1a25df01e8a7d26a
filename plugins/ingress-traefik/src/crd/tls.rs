//! TLSOption: constraints on handshakes.

use k3s_plugin_sdk::Sentence;
use k3s_plugin_sdk::ingress::Key;

use serde::Deserialize;

use super::actions::warn_ignored;
use super::middleware_types::Ignored;
use super::types::{By, Custom, Reference};
use super::{read, resolve};
use crate::kinds;
use crate::outcome::Warnings;
use crate::view::View;
use crate::wit::{self, ClientAuth, TlsOptions, TlsVersion};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Spec {
    #[serde(default)]
    min_version: String,
    #[serde(default)]
    max_version: String,
    #[serde(default)]
    cipher_suites: Vec<String>,
    #[serde(default)]
    alpn_protocols: Vec<String>,
    #[serde(default)]
    sni_strict: bool,
    client_auth: Option<ClientAuthSpec>,
    curve_preferences: Ignored,
    #[serde(default)]
    disable_session_tickets: bool,
    /// Traefik ignores it too.
    #[serde(default, rename = "preferServerCipherSuites")]
    _prefer_server_cipher_suites: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ClientAuthSpec {
    #[serde(default)]
    secret_names: Vec<String>,
    #[serde(default)]
    client_auth_type: String,
}

/// The name that stands for routes without options of their own.
const DEFAULT: &str = "default";

/// The options that a route names, or the cluster's default ones.
pub(crate) fn options(
    view: &View<'_>,
    (namespace, by): (&str, By),
    named: Option<&Reference>,
    warnings: &mut Warnings,
) -> Result<Option<TlsOptions>, Sentence> {
    let key = match named {
        Some(reference) if reference.name != DEFAULT || !reference.namespace.is_empty() => {
            match reference.name.split_once('@') {
                None => resolve(
                    view,
                    &kinds::TLS_OPTION,
                    namespace,
                    &reference.namespace,
                    &reference.name,
                )?,
                Some((full, "kubernetescrd")) => {
                    super::middleware::split(view, &kinds::TLS_OPTION, (namespace, by), full)?
                }
                Some(_) => {
                    return Err(format!("TLSOption {} does not exist", reference.name).into());
                }
            }
        }
        _ => match default_options(view)? {
            Some(key) => key,
            None => return Ok(None),
        },
    };
    let found: Custom<Spec> = read(view, &key)?;
    from_spec(&key, found.spec, warnings)
        .map(Some)
        .map_err(|error| format!("TLSOption {}/{}: {error}", key.namespace, key.name).into())
}

/// There may be one TLSOption of that name in the cluster; with two, Traefik takes none, which would
/// let handshakes through that both forbid.
fn default_options(view: &View<'_>) -> Result<Option<Key>, Sentence> {
    let mut all = view
        .keys(&kinds::TLS_OPTION)
        .into_iter()
        .filter(|key| key.name == DEFAULT);
    match (all.next(), all.next()) {
        (Some(_), Some(_)) => Err("there are several TLSOptions named default".into()),
        (found, _) => Ok(found),
    }
}

fn from_spec(key: &Key, spec: Spec, warnings: &mut Warnings) -> Result<TlsOptions, Sentence> {
    let curves = "the server's own curves are offered";
    warn_ignored(
        warnings,
        &[("curvePreferences", &spec.curve_preferences, curves)],
    );
    if spec.disable_session_tickets {
        warnings.push("disableSessionTickets has no effect".to_owned());
    }
    let mut version = |text: &str, default: TlsVersion| match text {
        "" => Ok(default),
        "VersionTLS12" => Ok(TlsVersion::Tls12),
        "VersionTLS13" => Ok(TlsVersion::Tls13),
        "VersionTLS10" | "VersionTLS11" => {
            warnings.push(format!(
                "{text} is not supported; TLS 1.2 is the lowest version"
            ));
            Ok(TlsVersion::Tls12)
        }
        other => Err(format!("{other:?} is not a TLS version")),
    };
    let (min, max) = (
        version(&spec.min_version, TlsVersion::Tls12)?,
        version(&spec.max_version, TlsVersion::Tls13)?,
    );
    let auth = spec.client_auth.unwrap_or(ClientAuthSpec {
        secret_names: Vec::new(),
        client_auth_type: String::new(),
    });
    let client_auth = match auth.client_auth_type.as_str() {
        "" | "NoClientCert" => ClientAuth::None,
        "RequestClientCert" => ClientAuth::Request,
        "RequireAnyClientCert" => ClientAuth::Require,
        "VerifyClientCertIfGiven" => ClientAuth::VerifyIfGiven,
        "RequireAndVerifyClientCert" => ClientAuth::RequireAndVerify,
        other => return Err(format!("{other:?} is not a type of client authentication").into()),
    };
    let authority = |name: String| wit::Reference {
        namespace: key.namespace.clone(),
        name,
    };
    Ok(TlsOptions {
        name: format!("{}/{}", key.namespace, key.name),
        min_version: min,
        max_version: max,
        cipher_suites: spec.cipher_suites,
        alpn: spec.alpn_protocols,
        sni_strict: spec.sni_strict,
        client_auth,
        client_cas: auth.secret_names.into_iter().map(authority).collect(),
    })
}
