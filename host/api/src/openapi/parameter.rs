//! Query and path parameters of operations.

use super::Dialect;
use serde_json::{Value, json};

/// Name, type and description.
type Row = (&'static str, &'static str, &'static str);

const PRETTY: Row = (
    "pretty",
    "string",
    "If 'true', then the output is pretty printed.",
);
const DRY_RUN: Row = (
    "dryRun",
    "string",
    "When present, modifications are not persisted. The only valid value is All: every stage is processed, nothing is stored.",
);
const FIELD_MANAGER: Row = (
    "fieldManager",
    "string",
    "The name of the actor that makes the change: at most 128 printable characters.",
);
const FIELD_VALIDATION: Row = (
    "fieldValidation",
    "string",
    "What to do with objects that have unknown or duplicate fields: Ignore drops them, Warn (the default) drops them and sends a warning, Strict refuses the request.",
);
const FORCE: Row = (
    "force",
    "boolean",
    "Apply patches only: take over fields that other managers own.",
);

const WRITE: [Row; 4] = [PRETTY, DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION];
const PATCH: [Row; 5] = [PRETTY, DRY_RUN, FIELD_MANAGER, FIELD_VALIDATION, FORCE];
const LIST: [Row; 11] = [
    PRETTY,
    (
        "allowWatchBookmarks",
        "boolean",
        "Ask for watch events of type BOOKMARK.",
    ),
    (
        "continue",
        "string",
        "The token of the next page, from the page before.",
    ),
    (
        "fieldSelector",
        "string",
        "Restricts the list to objects with these fields.",
    ),
    (
        "labelSelector",
        "string",
        "Restricts the list to objects with these labels.",
    ),
    ("limit", "integer", "Most objects of one page."),
    (
        "resourceVersion",
        "string",
        "The resource version from which the answer may be.",
    ),
    (
        "resourceVersionMatch",
        "string",
        "How resourceVersion is applied to lists: Exact or NotOlderThan.",
    ),
    (
        "sendInitialEvents",
        "boolean",
        "Begin a watch with an event for each object there is, and a bookmark after them.",
    ),
    (
        "timeoutSeconds",
        "integer",
        "Ends the call after this time.",
    ),
    ("watch", "boolean", "Watch for changes instead of listing."),
];
const DELETE: [Row; 6] = [
    PRETTY,
    DRY_RUN,
    (
        "gracePeriodSeconds",
        "integer",
        "Seconds until the object is deleted; 0 deletes at once.",
    ),
    (
        "ignoreStoreReadErrorWithClusterBreakingPotential",
        "boolean",
        "Deletes an object that cannot be read from storage without running finalizers.",
    ),
    (
        "orphanDependents",
        "boolean",
        "Deprecated: use propagationPolicy.",
    ),
    (
        "propagationPolicy",
        "string",
        "What happens to dependents: Orphan, Background or Foreground.",
    ),
];
const EXEC: [Row; 6] = [
    (
        "command",
        "string",
        "The command to run, not in a shell; repeated for its arguments.",
    ),
    (
        "container",
        "string",
        "The container; needed when the pod has several.",
    ),
    ("stderr", "boolean", "Redirect the standard error stream."),
    ("stdin", "boolean", "Redirect the standard input stream."),
    ("stdout", "boolean", "Redirect the standard output stream."),
    ("tty", "boolean", "Allocate a terminal."),
];
const LOG: [Row; 10] = [
    PRETTY,
    (
        "container",
        "string",
        "The container; needed when the pod has several.",
    ),
    (
        "follow",
        "boolean",
        "Keep on sending lines as they are written.",
    ),
    (
        "insecureSkipTLSVerifyBackend",
        "boolean",
        "Do not verify the certificate of the kubelet.",
    ),
    ("limitBytes", "integer", "Most bytes to send."),
    (
        "previous",
        "boolean",
        "Logs of the previous instance of the container.",
    ),
    (
        "sinceSeconds",
        "integer",
        "Only what is newer than this many seconds.",
    ),
    ("stream", "string", "Which stream: All, Stdout or Stderr."),
    ("tailLines", "integer", "Only this many lines from the end."),
    (
        "timestamps",
        "boolean",
        "Put a timestamp before every line.",
    ),
];
const PORT_FORWARD: [Row; 1] = [("ports", "integer", "Ports to forward.")];
const PROXY: [Row; 1] = [("path", "string", "The path below the proxied address.")];
const READ: [Row; 1] = [PRETTY];

/// Which query parameters an operation has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Query {
    Read,
    List,
    Write,
    Patch,
    Delete,
    DeleteCollection,
    Exec,
    Attach,
    Log,
    PortForward,
    Proxy,
}

impl Query {
    /// The parameters in the form of the dialect.
    pub(super) fn parameters(self, dialect: Dialect) -> Vec<Value> {
        let rows: Vec<Row> = match self {
            Self::Read => READ.to_vec(),
            Self::List => LIST.to_vec(),
            Self::Write => WRITE.to_vec(),
            Self::Patch => PATCH.to_vec(),
            Self::Delete => DELETE.to_vec(),
            // What to delete and how; a collection is not watched.
            Self::DeleteCollection => {
                let listing = LIST
                    .iter()
                    .filter(|(name, ..)| !matches!(*name, "watch" | "allowWatchBookmarks"));
                listing.chain(DELETE.iter().skip(1)).copied().collect()
            }
            Self::Exec => EXEC.to_vec(),
            Self::Attach => EXEC
                .iter()
                .filter(|(name, ..)| *name != "command")
                .copied()
                .collect(),
            Self::Log => LOG.to_vec(),
            Self::PortForward => PORT_FORWARD.to_vec(),
            Self::Proxy => PROXY.to_vec(),
        };
        rows.into_iter()
            .map(|row| parameter(row, "query", dialect))
            .collect()
    }
}

/// The parameters of the path itself: `{namespace}` and `{name}`.
pub(super) fn of_path(kind: &str, path: &str, dialect: Dialect) -> Vec<Value> {
    let mut out = Vec::new();
    if path.contains("{name}") {
        out.push(named("name", &format!("name of the {kind}"), dialect));
    }
    if path.contains("{namespace}") {
        out.push(named(
            "namespace",
            "object name and auth scope, such as for teams and projects",
            dialect,
        ));
    }
    if path.contains("{path}") {
        out.push(named("path", "path to the resource", dialect));
    }
    out
}

fn named(name: &str, description: &str, dialect: Dialect) -> Value {
    match dialect {
        Dialect::V2 => {
            json!({"name": name, "in": "path", "description": description, "required": true, "type": "string", "uniqueItems": true})
        }
        Dialect::V3 => {
            let schema = json!({"type": "string", "uniqueItems": true});
            json!({"name": name, "in": "path", "description": description, "required": true, "schema": schema})
        }
    }
}

fn parameter((name, kind, description): Row, place: &str, dialect: Dialect) -> Value {
    match dialect {
        Dialect::V2 => {
            json!({"name": name, "in": place, "description": description, "type": kind, "uniqueItems": true})
        }
        Dialect::V3 => {
            let schema = json!({"type": kind, "uniqueItems": true});
            json!({"name": name, "in": place, "description": description, "schema": schema})
        }
    }
}
