//! Which route is taken where several match.
//!
//! Traefik takes the route with the longest rule, unless a priority is given, and one order holds for
//! Ingresses and IngressRoutes alike. Ingress v1 asks for more: an exact host before a wildcard, whatever
//! their paths, and an exact path before an equal prefix. Priorities are therefore thousandths of
//! Traefik's, and rules without an exact host are kept below every rule that has one.

/// One of Traefik's units.
pub(crate) const UNIT: i64 = 1000;
/// Below anything that somebody writes, as Traefik's default backends.
pub(crate) const DEFAULT_BACKEND: i64 = i64::MIN / 2;

/// The shortest rule with an exact host has 30 characters.
const WILDCARD: i64 = 20 * UNIT;
const NO_HOST: i64 = 15 * UNIT;
/// An exact path before a prefix of the same text.
const EXACT: i64 = UNIT / 2;

/// Of a priority that the author gave.
pub(crate) fn explicit(priority: i64) -> i64 {
    priority.saturating_mul(UNIT)
}

/// Of an Ingress's path without one.
pub(crate) fn of_ingress(host: &str, path: &str, exact: bool) -> i64 {
    let length = |text: &str| {
        i64::try_from(text.len())
            .unwrap_or(i64::MAX / UNIT)
            .min(1 << 20)
    };
    let tie = if exact { EXACT } else { 0 };
    if host.is_empty() {
        // Paths are compared among themselves; 2,000 characters are room enough below a wildcard.
        NO_HOST + 2 * length(path).min(2000) + i64::from(exact)
    } else if host.starts_with('*') {
        WILDCARD + 2 * length(path).min(4000) + i64::from(exact)
    } else {
        let rule = length("Host(``) && PathPrefix(``)") + length(host) + length(path);
        rule * UNIT + tie
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_precedence_holds() {
        let deep = "/a".repeat(500);
        let order = [
            of_ingress("a.b", "/foo/bar", false),
            of_ingress("a.b", "/foo", true),
            of_ingress("a.b", "/foo", false),
            of_ingress("a.b", "/", false),
            of_ingress("*.example.com", &deep, true),
            of_ingress("*.example.com", "/", false),
            of_ingress("", &deep, true),
            of_ingress("", "/foo", true),
            of_ingress("", "/foo", false),
            of_ingress("", "/", false),
            explicit(1),
            DEFAULT_BACKEND,
        ];
        assert!(order.is_sorted_by(|a, b| a > b), "{order:?}");
        assert!(explicit(100) > of_ingress("a.b", "/foo", true));
    }
}
