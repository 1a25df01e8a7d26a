//! IngressRoute.

use k3s_plugin_sdk::Sentence;
use k3s_plugin_sdk::ingress::Key;

use super::rule::{self, Dialect};
use super::types::{By, Custom, IngressRoute, Route as Wanted, Tls};
use super::{middleware, service, tls};
use crate::class::{self, CLASS_ANNOTATION};
use crate::objects::Meta;
use crate::outcome::{Warnings, warn_all};
use crate::priority::UNIT;
use crate::view::View;
use crate::wit::{Outcome, Route, TlsOptions, TlsUse};

/// None for an object of another controller.
pub(crate) fn compile(view: &View<'_>, key: &Key) -> Option<Outcome> {
    let mut outcome = Outcome::of(key);
    let not_served = |error: Sentence| format!("{error}; the object is not served");
    let object: Custom<IngressRoute> = match view.get(key)? {
        Ok(object) => object,
        Err(error) => {
            outcome.error("InvalidObject", not_served(error));
            return Some(outcome);
        }
    };
    if !is_ours(
        view,
        &object.metadata,
        object.spec.ingress_class_name.as_deref(),
    ) {
        return None;
    }
    let mut warnings = Warnings::new();
    let tls = object.spec.tls.as_ref();
    let named = tls.and_then(|tls| tls.options.as_ref());
    let before = view.work();
    let options = match tls::options(view, (&key.namespace, By::Custom), named, &mut warnings) {
        Ok(options) => options,
        Err(error) => {
            outcome.error("InvalidTLSOption", not_served(error));
            return Some(outcome);
        }
    };
    if let Some(tls) = tls {
        certificates(tls, key, &mut outcome, &mut warnings);
    }
    // What each route gets a copy of.
    let names: usize = object.spec.entry_points.iter().map(String::len).sum();
    let shared = view.work() - before + names;
    for (at, wanted) in object.spec.routes.iter().enumerate() {
        if !view.may_copy(shared) {
            break;
        }
        let spec = &object.spec;
        match route(view, key, at, wanted, spec, options.as_ref(), &mut warnings) {
            Ok(route) => outcome.routes.push(route),
            Err(error) => outcome.error("InvalidRoute", format!("route {at}: {error}")),
        }
    }
    warn_all(&mut outcome, "Ignored", warnings);
    Some(outcome)
}

fn certificates(tls: &Tls, key: &Key, outcome: &mut Outcome, warnings: &mut Warnings) {
    warn_of_certificates(tls, warnings);
    if tls.passthrough {
        warnings.push("tls.passthrough is for IngressRouteTCP".to_owned());
    }
    if !tls.secret_name.is_empty() {
        outcome.certificate(&key.namespace, &tls.secret_name);
    }
}

fn route(
    view: &View<'_>,
    key: &Key,
    at: usize,
    wanted: &Wanted,
    spec: &IngressRoute,
    options: Option<&TlsOptions>,
    warnings: &mut Warnings,
) -> Result<Route, Sentence> {
    if !matches!(wanted.kind.as_str(), "" | "Rule") {
        return Err(format!("kind {:?} is not supported", wanted.kind).into());
    }
    check_syntax(&wanted.syntax)?;
    if wanted.observability.is_some() {
        warnings.push("observability has no effect".to_owned());
    }
    let mut middlewares = Vec::new();
    for reference in &wanted.middlewares {
        middlewares.extend(middleware::named(
            view,
            (&key.namespace, By::Custom),
            reference,
            warnings,
        )?);
    }
    Ok(Route {
        name: format!("{}/{}/route{at}", key.namespace, key.name),
        entry_points: spec.entry_points.clone(),
        rule: rule::parse(&wanted.r#match, Dialect::Http)?,
        priority: priority(wanted.priority, &wanted.r#match) * UNIT,
        middlewares,
        target: service::target(view, &key.namespace, &wanted.services)?,
        tls: if spec.tls.is_some() {
            TlsUse::Required
        } else {
            TlsUse::Either
        },
        tls_options: options.cloned(),
    })
}

/// Without one of its author's, a rule's priority is its length.
pub(crate) fn priority(given: i64, rule: &str) -> i64 {
    let length = i64::try_from(rule.len()).unwrap_or(i64::MAX / UNIT);
    if given == 0 {
        length
    } else {
        given.clamp(i64::MIN / UNIT, i64::MAX / UNIT)
    }
}

/// Objects of a class of ours, and those without one, by field or by annotation.
pub(crate) fn is_ours(view: &View<'_>, metadata: &Meta, class: Option<&str>) -> bool {
    if let Some(class) = class.filter(|class| !class.is_empty()) {
        return class::has_our_controller(view, class);
    }
    matches!(
        metadata
            .annotations
            .get(CLASS_ANNOTATION)
            .map(String::as_str),
        None | Some("" | "traefik")
    )
}

pub(crate) fn check_syntax(syntax: &str) -> Result<(), Sentence> {
    if matches!(syntax, "" | "v3" | "default") {
        Ok(())
    } else {
        Err(format!("rule syntax {syntax} is not supported").into())
    }
}

/// Certificates come from Secrets only.
pub(crate) fn warn_of_certificates(tls: &Tls, warnings: &mut Warnings) {
    for (given, name) in [
        (tls.cert_resolver.is_some(), "certResolver"),
        (tls.domains.is_some(), "domains"),
        (tls.store.is_some(), "store"),
    ] {
        if given {
            warnings.push(format!(
                "tls.{name} has no effect; certificates come from Secrets"
            ));
        }
    }
}
