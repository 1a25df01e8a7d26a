//! Resolves the middlewares that a route names, chains included.

use k3s_plugin_sdk::Sentence;
use k3s_plugin_sdk::ingress::{Key, Kind};

use super::actions::{Context, action};
use super::middleware_types::Spec;
use super::types::{By, Custom, Reference};
use super::{read, resolve};
use crate::kinds;
use crate::outcome::Warnings;
use crate::view::View;
use crate::wit::Middleware;

/// Depth to which chains may name each other.
const MAX_DEPTH: usize = 10;
/// Characters of a namespace's name, and of an object's.
const MAX_NAMESPACE: usize = 63;
const MAX_NAME: usize = 253;
/// Middlewares of one route.
const MAX_LENGTH: usize = 100;

/// The middlewares that a route names: one, or all of a chain.
pub(crate) fn named(
    view: &View<'_>,
    (namespace, by): (&str, By),
    reference: &Reference,
    warnings: &mut Warnings,
) -> Result<Vec<Middleware>, Sentence> {
    let key = match reference.name.split_once('@') {
        None => resolve(
            view,
            &kinds::MIDDLEWARE,
            namespace,
            &reference.namespace,
            &reference.name,
        )?,
        Some((full, "kubernetescrd")) => split(view, &kinds::MIDDLEWARE, (namespace, by), full)?,
        Some(_) => return Err(format!("Middleware {} does not exist", reference.name).into()),
    };
    let mut all = Vec::new();
    collect(view, &key, 0, &mut all, warnings)?;
    Ok(all)
}

/// The object that `NAMESPACE-NAME` means. Both parts may contain dashes, so every split is tried.
pub(crate) fn split(
    view: &View<'_>,
    kind: &'static Kind,
    (namespace, by): (&str, By),
    full: &str,
) -> Result<Key, Sentence> {
    // Names of namespaces are labels, those of objects subdomains; anything else names nothing.
    let dashes = full
        .match_indices('-')
        .take_while(|(at, _)| *at <= MAX_NAMESPACE);
    let dashes = dashes.filter(|(at, _)| full.len() - at <= MAX_NAME + 1);
    let splits = dashes.filter_map(|(at, _)| Some((full.get(..at)?, full.get(at + 1..)?)));
    let mut keys = splits.map(|(namespace, name)| Key::new(kind, namespace, name));
    let found = keys.find(|key| view.exists(key));
    let key = found.ok_or_else(|| format!("{} {full} does not exist", kind.name()))?;
    match by {
        By::Ingress => Ok(key),
        By::Custom => resolve(view, kind, namespace, &key.namespace, &key.name),
    }
}

/// Adds the middleware of a key to `all`; of a chain, those it names.
fn collect(
    view: &View<'_>,
    key: &Key,
    depth: usize,
    all: &mut Vec<Middleware>,
    warnings: &mut Warnings,
) -> Result<(), Sentence> {
    if depth > MAX_DEPTH || all.len() >= MAX_LENGTH {
        return Err(format!(
            "Middleware {}/{}: chains are too deep or too long",
            key.namespace, key.name
        )
        .into());
    }
    let found: Custom<Spec> = read(view, key)?;
    if let Spec::Chain(chain) = &found.spec {
        for inner in &chain.middlewares {
            let inner = resolve(
                view,
                &kinds::MIDDLEWARE,
                &key.namespace,
                &inner.namespace,
                &inner.name,
            )?;
            collect(view, &inner, depth + 1, all, warnings)?;
        }
        return Ok(());
    }
    let name = format!("{}/{}", key.namespace, key.name);
    let mut context = Context {
        view,
        namespace: &key.namespace,
        warnings,
    };
    let action = action(found.spec, &mut context);
    let action = action.map_err(|error| format!("Middleware {name}: {error}"))?;
    all.extend(action.map(|action| Middleware { name, action }));
    Ok(())
}
