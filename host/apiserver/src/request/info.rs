//! From method and path to the resource that is addressed, by the rules of upstream's
//! `apiserver/pkg/endpoints/request/requestinfo.go`.

use http::Method;

use super::Query;

/// What a request addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// True for objects of the API, false for paths such as `/healthz` and `/api`.
    pub is_resource: bool,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or the
    /// lower-case method where no resource is addressed.
    pub verb: &'static str,
    /// The path, without query.
    pub path: String,
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Namespace; for the namespace resource itself the name again.
    pub namespace: String,
    /// Plural.
    pub resource: String,
    /// Subresource; empty for the object itself.
    pub subresource: String,
    /// Object; empty for collections, unless a selector chooses one object by its name.
    pub name: String,
    /// Whether the path names the object.
    pub(crate) is_named: bool,
    /// What follows the subresource (the path behind `proxy`), with a leading slash, or empty.
    pub rest: String,
    /// The field selector of a list or watch, which the Node authorizer checks.
    pub field_selector: Option<String>,
}

/// Subresources of namespaces, which would otherwise read as resources in the namespace.
const NAMESPACE_SUBRESOURCES: [&str; 2] = ["status", "finalize"];

impl RequestInfo {
    /// Reads method, path and query.
    pub(crate) fn parse(method: &Method, path: &str, query: &Query) -> Self {
        let plain = Self {
            verb: method_verb(method),
            path: path.to_owned(),
            ..Self::default()
        };
        let trimmed = path.trim_matches('/');
        let raw: Vec<&str> = if trimmed.is_empty() {
            Vec::new()
        } else {
            trimmed.split('/').collect()
        };
        let parts: Vec<String> = raw
            .iter()
            .map(|part| super::query::decode(part, false))
            .collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let (group, version, parts) = match parts.as_slice() {
            ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
            ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
            _ => return plain,
        };
        let mut info = Self {
            is_resource: true,
            group: group.to_owned(),
            version: version.to_owned(),
            ..plain
        };
        let parts = info.strip_watch_prefix(parts);
        info.read_path(parts);
        info.resolve_verb(method, query);
        info
    }

