//! A server that is asked, and what it answers.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use http_body_util::BodyExt;
use k3s_client::Client;
use serde_json::Value;

use crate::request::{Body, Request};

/// A request that is not answered by then has hung.
const PATIENCE: Duration = Duration::from_secs(30);

/// One of the two servers.
#[derive(Clone)]
pub struct Target {
    client: Client,
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// HTTP status code.
    pub code: u16,
    /// Media type without parameters.
    pub content_type: String,
    /// Texts of the `Warning` headers.
    pub warnings: Vec<String>,
    /// The body: JSON and YAML as a tree, anything else as a text.
    pub body: Value,
}

/// Version and unique id of the object that was last answered.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    resource_version: String,
    uid: String,
}

impl Seen {
    /// Takes over what an answer shows.
    pub fn note(&mut self, answer: &Answer) {
        let text = |key: &str| answer.body["metadata"][key].as_str();
        if let (Some(version), Some(uid)) = (text("resourceVersion"), text("uid")) {
            version.clone_into(&mut self.resource_version);
            uid.clone_into(&mut self.uid);
        }
    }

    fn fill(&self, text: &str) -> String {
        text.replace(
            "\"$rv\"",
            &Value::from(self.resource_version.as_str()).to_string(),
        )
        .replace("\"$uid\"", &Value::from(self.uid.as_str()).to_string())
    }
}

impl Target {
    /// The server of a kubeconfig.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn new(kubeconfig: &Path) -> Result<Self> {
        Ok(Self {
            client: Client::from_kubeconfig(kubeconfig)?,
        })
    }

    /// The text that is sent as the body; a stored object is read first.
    ///
    /// # Errors
    /// When the stored object cannot be read.
    pub async fn body(&self, body: &Body, seen: &Seen) -> Result<String> {
        match body {
            Body::Empty => Ok(String::new()),
            Body::Json(value) => Ok(seen.fill(&value.to_string())),
            Body::Text(text) => Ok(seen.fill(text)),
            Body::Stored { path, edit } => {
                let answer = self
                    .send(&Request::new("GET", path.clone(), ""), "")
                    .await?;
                Ok(edit.text(&answer.body))
            }
        }
    }

    /// Sends a request with this body.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn send(&self, request: &Request, body: &str) -> Result<Answer> {
        let answered = tokio::time::timeout(PATIENCE, self.exchange(request, body)).await;
        answered
            .with_context(|| format!("no answer after {PATIENCE:?}"))?
            .with_context(|| format!("{} {}", request.method, request.uri()))
    }

    async fn exchange(&self, request: &Request, body: &str) -> Result<Answer> {
        let mut builder = http::Request::builder()
            .method(request.method)
            .uri(request.uri());
        for (name, value) in [
            ("accept", &request.accept),
            ("content-type", &request.content_type),
        ] {
            if !value.is_empty() {
                builder = builder.header(name, value);
            }
        }
        let response = self
            .client
            .raw(builder.body(body.as_bytes().to_vec())?)
            .await?;
        let (head, stream) = response.into_parts();
        let bytes = stream
            .collect()
            .await
            .map_err(|error| anyhow::anyhow!(error))?
            .to_bytes();
        let content_type = header(&head.headers, "content-type");
        let content_type = content_type
            .split(';')
            .next()
            .unwrap_or_default()
            .to_owned();
        let warnings = head.headers.get_all("warning").iter();
        Ok(Answer {
            code: head.status.as_u16(),
            body: tree(&content_type, &bytes),
            content_type,
            warnings: warnings
                .map(|value| warning(&String::from_utf8_lossy(value.as_bytes())))
                .collect(),
        })
    }
}

/// The text of a `Warning` header (RFC 7234): `299 - "text"`. Anything else is shown whole.
fn warning(header: &str) -> String {
    match header
        .strip_prefix("299 - ")
        .map(serde_json::from_str::<String>)
    {
        Some(Ok(text)) => text,
        _ => header.to_owned(),
    }
}

fn header(headers: &http::HeaderMap, name: &str) -> String {
    headers
        .get(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .unwrap_or_default()
}

fn tree(content_type: &str, bytes: &[u8]) -> Value {
    let text = String::from_utf8_lossy(bytes);
    let parsed = match content_type {
        "application/yaml" => serde_saphyr::from_str(&text).ok(),
        _ => serde_json::from_str(&text).ok(),
    };
    parsed.unwrap_or_else(|| Value::from(text.as_ref()))
}
