//! Parameters and results of the verbs.

use serde_json::{Value, json};

use crate::object::Object;
use crate::resource::push_escaped;

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct ListParams {
    /// Label selector in its text form.
    pub label_selector: Option<String>,
    /// Field selector in its text form.
    pub field_selector: Option<String>,
    /// Page size; the server may return fewer.
    pub limit: Option<u32>,
    /// Continue token of the page before.
    pub continue_token: Option<String>,
    /// `resourceVersion`: `None` for the newest state.
    pub resource_version: Option<String>,
    /// Ask for metadata only (`PartialObjectMetadata`).
    pub metadata_only: bool,
}

/// What to watch.
#[derive(Clone, Debug, Default)]
pub struct WatchParams {
    /// Label selector in its text form.
    pub label_selector: Option<String>,
    /// Field selector in its text form.
    pub field_selector: Option<String>,
    /// Events after this version.
    pub resource_version: Option<String>,
    /// Ask for bookmarks.
    pub bookmarks: bool,
    /// Ask for the present state first, closed by a bookmark.
    pub send_initial_events: bool,
    /// The server ends the watch after this many seconds.
    pub timeout_seconds: Option<u32>,
    /// Ask for metadata only (`PartialObjectMetadata`).
    pub metadata_only: bool,
}

/// How dependents are treated when an owner goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// The owner goes at once, dependents follow.
    Background,
    /// The owner waits for its dependents.
    Foreground,
    /// Dependents stay.
    Orphan,
}

/// Conditions on the object that is to be deleted.
#[derive(Clone, Debug, Default)]
pub struct Preconditions {
    /// The object must have this UID.
    pub uid: Option<String>,
    /// The object must have this resource version.
    pub resource_version: Option<String>,
}

/// How to delete.
#[derive(Clone, Debug, Default)]
pub struct DeleteParams {
    /// Grace in seconds; `None` for the kind's own.
    pub grace_period_seconds: Option<i64>,
    /// What happens to dependents; `None` for the kind's own rule.
    pub propagation: Option<Propagation>,
    /// Conditions that must hold.
    pub preconditions: Preconditions,
}

/// A patch and its type.
#[derive(Clone, Debug)]
pub enum Patch {
    /// `application/merge-patch+json` (RFC 7386).
    Merge(Value),
    /// `application/strategic-merge-patch+json`.
    Strategic(Value),
    /// `application/json-patch+json` (RFC 6902).
    Json(Value),
}

/// One page of a list.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// The objects.
    pub items: Vec<Object>,
    /// The version the list shows; a watch goes on from here.
    pub resource_version: String,
    /// Token of the next page, where there is one.
    pub continue_token: Option<String>,
}

impl ListParams {
    /// Objects whose labels match.
    #[must_use]
    pub fn labels(selector: impl Into<String>) -> Self {
        Self {
            label_selector: Some(selector.into()),
            ..Self::default()
        }
    }

    /// Objects whose fields match.
    #[must_use]
    pub fn fields(selector: impl Into<String>) -> Self {
        Self {
            field_selector: Some(selector.into()),
            ..Self::default()
        }
    }

    pub(crate) fn query(&self) -> Query {
        let mut query = Query::default();
        query.text("labelSelector", self.label_selector.as_deref());
        query.text("fieldSelector", self.field_selector.as_deref());
        query.text("limit", self.limit.map(|n| n.to_string()).as_deref());
        query.text("continue", self.continue_token.as_deref());
        query.text("resourceVersion", self.resource_version.as_deref());
        query
    }
}

impl WatchParams {
    pub(crate) fn query(&self) -> Query {
        let mut query = Query::default();
        query.text("watch", Some("true"));
        query.text("labelSelector", self.label_selector.as_deref());
        query.text("fieldSelector", self.field_selector.as_deref());
        query.text("resourceVersion", self.resource_version.as_deref());
        query.text("allowWatchBookmarks", self.bookmarks.then_some("true"));
        query.text(
            "sendInitialEvents",
            self.send_initial_events.then_some("true"),
        );
        query.text(
            "resourceVersionMatch",
            self.send_initial_events.then_some("NotOlderThan"),
        );
        query.text(
            "timeoutSeconds",
            self.timeout_seconds.map(|n| n.to_string()).as_deref(),
        );
        query
    }
}

impl DeleteParams {
    /// Dependents follow in the background.
    #[must_use]
    pub fn background() -> Self {
        Self {
            propagation: Some(Propagation::Background),
            ..Self::default()
        }
    }

    /// At once, without grace.
    #[must_use]
    pub fn now() -> Self {
        Self {
            grace_period_seconds: Some(0),
            ..Self::default()
        }
    }

    /// Only if the object still has this UID.
    #[must_use]
    pub fn with_uid(mut self, uid: impl Into<String>) -> Self {
        self.preconditions.uid = Some(uid.into());
        self
    }

    /// Only if the object still has this resource version.
    #[must_use]
    pub fn with_resource_version(mut self, version: impl Into<String>) -> Self {
        self.preconditions.resource_version = Some(version.into());
        self
    }

    pub(crate) fn to_value(&self) -> Value {
        let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
        let mut preconditions = serde_json::Map::new();
        if let Some(uid) = &self.preconditions.uid {
            preconditions.insert("uid".into(), uid.as_str().into());
        }
        if let Some(version) = &self.preconditions.resource_version {
            preconditions.insert("resourceVersion".into(), version.as_str().into());
        }
        if let Some(map) = options.as_object_mut() {
            if let Some(grace) = self.grace_period_seconds {
                map.insert("gracePeriodSeconds".into(), grace.into());
            }
            if let Some(propagation) = self.propagation {
                map.insert("propagationPolicy".into(), propagation.as_str().into());
            }
            if !preconditions.is_empty() {
                map.insert("preconditions".into(), preconditions.into());
            }
        }
        options
    }
}

impl Propagation {
    /// As `propagationPolicy` spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Background => "Background",
            Self::Foreground => "Foreground",
            Self::Orphan => "Orphan",
        }
    }
}

impl Patch {
    pub(crate) fn parts(&self) -> (&'static str, &Value) {
        match self {
            Self::Merge(body) => ("application/merge-patch+json", body),
            Self::Strategic(body) => ("application/strategic-merge-patch+json", body),
            Self::Json(body) => ("application/json-patch+json", body),
        }
    }
}

/// A query string under construction.
#[derive(Debug, Default)]
pub(crate) struct Query(String);

impl Query {
    pub(crate) fn text(&mut self, name: &str, value: Option<&str>) {
        let Some(value) = value else { return };
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        self.0.push_str(name);
        self.0.push('=');
        push_escaped(&mut self.0, value);
    }

    pub(crate) fn after(self, mut path: String) -> String {
        path.push_str(&self.0);
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_escaped() {
        let params = ListParams {
            limit: Some(5),
            ..ListParams::labels("a=b,c in (d)")
        };
        assert_eq!(
            params.query().after("/x".into()),
            "/x?labelSelector=a%3Db%2Cc%20in%20%28d%29&limit=5"
        );
    }

    #[test]
    fn delete_options_carry_only_what_was_asked() {
        assert_eq!(
            DeleteParams::background().with_uid("u").to_value(),
            json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background", "preconditions": {"uid": "u"}})
        );
    }
}
