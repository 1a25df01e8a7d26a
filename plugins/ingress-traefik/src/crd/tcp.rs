//! IngressRouteTCP.

use k3s_plugin_sdk::Sentence;
use k3s_plugin_sdk::ingress::Key;

use super::resolve;
use super::rule::{self, Dialect};
use super::types::{By, Custom, IngressRouteTcp, RouteTcp, ServiceTcp};
use super::values::NumberOrText;
use super::{route, tls};
use crate::kinds;
use crate::objects::PortReference;
use crate::outcome::{Warnings, warn_all};
use crate::priority::UNIT;
use crate::service;
use crate::view::View;
use crate::wit::{Backend, Outcome, Target, TcpRoute, TcpTls, TlsOptions};

/// Nothing for an object of another controller.
pub(crate) fn compile(view: &View<'_>, key: &Key) -> Option<Outcome> {
    let mut outcome = Outcome::of(key);
    let object: Custom<IngressRouteTcp> = match view.get(key)? {
        Ok(object) => object,
        Err(error) => {
            outcome.error(
                "InvalidObject",
                format!("{error}; the object is not served"),
            );
            return Some(outcome);
        }
    };
    if !route::is_ours(
        view,
        &object.metadata,
        object.spec.ingress_class_name.as_deref(),
    ) {
        return None;
    }
    let mut warnings = Warnings::new();
    let before = view.work();
    let mut options = None;
    let mode = match &object.spec.tls {
        None => TcpTls::None,
        Some(tls) if tls.passthrough => TcpTls::Passthrough,
        Some(tls) => {
            route::warn_of_certificates(tls, &mut warnings);
            if !tls.secret_name.is_empty() {
                outcome.certificate(&key.namespace, &tls.secret_name);
            }
            match tls::options(
                view,
                (&key.namespace, By::Custom),
                tls.options.as_ref(),
                &mut warnings,
            ) {
                Ok(found) => options = found,
                Err(error) => {
                    outcome.error(
                        "InvalidTLSOption",
                        format!("{error}; the object is not served"),
                    );
                    return Some(outcome);
                }
            }
            TcpTls::Terminate
        }
    };
    // What each route gets a copy of.
    let names: usize = object.spec.entry_points.iter().map(String::len).sum();
    let shared = view.work() - before + names;
    for (at, one) in object.spec.routes.iter().enumerate() {
        if !view.may_copy(shared) {
            break;
        }
        match tcp_route(view, key, at, one, (mode, options.as_ref())) {
            Ok(route) => outcome.tcp_routes.push(TcpRoute {
                entry_points: object.spec.entry_points.clone(),
                ..route
            }),
            Err(error) => outcome.error("InvalidRoute", format!("route {at}: {error}")),
        }
    }
    warn_all(&mut outcome, "Ignored", warnings);
    Some(outcome)
}

fn tcp_route(
    view: &View<'_>,
    key: &Key,
    at: usize,
    route: &RouteTcp,
    (tls, options): (TcpTls, Option<&TlsOptions>),
) -> Result<TcpRoute, Sentence> {
    route::check_syntax(&route.syntax)?;
    let services = route
        .services
        .iter()
        .map(|service| backend(view, &key.namespace, service));
    Ok(TcpRoute {
        name: format!("{}/{}/tcp/{at}", key.namespace, key.name),
        entry_points: Vec::new(),
        rule: rule::parse(&route.r#match, Dialect::Tcp)?,
        priority: route::priority(route.priority, &route.r#match) * UNIT,
        target: Target {
            backends: services.collect::<Result<_, _>>()?,
            sticky: None,
        },
        tls,
        tls_options: options.cloned(),
    })
}

fn backend(view: &View<'_>, namespace: &str, wanted: &ServiceTcp) -> Result<Backend, Sentence> {
    let key = resolve(
        view,
        &kinds::SERVICE,
        namespace,
        &wanted.namespace,
        &wanted.name,
    )?;
    let port = match &wanted.port {
        NumberOrText::Number(number) => {
            let number = u16::try_from(*number).map_err(|_| format!("{number} is not a port"))?;
            PortReference {
                number,
                ..PortReference::default()
            }
        }
        NumberOrText::Text(name) => PortReference {
            name: name.clone(),
            ..PortReference::default()
        },
    };
    let backend = service::backend(view, &key.namespace, &key.name, &port)?;
    Ok(Backend {
        weight: wanted.weight.unwrap_or(1),
        sticky: None,
        ..backend
    })
}
