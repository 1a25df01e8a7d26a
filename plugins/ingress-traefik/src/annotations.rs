//! Traefik's annotations on Ingresses (`router.*`) and on Services (`service.*`).

use k3s_plugin_sdk::Sentence;

use std::collections::BTreeMap;

use crate::wit::{Cookie, SameSite, Scheme};

const PREFIX: &str = "traefik.ingress.kubernetes.io/";

type Annotations = BTreeMap<String, String>;

/// How the paths of an Ingress with type `ImplementationSpecific` are matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum PathMatcher {
    #[default]
    PathPrefix,
    Path,
    PathRegexp,
}

/// `router.*` of an Ingress.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Router {
    pub(crate) entry_points: Vec<String>,
    /// As written: `NAMESPACE-NAME@kubernetescrd`.
    pub(crate) middlewares: Vec<String>,
    pub(crate) priority: Option<i64>,
    pub(crate) tls: bool,
    /// As written: `NAMESPACE-NAME@kubernetescrd`.
    pub(crate) tls_options: Option<String>,
    pub(crate) path_matcher: PathMatcher,
    /// What is written and has no effect here.
    pub(crate) ignored: Vec<String>,
}

/// `service.*` of a Service.
#[derive(Debug, PartialEq)]
pub(crate) struct ServiceSettings {
    pub(crate) scheme: Option<Scheme>,
    pub(crate) pass_host_header: bool,
    pub(crate) sticky: Option<Cookie>,
    /// As written: `NAMESPACE-NAME@kubernetescrd`.
    pub(crate) transport: Option<String>,
}

/// Ours among the annotations, without the prefix.
fn own(annotations: &Annotations) -> impl Iterator<Item = (&str, &str)> {
    annotations
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, value.trim())))
}

/// Reads an Ingress's annotations.
pub(crate) fn router(annotations: &Annotations) -> Result<Router, Sentence> {
    let mut router = Router::default();
    for (name, value) in own(annotations) {
        match name {
            "router.entrypoints" => router.entry_points = list(value),
            "router.middlewares" => router.middlewares = list(value),
            "router.priority" => router.priority = Some(number(name, value)?).filter(|p| *p != 0),
            "router.tls" => router.tls = switch(name, value)?,
            "router.tls.options" => {
                (router.tls, router.tls_options) = (true, Some(value.to_owned()))
            }
            "router.pathmatcher" => router.path_matcher = path_matcher(value)?,
            "router.rulesyntax" if value.is_empty() || value.eq_ignore_ascii_case("v3") => {}
            "router.rulesyntax" => {
                return Err(format!("{PREFIX}{name}: only rule syntax v3 is supported").into());
            }
            // These ask for certificates and for what is shown of requests, not for who may pass.
            _ if name.starts_with("router.tls.") => {
                router.tls = true;
                router.ignored.push(name.to_owned());
            }
            _ if name.starts_with("router.observability.") => router.ignored.push(name.to_owned()),
            _ if name.starts_with("router.") => {
                return Err(format!("{PREFIX}{name}: unknown annotation").into());
            }
            // On an Ingress these are without meaning to Traefik too.
            _ => router.ignored.push(name.to_owned()),
        }
    }
    Ok(router)
}

/// Reads a Service's annotations.
pub(crate) fn service(annotations: &Annotations) -> Result<ServiceSettings, Sentence> {
    let mut settings = ServiceSettings {
        scheme: None,
        pass_host_header: true,
        sticky: None,
        transport: None,
    };
    let mut cookie = Cookie {
        name: String::new(),
        secure: false,
        http_only: false,
        same_site: None,
        max_age_s: None,
        path: None,
        domain: None,
    };
    for (name, value) in own(annotations) {
        match name {
            "service.serversscheme" => settings.scheme = Some(scheme(value)?),
            "service.passhostheader" => settings.pass_host_header = switch(name, value)?,
            "service.sticky.cookie" => {
                settings.sticky = switch(name, value)?.then(|| cookie.clone())
            }
            "service.sticky.cookie.name" => cookie.name = value.to_owned(),
            "service.sticky.cookie.secure" => cookie.secure = switch(name, value)?,
            "service.sticky.cookie.httponly" => cookie.http_only = switch(name, value)?,
            "service.sticky.cookie.samesite" => cookie.same_site = same_site(value)?,
            "service.sticky.cookie.maxage" => {
                cookie.max_age_s =
                    Some(i32::try_from(number(name, value)?).map_err(|_| bad(name, value))?);
            }
            "service.sticky.cookie.path" => cookie.path = Some(value.to_owned()),
            "service.serverstransport" => settings.transport = Some(value.to_owned()),
            "service.sticky.cookie.domain" => cookie.domain = Some(value.to_owned()),
            // Requests always go to endpoints; both would only take a longer way.
            "service.nativelb" | "service.nodeportlb" => {}
            _ if name.starts_with("service.") => {
                return Err(format!("{PREFIX}{name}: unknown annotation").into());
            }
            _ => {}
        }
    }
    if settings.sticky.is_some() {
        settings.sticky = Some(cookie);
    }
    Ok(settings)
}

