//! Finding the route of a request among thousands: by host in a hash map, then by the prefixes of its
//! path in another. Only the few routes found so are evaluated.

use std::collections::HashMap;
use std::hash::Hash;

use super::rule::{Facts, Rule};

/// What an index holds.
pub(crate) trait Ranked {
    fn rule(&self) -> &Rule;
    /// Higher first.
    fn priority(&self) -> i64;
    /// Decides between equal priorities; the first wins.
    fn name(&self) -> &str;
}

/// Routes of one entry point, best first.
#[derive(Debug)]
pub(crate) struct Index<T> {
    routes: Vec<T>,
    /// Hosts, and `.suffix` of wildcards.
    hosts: HashMap<Box<str>, Paths>,
    /// Routes for any host.
    others: Paths,
}

/// Positions of routes by the texts that a path must begin with.
#[derive(Debug, Default)]
struct Paths {
    prefixes: HashMap<Box<str>, Vec<u32>>,
    /// Lengths of the keys, ascending.
    lengths: Vec<usize>,
    /// Routes for any path.
    others: Vec<u32>,
}

impl<T: Ranked> Index<T> {
    /// An index of `routes`.
    pub(crate) fn new(mut routes: Vec<T>) -> Self {
        routes.sort_by(|a, b| {
            b.priority()
                .cmp(&a.priority())
                .then_with(|| a.name().cmp(b.name()))
        });
        let mut hosts: HashMap<Box<str>, Paths> = HashMap::new();
        let mut others = Paths::default();
        for (at, route) in routes.iter().enumerate() {
            let at = u32::try_from(at).unwrap_or(u32::MAX);
            match route.rule().hosts() {
                Some(names) => names
                    .into_iter()
                    .for_each(|name| entry(&mut hosts, name).add(at, route.rule())),
                None => others.add(at, route.rule()),
            }
        }
        hosts
            .values_mut()
            .chain([&mut others])
            .for_each(Paths::finish);
        Self {
            routes,
            hosts,
            others,
        }
    }

    /// The best route whose rule is true.
    pub(crate) fn find(&self, facts: &Facts<'_>) -> Option<&T> {
        self.find_where(facts, |_| true)
    }

    /// The best one among some.
    pub(crate) fn find_where(&self, facts: &Facts<'_>, wanted: impl Fn(&T) -> bool) -> Option<&T> {
        let wildcard = facts.host.find('.').and_then(|dot| facts.host.get(dot..));
        let named = self.hosts.get(facts.host);
        let wild = wildcard.and_then(|suffix| self.hosts.get(suffix));
        let mut best = u32::MAX;
        for paths in named.into_iter().chain(wild).chain([&self.others]) {
            paths.each(facts.path, |positions| {
                // Positions ascend, so the first that fits is the best of its list.
                for at in positions.iter().copied().take_while(|at| *at < best) {
                    if self
                        .at(at)
                        .is_some_and(|route| wanted(route) && route.rule().matches(facts))
                    {
                        best = at;
                        return;
                    }
                }
            });
        }
        self.at(best)
    }

    fn at(&self, at: u32) -> Option<&T> {
        self.routes.get(usize::try_from(at).ok()?)
    }

    /// Whether a route names this host, by itself or by its domain.
    pub(crate) fn names_host(&self, host: &str) -> bool {
        let suffix = host.find('.').and_then(|dot| host.get(dot..));
        self.hosts.contains_key(host)
            || suffix.is_some_and(|suffix| self.hosts.contains_key(suffix))
    }

    pub(crate) fn len(&self) -> usize {
        self.routes.len()
    }
}

fn entry<'a>(hosts: &'a mut HashMap<Box<str>, Paths>, name: &str) -> &'a mut Paths {
    hosts.entry(name.into()).or_default()
}

impl Paths {
    fn add(&mut self, at: u32, rule: &Rule) {
        match rule.prefixes() {
            Some(prefixes) => prefixes
                .into_iter()
                .for_each(|prefix| insert(&mut self.prefixes, prefix, at)),
            None => self.others.push(at),
        }
    }

    fn finish(&mut self) {
        self.lengths = self.prefixes.keys().map(|prefix| prefix.len()).collect();
        self.lengths.sort_unstable();
        self.lengths.dedup();
    }

    /// Calls `visit` with each list of routes that may fit a path.
    fn each(&self, path: &str, mut visit: impl FnMut(&[u32])) {
        for prefix in self.lengths.iter().map_while(|length| path.get(..*length)) {
            if let Some(found) = self.prefixes.get(prefix) {
                visit(found);
            }
        }
        visit(&self.others);
    }
}

fn insert<K: Eq + Hash + for<'a> From<&'a str>>(
    map: &mut HashMap<K, Vec<u32>>,
    key: &str,
    at: u32,
) {
    let list = map.entry(key.into()).or_default();
    // A rule may name the same prefix twice.
    if list.last() != Some(&at) {
        list.push(at);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use http::{HeaderMap, Method};

    use super::*;
    use crate::model::Matcher;

    struct Named(&'static str, i64, Rule);

    impl Ranked for Named {
        fn rule(&self) -> &Rule {
            &self.2
        }
        fn priority(&self) -> i64 {
            self.1
        }
        fn name(&self) -> &str {
            self.0
        }
    }

    fn route(name: &'static str, priority: i64, terms: &[Matcher]) -> Named {
        Named(name, priority, Rule::build(terms).unwrap())
    }

    fn find(index: &Index<Named>, host: &str, path: &str) -> &'static str {
        let headers = HeaderMap::new();
        let client = IpAddr::from([127, 0, 0, 1]);
        let facts = Facts {
            host,
            path,
            query: "",
            method: &Method::GET,
            headers: &headers,
            client,
            sni: "",
        };
        index.find(&facts).map_or("none", |found| found.0)
    }

    #[test]
    fn the_best_of_all_lists_is_found() {
        let host = |name: &str| Matcher::Host(name.into());
        let index = Index::new(vec![
            route(
                "root",
                10,
                &[
                    host("a.b"),
                    Matcher::PathSegments(String::new()),
                    Matcher::All(2),
                ],
            ),
            route(
                "foo",
                20,
                &[
                    host("a.b"),
                    Matcher::PathSegments("/foo".into()),
                    Matcher::All(2),
                ],
            ),
            route(
                "exact",
                25,
                &[host("a.b"), Matcher::Path("/foo".into()), Matcher::All(2)],
            ),
            route("wild", 5, &[host("*.b")]),
            route("any", 1, &[]),
            route("method", 30, &[Matcher::Method("POST".into())]),
            route("two", 7, &[host("c"), host("d"), Matcher::Any(2)]),
        ]);
        for (host, path, expected) in [
            ("a.b", "/foo", "exact"),
            ("a.b", "/foo/", "foo"),
            ("a.b", "/foobar", "root"),
            ("x.b", "/foo", "wild"),
            ("x.y.b", "/", "any"),
            ("d", "/", "two"),
            ("", "/", "any"),
        ] {
            assert_eq!(find(&index, host, path), expected, "{host}{path}");
        }
    }

    #[test]
    fn the_order_of_equals_is_that_of_their_names() {
        let index = Index::new(vec![route("b", 1, &[]), route("a", 1, &[])]);
        assert_eq!(find(&index, "x", "/"), "a");
    }
}
