//! TLSStore: the certificate for names that no other certificate covers.

use k3s_plugin_sdk::Sentence;
use k3s_plugin_sdk::ingress::Key;
use serde::Deserialize;

use super::actions::warn_ignored;
use super::middleware_types::Ignored;
use super::types::Custom;
use crate::kinds;
use crate::outcome::{Warnings, warn_all};
use crate::view::View;
use crate::wit::Outcome;

/// The only store that Traefik uses.
const DEFAULT: &str = "default";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Spec {
    default_certificate: Option<Certificate>,
    #[serde(default)]
    certificates: Vec<Certificate>,
    default_generated_cert: Ignored,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Certificate {
    secret_name: String,
}

/// The certificates of a store; the default one comes first (`certificates` in `wit/ingress-0.2/ingress.wit`).
pub(crate) fn compile(view: &View<'_>, key: &Key) -> Option<Outcome> {
    let mut outcome = Outcome::of(key);
    let found = view.get::<Custom<Spec>>(key)?;
    let mut warnings = Warnings::new();
    let read = found.and_then(|store| secrets(view, key, store.spec, &mut warnings));
    match read {
        Ok(secrets) => {
            for secret in secrets {
                outcome.certificate(&key.namespace, &secret);
            }
        }
        Err(error) => outcome.error("InvalidObject", format!("{error}; the store has no effect")),
    }
    warn_all(&mut outcome, "Ignored", warnings);
    Some(outcome)
}

fn secrets(
    view: &View<'_>,
    key: &Key,
    spec: Spec,
    warnings: &mut Warnings,
) -> Result<Vec<String>, Sentence> {
    if key.name != DEFAULT {
        return Err("only the store named default is used".into());
    }
    let stores = view.keys(&kinds::TLS_STORE);
    if stores.iter().filter(|key| key.name == DEFAULT).count() > 1 {
        return Err("there are several TLSStores named default".into());
    }
    let why = "certificates come from Secrets";
    warn_ignored(
        warnings,
        &[("defaultGeneratedCert", &spec.default_generated_cert, why)],
    );
    let first = spec
        .default_certificate
        .ok_or("defaultCertificate is needed")?;
    let all = std::iter::once(first).chain(spec.certificates);
    Ok(all.map(|certificate| certificate.secret_name).collect())
}
