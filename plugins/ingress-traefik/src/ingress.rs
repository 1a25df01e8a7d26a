//! Ingress v1: one route per path, one for the default backend.

use k3s_plugin_sdk::Sentence;
use k3s_plugin_sdk::ingress::Key;

use crate::annotations::{self, PathMatcher, Router};
use crate::class;
use crate::crd::{self, By};
use crate::objects::{HttpPath, Ingress, IngressBackend};
use crate::outcome::{Warnings, warn_all};
use crate::priority;
use crate::service;
use crate::view::View;
use crate::wit::{Matcher, Outcome, Route, Target, TlsUse};

/// None for an Ingress of another controller.
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
    let secrets = ingress.spec.tls.iter().map(|tls| &tls.secret_name);
    for secret in secrets.filter(|name| !name.is_empty()) {
        outcome.certificate(&key.namespace, secret);
    }
    let not_served = |error: Sentence| format!("{error}; the object is not served");
    let router = match annotations::router(&ingress.metadata.annotations) {
        Ok(router) => router,
        Err(error) => {
            outcome.error("InvalidAnnotation", not_served(error));
            return Some(outcome);
        }
    };
    for name in &router.ignored {
        let message = format!("annotation {name} has no effect");
        outcome.warn("AnnotationIgnored", message);
    }
    let mut warnings = Warnings::new();
    let before = view.work();
    match base(view, key, &router, &mut warnings) {
        Ok(route) => {
            let names: usize = router.entry_points.iter().map(String::len).sum();
            let bytes = view.work() - before + names;
            let base = Base { route, bytes };
            routes(view, key, &ingress, &router, &base, &mut outcome);
        }
        // Without a middleware that the author demands, no request may pass.
        Err(error) => outcome.error("InvalidReference", not_served(error)),
    }
    warn_all(&mut outcome, "Ignored", warnings);
    Some(outcome)
}

/// What all routes of an Ingress share, and how much that is.
struct Base {
    route: Route,
    bytes: usize,
}

impl Base {
    /// A copy; none once that is too much.
    fn copy(&self, view: &View<'_>) -> Option<Route> {
        view.may_copy(self.bytes).then(|| self.route.clone())
    }
}

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
            (&key.namespace, By::Ingress),
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
        tls_options: crd::tls::options(
            view,
            (&key.namespace, By::Ingress),
            options.as_ref(),
            warnings,
        )?,
    })
}

fn routes(
    view: &View<'_>,
    key: &Key,
    ingress: &Ingress,
    router: &Router,
    base: &Base,
    outcome: &mut Outcome,
) {
    for (at, rule) in ingress.spec.rules.iter().enumerate() {
        let host = rule.host.to_ascii_lowercase();
        let paths = rule.http.iter().flat_map(|http| &http.paths);
        for (number, path) in paths.enumerate() {
            let Some(target) = target(view, key, &path.backend, outcome) else {
                continue;
            };
            let Some(shared) = base.copy(view) else {
                return;
            };
            let is_exact = path.path_type == "Exact";
            let default = || priority::of_ingress(&host, &path.path, is_exact);
            outcome.routes.push(Route {
                name: format!("{}/rule{at}/path{number}", shared.name),
                rule: condition(&host, path, router.path_matcher),
                priority: router.priority.map_or_else(default, priority::explicit),
                target,
                ..shared
            });
        }
    }
    if let Some(backend) = &ingress.spec.default_backend
        && let Some(target) = target(view, key, backend, outcome)
    {
        default_routes(view, (ingress, router), base, &target, outcome);
    }
}

/// The routes to the default backend: one for each rule without paths, and one for all other requests.
fn default_routes(
    view: &View<'_>,
    (ingress, router): (&Ingress, &Router),
    base: &Base,
    target: &Target,
    outcome: &mut Outcome,
) {
    let rules = ingress.spec.rules.iter().enumerate();
    for (at, rule) in rules.filter(|(_, rule)| rule.http.is_none()) {
        let Some(shared) = base.copy(view) else {
            return;
        };
        let host = rule.host.to_ascii_lowercase();
        let default = || priority::of_ingress(&host, "", false);
        let priority = router.priority.map_or_else(default, priority::explicit);
        let rule = if host.is_empty() {
            Vec::new()
        } else {
            vec![Matcher::Host(host)]
        };
        outcome.routes.push(Route {
            name: format!("{}/rule{at}", shared.name),
            priority,
            rule,
            target: target.clone(),
            ..shared
        });
    }
    let shared = base.route.clone();
    outcome.routes.push(Route {
        name: format!("{}/default", shared.name),
        priority: priority::DEFAULT_BACKEND,
        target: target.clone(),
        ..shared
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