fn list(value: &str) -> Vec<String> {
    value
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

fn bad(name: &str, value: &str) -> Sentence {
    format!("{PREFIX}{name}: {value:?} is not a value for it").into()
}

fn number(name: &str, value: &str) -> Result<i64, Sentence> {
    value.parse().map_err(|_| bad(name, value))
}

fn switch(name: &str, value: &str) -> Result<bool, Sentence> {
    value.parse().map_err(|_| bad(name, value))
}

fn path_matcher(value: &str) -> Result<PathMatcher, Sentence> {
    match value {
        "PathPrefix" => Ok(PathMatcher::PathPrefix),
        "Path" => Ok(PathMatcher::Path),
        "PathRegexp" => Ok(PathMatcher::PathRegexp),
        other => Err(bad("router.pathmatcher", other)),
    }
}

/// Of a Service's servers.
pub(crate) fn scheme(value: &str) -> Result<Scheme, Sentence> {
    match value {
        "http" => Ok(Scheme::Http),
        "https" => Ok(Scheme::Https),
        "h2c" => Ok(Scheme::H2c),
        other => Err(bad("service.serversscheme", other)),
    }
}

/// `none`, `lax`, `strict`; empty for unset.
pub(crate) fn same_site(value: &str) -> Result<Option<SameSite>, Sentence> {
    match value.to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "none" => Ok(Some(SameSite::None)),
        "lax" => Ok(Some(SameSite::Lax)),
        "strict" => Ok(Some(SameSite::Strict)),
        _ => Err(bad("service.sticky.cookie.samesite", value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Annotations {
        pairs
            .iter()
            .map(|(name, value)| (format!("{PREFIX}{name}"), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn router_annotations() {
        let got = router(&of(&[
            ("router.entrypoints", "web, websecure"),
            ("router.middlewares", "default-auth@kubernetescrd"),
            ("router.priority", "42"),
            ("router.tls", "true"),
        ]))
        .unwrap();
        assert_eq!(
            (
                got.entry_points.len(),
                got.middlewares.len(),
                got.priority,
                got.tls
            ),
            (2, 1, Some(42), true)
        );
        for (name, value, part) in [
            ("router.priority", "high", "\"high\""),
            ("router.tls", "perhaps", "\"perhaps\""),
            ("router.midlewares", "x", "unknown annotation"),
            ("router.rulesyntax", "v2", "only rule syntax v3"),
            ("router.pathmatcher", "Glob", "\"Glob\""),
        ] {
            assert!(
                router(&of(&[(name, value)]))
                    .unwrap_err()
                    .to_string()
                    .contains(part),
                "{name}"
            );
        }
        assert_eq!(
            router(&of(&[("router.tls.certresolver", "le")]))
                .unwrap()
                .ignored,
            ["router.tls.certresolver"]
        );
    }

    #[test]
    fn a_sticky_cookie_takes_its_parts_in_any_order() {
        let got = service(&of(&[
            ("service.sticky.cookie", "true"),
            ("service.sticky.cookie.httponly", "true"),
            ("service.sticky.cookie.name", "who"),
            ("service.sticky.cookie.samesite", "Lax"),
        ]))
        .unwrap();
        let cookie = got.sticky.unwrap();
        assert_eq!(
            (cookie.name.as_str(), cookie.http_only, cookie.same_site),
            ("who", true, Some(SameSite::Lax))
        );
        assert_eq!(
            service(&of(&[("service.sticky.cookie.name", "who")]))
                .unwrap()
                .sticky,
            None
        );
        assert_eq!(
            service(&of(&[("service.serversscheme", "h2c")]))
                .unwrap()
                .scheme,
            Some(Scheme::H2c)
        );
        assert!(
            service(&of(&[("service.serversscheme", "ftp")]))
                .unwrap_err()
                .to_string()
                .contains("ftp")
        );
    }
}
