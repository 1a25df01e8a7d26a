//! Targets of routes: Services, and TraefikServices, which may be nested.

use k3s_plugin_sdk::Sentence;
use k3s_plugin_sdk::serde_json::{Value, from_value};

use super::types::{By, Custom, Service, Sticky, TraefikService};
use super::values::NumberOrText;
use super::{read, resolve, transport};
use crate::annotations;
use crate::kinds;
use crate::objects::PortReference;
use crate::service;
use crate::view::View;
use crate::wit::{Backend, Cookie, Target};

/// Depth to which TraefikServices may name each other.
const MAX_DEPTH: usize = 8;
/// Resolution of the shares of nested weights.
const FINE: u128 = 10_000;

/// A target of all `services` by their weights.
pub(crate) fn target(
    view: &View<'_>,
    namespace: &str,
    services: &[Service],
) -> Result<Target, Sentence> {
    match services {
        // A middleware answers (a redirect), or the route has no answer.
        [] => Ok(Target {
            backends: Vec::new(),
            sticky: None,
        }),
        [only] if only.kind == "TraefikService" && only.name == "noop@internal" => {
            target(view, namespace, &[])
        }
        [only] if only.kind == "TraefikService" => {
            let (backends, sticky) = weighted(view, namespace, only, 0)?;
            Ok(Target { backends, sticky })
        }
        several => Ok(Target {
            backends: spread(view, namespace, several, 0)?,
            sticky: None,
        }),
    }
}

/// The backends of several services, each with its share.
fn spread(
    view: &View<'_>,
    namespace: &str,
    services: &[Service],
    depth: usize,
) -> Result<Vec<Backend>, Sentence> {
    let mut all = Vec::new();
    for service in services {
        let weight = service.weight.unwrap_or(1);
        if service.kind == "TraefikService" {
            let (inner, _) = weighted(view, namespace, service, depth)?;
            let sum: u128 = inner.iter().map(|backend| u128::from(backend.weight)).sum();
            for mut backend in inner {
                let share = u128::from(weight) * FINE * u128::from(backend.weight) / sum.max(1);
                backend.weight = u32::try_from(share).unwrap_or(u32::MAX);
                all.push(backend);
            }
        } else {
            let mut backend = single(view, namespace, service)?;
            let fine = u128::from(weight) * FINE;
            backend.weight = u32::try_from(fine).unwrap_or(u32::MAX);
            all.push(backend);
        }
    }
    Ok(all)
}

fn weighted(
    view: &View<'_>,
    namespace: &str,
    service: &Service,
    depth: usize,
) -> Result<(Vec<Backend>, Option<Cookie>), Sentence> {
    if depth >= MAX_DEPTH {
        return Err(format!("TraefikService {} is nested too deeply", service.name).into());
    }
    let key = resolve(
        view,
        &kinds::TRAEFIK_SERVICE,
        namespace,
        &service.namespace,
        &service.name,
    )?;
    let name = format!("TraefikService {}/{}", key.namespace, key.name);
    let found: Custom<TraefikService> = read(view, &key)?;
    let inner = |services: &[Service]| spread(view, &key.namespace, services, depth + 1);
    let spec = found.spec;
    match (spec.weighted, spec.highest_random_weight, spec.mirroring) {
        (Some(group), None, None) => {
            let sticky = group.sticky.map(cookie).transpose()?.flatten();
            Ok((inner(&group.services)?, sticky))
        }
        (None, Some(group), None) => {
            view.warn(format!(
                "{name}: requests are spread by weight; a client does not stay with a service"
            ));
            Ok((inner(&group.services)?, None))
        }
        (None, None, Some(mut mirrored)) => {
            for field in ["mirrors", "mirrorBody", "maxBodySize"] {
                mirrored.remove(field);
            }
            let main: Service =
                from_value(Value::Object(mirrored)).map_err(|e| format!("{name}: {e}"))?;
            view.warn(format!("{name}: mirrors get no copies of requests"));
            Ok((inner(&[main])?, None))
        }
        _ => Err(format!("{name} needs one of weighted, highestRandomWeight and mirroring").into()),
    }
}

fn single(view: &View<'_>, namespace: &str, service: &Service) -> Result<Backend, Sentence> {
    if !matches!(service.kind.as_str(), "" | "Service") {
        return Err(format!("services of kind {} are not supported", service.kind).into());
    }
    // Traefik's other strategies choose by load or by hash; round robin and wrr are the same here.
    if !matches!(service.strategy.as_str(), "" | "RoundRobin" | "wrr") {
        let (name, strategy) = (&service.name, &service.strategy);
        view.warn(format!(
            "service {name}: strategy {strategy} is served by turns"
        ));
    }
    if service.health_check.is_some() || service.passive_health_check.is_some() {
        let name = &service.name;
        view.warn(format!(
            "service {name}: healthCheck has no effect; endpoints are ready when their pods are"
        ));
    }
    let key = resolve(
        view,
        &kinds::SERVICE,
        namespace,
        &service.namespace,
        &service.name,
    )?;
    let port = match &service.port {
        Some(NumberOrText::Number(number)) => {
            let number = u16::try_from(*number).map_err(|_| format!("{number} is not a port"))?;
            PortReference {
                number,
                ..PortReference::default()
            }
        }
        Some(NumberOrText::Text(name)) => match name.parse() {
            Ok(number) => PortReference {
                number,
                ..PortReference::default()
            },
            Err(_) => PortReference {
                name: name.clone(),
                ..PortReference::default()
            },
        },
        None => return Err(format!("service {}: a port is needed", service.name).into()),
    };
    let mut backend = service::backend(view, &key.namespace, &key.name, &port)?;
    if !service.scheme.is_empty() {
        backend.scheme = annotations::scheme(&service.scheme)?;
    }
    if let Some(pass) = service.pass_host_header {
        backend.pass_host_header = pass;
    }
    if let Some(sticky) = &service.sticky {
        backend.sticky = cookie(sticky.clone())?;
    }
    if !service.servers_transport.is_empty() {
        backend.transport = Some(transport(
            view,
            (namespace, By::Custom),
            &service.servers_transport,
        )?);
    }
    Ok(backend)
}

fn cookie(sticky: Sticky) -> Result<Option<Cookie>, Sentence> {
    let Some(cookie) = sticky.cookie else {
        return Ok(None);
    };
    Ok(Some(Cookie {
        same_site: annotations::same_site(&cookie.same_site)?,
        name: cookie.name,
        secure: cookie.secure,
        http_only: cookie.http_only,
        max_age_s: cookie.max_age,
        path: cookie.path,
        domain: cookie.domain,
    }))
}
