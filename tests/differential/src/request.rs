//! A request as both servers get it.

use serde_json::Value;

use crate::corpus::edit::Edit;

/// One request. The parts that differ between the servers (versions, unique ids) are filled in when it is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// HTTP method.
    pub method: &'static str,
    /// Path without query.
    pub path: String,
    /// Query parameters, not encoded.
    pub query: Vec<(String, String)>,
    /// `Accept`; none where empty.
    pub accept: String,
    /// `Content-Type`; none where empty.
    pub content_type: String,
    /// What is sent.
    pub body: Body,
    /// Kind that the request is about, for grouping: `Deployment`, `Pod/eviction`.
    pub about: String,
}

/// The body of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// None.
    Empty,
    /// JSON. Texts `$uid` and `$rv` stand for those of the object that the case was last answered with.
    Json(Value),
    /// Anything, sent as it is.
    Text(String),
    /// The stored object of a sample, as the server returned it, with an edit.
    Stored {
        /// Path of the object.
        path: String,
        /// What is changed.
        edit: Edit,
    },
}

impl Request {
    /// A request without query and body that wants JSON.
    pub(crate) fn new(method: &'static str, path: impl Into<String>, about: &str) -> Self {
        Self {
            method,
            path: path.into(),
            query: Vec::new(),
            accept: "application/json".into(),
            content_type: String::new(),
            body: Body::Empty,
            about: about.into(),
        }
    }

    pub(crate) fn json(mut self, body: Value) -> Self {
        self.body = Body::Json(body);
        self.content_type = "application/json".into();
        self
    }

    pub(crate) fn body(mut self, content_type: &str, body: Body) -> Self {
        self.body = body;
        self.content_type = content_type.into();
        self
    }

    pub(crate) fn accept(mut self, accept: &str) -> Self {
        self.accept = accept.into();
        self
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// Nothing that it does is kept.
    pub(crate) fn dry_run(self) -> Self {
        self.with("dryRun", "All")
    }

    /// Path and query as they are sent.
    #[must_use]
    pub fn uri(&self) -> String {
        let encode = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        let pairs: Vec<String> = self
            .query
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
            .collect();
        match pairs.as_slice() {
            [] => self.path.clone(),
            pairs => format!("{}?{}", self.path, pairs.join("&")),
        }
    }
}
