//! Ingress v1: one route per path, one for the default backend.

use k3s_plugin_sdk::Sentence;
use k3s_plugin_sdk::ingress::Key;

use crate::annotations::{self, PathMatcher, Router};
use crate::class;
use crate::crd;
use crate::objects::{HttpPath, Ingress, IngressBackend};
use crate::outcome::{Warnings, warn_all};
use crate::priority;
use crate::service;
use crate::view::View;
use crate::wit::{Matcher, Outcome, Route, Target, TlsUse};

/// Nothing for an Ingress of another controller.
pub(crate) fn compile(view: &View<'_>, key: &Key) -> Option<Outcome> {
    let mut outcome = Outcome::of(key);
    let ingress: Ingress = match view.get(key)? {
        Ok(ingress) => ingress,
        Err(error) => {
            outcome.error("InvalidIngress", error);
            return Some(outcome);
        }
    };
    if !class::is_ours(view, &ingress) {
        return None;
    }
    outcome.publish_address = true;
    ingress
        .spec
        .tls
        .iter()
        .filter(|tls| !tls.secret_name.is_empty())
        .for_each(|tls| {
            outcome.certificate(&key.namespace, &tls.secret_name);
        });
    match annotations::router(&ingress.metadata.annotations) {
        Ok(router) => {
            for name in &router.ignored {
                outcome.warn(
                    "AnnotationIgnored",
                    format!("annotation {name} has no effect"),
                );
            }
            let mut warnings = Warnings::new();
            match base(view, key, &router, &mut warnings) {
                Ok(base) => routes(view, key, &ingress, &router, &base, &mut outcome),
                // Without a middleware that the author asked for, nothing may pass.
                Err(error) => outcome.error(
                    "InvalidReference",
                    format!("{error}; the object is not served"),
                ),
            }
            warn_all(&mut outcome, "Ignored", warnings);
        }
        Err(error) => outcome.error(
            "InvalidAnnotation",
            format!("{error}; the object is not served"),
        ),
    }
    Some(outcome)
}

/// What all routes of an Ingress share.
fn base(
    view: &View<'_>,
    key: &Key,
    router: &Router,
    warnings: &mut Warnings,
) -> Result<Route, Sentence> {
    let mut middlewares = Vec::new();
    for name in &router.middlewares {
        let reference = crd::Reference {
            name: name.clone(),
            namespace: String::new(),
        };
        middlewares.extend(crd::middleware::named(
            view,
            &key.namespace,
            &reference,
            warnings,
        )?);
    }
    let options = router.tls_options.as_ref().map(|name| crd::Reference {
        name: name.clone(),
        namespace: String::new(),
    });
    Ok(Route {
        name: format!("{}/{}", key.namespace, key.name),
        entry_points: router.entry_points.clone(),
        rule: Vec::new(),
        priority: 0,
        middlewares,
        target: Target {
            backends: Vec::new(),
            sticky: None,
        },
        tls: if router.tls {
            TlsUse::Required
        } else {
            TlsUse::Either
        },
        tls_options: crd::tls::options(view, &key.namespace, options.as_ref(), warnings)?,
    })
}

fn routes(
    view: &View<'_>,
    key: &Key,
    ingress: &Ingress,
    router: &Router,
    base: &Route,
    outcome: &mut Outcome,
) {
    for (at, rule) in ingress.spec.rules.iter().enumerate() {
        let host = rule.host.to_ascii_lowercase();
        for (number, path) in rule.http.iter().flat_map(|http| &http.paths).enumerate() {
            let Some(target) = target(view, key, &path.backend, outcome) else {
                continue;
            };
            outcome.routes.push(Route {
                name: format!("{}/rule{at}/path{number}", base.name),
                rule: condition(&host, path, router.path_matcher),
                priority: router.priority.map_or_else(
                    || priority::of_ingress(&host, &path.path, path.path_type == "Exact"),
                    priority::explicit,
                ),
                target,
                ..base.clone()
            });
        }
    }
    let Some(backend) = &ingress.spec.default_backend else {
        return;
    };
    let Some(target) = target(view, key, backend, outcome) else {
        return;
    };
    // A rule without paths sends its host to the default backend.
    for (at, rule) in ingress
        .spec
        .rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| rule.http.is_none())
    {
        let host = rule.host.to_ascii_lowercase();
        outcome.routes.push(Route {
            name: format!("{}/rule{at}", base.name),
            priority: router.priority.map_or_else(
                || priority::of_ingress(&host, "", false),
                priority::explicit,
            ),
            rule: if host.is_empty() {
                Vec::new()
            } else {
                vec![Matcher::Host(host)]
            },
            target: target.clone(),
            ..base.clone()
        });
    }
    outcome.routes.push(Route {
        name: format!("{}/default", base.name),
        priority: priority::DEFAULT_BACKEND,
        target,
        ..base.clone()
    });
}

fn target(
    view: &View<'_>,
    key: &Key,
    backend: &IngressBackend,
    outcome: &mut Outcome,
) -> Option<Target> {
    let Some(named) = &backend.service else {
        let resource = backend
            .resource
            .as_ref()
            .map(|r| format!("{} {}", r.kind, r.name))
            .unwrap_or_default();
        outcome.error(
            "UnsupportedBackend",
            format!("resource backends are not supported: {resource}"),
        );
        return None;
    };
    match service::backend(view, &key.namespace, &named.name, &named.port) {
        Ok(backend) => Some(Target {
            backends: vec![backend],
            sticky: None,
        }),
        Err(error) => {
            outcome.error("BackendNotFound", error);
            None
        }
    }
}

fn condition(host: &str, path: &HttpPath, matcher: PathMatcher) -> Vec<Matcher> {
    let mut rule = Vec::new();
    if !host.is_empty() {
        rule.push(Matcher::Host(host.to_owned()));
    }
    let text = || path.path.clone();
    match path.path_type.as_str() {
        "Exact" => rule.push(Matcher::Path(text())),
        // Every path begins with the empty list of segments.
        "Prefix" if path.path.trim_end_matches('/').is_empty() => {}
        "Prefix" => rule.push(Matcher::PathSegments(
            path.path.trim_end_matches('/').to_owned(),
        )),
        _ if path.path.is_empty() => {}
        _ => rule.push(match matcher {
            PathMatcher::PathPrefix => Matcher::PathPrefix(text()),
            PathMatcher::Path => Matcher::Path(text()),
            PathMatcher::PathRegexp => Matcher::PathRegexp(text()),
        }),
    }
    if rule.len() == 2 {
        rule.push(Matcher::All(2));
    }
    rule
}
