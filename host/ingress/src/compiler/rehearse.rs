//! What a compiler's decisions come to, without sockets: the data plane's own rules and order, for contract
//! suites of plugins.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, Method};

use crate::error::RuleError;
use crate::model::Route;
use crate::table::index::{Index, Ranked};
use crate::table::rule::{Facts, Rule};

/// Why routes would not be served.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// Two routes have this name.
    #[error("two routes are called {0:?}")]
    DuplicateName(String),
    /// A rule cannot be evaluated.
    #[error("the rule of route {route:?}")]
    Rule {
        /// The route's name.
        route: String,
        /// The cause.
        source: RuleError,
    },
}

/// Routes as they would be served.
pub struct Rehearsal(Index<Planned>);

struct Planned {
    rule: Rule,
    route: Route,
}

impl Ranked for Planned {
    fn rule(&self) -> &Rule {
        &self.rule
    }

    fn priority(&self) -> i64 {
        self.route.priority
    }

    fn name(&self) -> &str {
        &self.route.name
    }
}

impl Rehearsal {
    /// Of these routes.
    ///
    /// # Errors
    /// When a rule cannot be evaluated, or two routes have one name.
    pub fn new(routes: impl IntoIterator<Item = Route>) -> Result<Self, RehearsalError> {
        let mut names = BTreeSet::new();
        let mut planned = Vec::new();
        for route in routes {
            if !names.insert(route.name.clone()) {
                return Err(RehearsalError::DuplicateName(route.name));
            }
            let rule = Rule::build(&route.rule).map_err(|source| RehearsalError::Rule {
                route: route.name.clone(),
                source,
            })?;
            planned.push(Planned { rule, route });
        }
        Ok(Self(Index::new(planned)))
    }

    /// The route of a plain GET.
    #[must_use]
    pub fn route(&self, host: &str, path: &str) -> Option<&Route> {
        let (method, headers) = (Method::GET, HeaderMap::new());
        let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let facts = Facts {
            host,
            path,
            query: "",
            method: &method,
            headers: &headers,
            client,
            sni: "",
        };
        self.0.find(&facts).map(|planned| &planned.route)
    }
}