    /// `/api/v1/watch/...`: the old form of a watch.
    fn strip_watch_prefix<'p>(&mut self, parts: &'p [&'p str]) -> &'p [&'p str] {
        match parts {
            ["watch", rest @ ..] if !rest.is_empty() => {
                self.verb = "watch";
                rest
            }
            all => all,
        }
    }

    fn read_path(&mut self, parts: &[&str]) {
        let parts = match parts {
            ["namespaces", namespace, rest @ ..] => {
                (*namespace).clone_into(&mut self.namespace);
                match rest {
                    [] => parts,
                    [first, ..] if NAMESPACE_SUBRESOURCES.contains(first) => parts,
                    rest => rest,
                }
            }
            all => all,
        };
        let mut parts = parts.iter();
        let mut next = || {
            parts
                .next()
                .map(|part| (*part).to_owned())
                .unwrap_or_default()
        };
        self.resource = next();
        self.name = next();
        self.subresource = next();
        self.is_named = !self.name.is_empty();
        let rest: Vec<&str> = parts.copied().collect();
        if !rest.is_empty() {
            self.rest = format!("/{}", rest.join("/"));
        }
        // To a workload, a folder and a file of that name are two things.
        if self.path.ends_with('/') && self.subresource == "proxy" {
            self.rest.push('/');
        }
    }

    fn resolve_verb(&mut self, method: &Method, query: &Query) {
        if self.verb != "watch" {
            self.verb = match *method {
                Method::POST => "create",
                Method::GET | Method::HEAD => "get",
                Method::PUT => "update",
                Method::PATCH => "patch",
                Method::DELETE => "delete",
                _ => "",
            };
        }
        self.field_selector = query.get("fieldSelector").map(str::to_owned);
        let selected_name = query.get("fieldSelector").and_then(selected_name);
        if self.name.is_empty() && matches!(self.verb, "get" | "watch") {
            self.verb = if self.verb == "watch" || query.flag("watch") {
                "watch"
            } else {
                "list"
            };
            if let Some(name) = selected_name {
                self.name = name;
            }
        } else if self.verb == "get" && self.subresource.is_empty() && query.flag("watch") {
            // A watch on one object by its path is what very old clients send.
            self.verb = "watch";
        } else if self.name.is_empty() && self.verb == "delete" {
            self.verb = "deletecollection";
        }
    }

    /// True for requests that live as long as the client wants.
    pub(crate) fn is_long_running(&self) -> bool {
        self.is_resource
            && (self.verb == "watch"
                || matches!(
                    self.subresource.as_str(),
                    "log" | "exec" | "attach" | "portforward" | "proxy"
                ))
    }

    /// True for requests that change something.
    pub(crate) fn is_mutating(&self) -> bool {
        matches!(
            self.verb,
            "create" | "update" | "patch" | "delete" | "deletecollection" | "post" | "put"
        )
    }
}

/// The name in a field selector that selects one object by it.
fn selected_name(selector: &str) -> Option<String> {
    let parsed = k3s_meta::FieldSelector::parse(selector).ok()?;
    parsed.exact_match("metadata.name").map(str::to_owned)
}

fn method_verb(method: &Method) -> &'static str {
    match *method {
        Method::GET => "get",
        Method::HEAD => "head",
        Method::POST => "post",
        Method::PUT => "put",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::OPTIONS => "options",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &Method, uri: &str) -> String {
        let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
        let info = RequestInfo::parse(method, path, &Query::parse(query));
        if !info.is_resource {
            return format!("{} {}", info.verb, info.path);
        }
        let RequestInfo {
            verb,
            group,
            version,
            namespace,
            resource,
            subresource,
            name,
            rest,
            ..
        } = info;
        [
            verb,
            &group,
            &version,
            &namespace,
            &resource,
            &name,
            &subresource,
            &rest,
        ]
        .join("|")
    }

    #[test]
    fn paths_read_as_upstream_reads_them() {
        let (get, post, put, delete) = (Method::GET, Method::POST, Method::PUT, Method::DELETE);
        let table = [
            (&get, "/api/v1/pods", "list||v1||pods|||"),
            (&get, "/api/v1/pods?watch=1", "watch||v1||pods|||"),
            (&get, "/api/v1/namespaces/a/pods/b", "get||v1|a|pods|b||"),
            (&get, "/api/v1/namespaces/a/pods/b/", "get||v1|a|pods|b||"),
            (&get, "/api/v1/namespaces/a", "get||v1|a|namespaces|a||"),
            (
                &put,
                "/api/v1/namespaces/a/finalize",
                "update||v1|a|namespaces|a|finalize|",
            ),
            (
                &get,
                "/api/v1/namespaces/a/status",
                "get||v1|a|namespaces|a|status|",
            ),
            (
                &post,
                "/apis/apps/v1/namespaces/a/deployments",
                "create|apps|v1|a|deployments|||",
            ),
            (
                &delete,
                "/apis/apps/v1/namespaces/a/deployments",
                "deletecollection|apps|v1|a|deployments|||",
            ),
            (
                &get,
                "/api/v1/watch/namespaces/a/pods",
                "watch||v1|a|pods|||",
            ),
            (
                &get,
                "/api/v1/nodes/n/proxy/metrics/cadvisor",
                "get||v1||nodes|n|proxy|/metrics/cadvisor",
            ),
            (
                &get,
                "/api/v1/secrets?fieldSelector=metadata.name%3Dx",
                "list||v1||secrets|x||",
            ),
            (
                &get,
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/system%3Anode",
                "get|rbac.authorization.k8s.io|v1||clusterroles|system:node||",
            ),
            (&get, "/api/v1", "get /api/v1"),
            (&get, "/healthz", "get /healthz"),
            (&get, "/apis/apps/v1", "get /apis/apps/v1"),
        ];
        for (method, uri, want) in table {
            assert_eq!(parse(method, uri), want, "{uri}");
        }
    }
}
