//! One run's connection: which cluster, which namespace, and requests with options that the
//! plain client has no word for (dry run, field validation).

use std::path::{Path, PathBuf};

use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap, WARNING};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use k3s_client::{Client, Error, KubeconfigSource};
use k3s_meta::Status;
use kube::client::Body;
use serde_json::Value;
use url::form_urlencoded;

use crate::cli::Globals;
use crate::discovery::Discovery;
use crate::error::Failure;

const DEFAULT_KUBECONFIG: &str = "/etc/rancher/k3s/k3s.yaml";

pub(crate) struct Session {
    pub(crate) client: Client,
    /// The namespace of objects that do not name one.
    pub(crate) namespace: String,
    /// Whether `--namespace` was given.
    pub(crate) namespace_given: bool,
}

impl Session {
    pub(crate) fn open(globals: &Globals) -> Result<Self, Failure> {
        let path = kubeconfig(globals);
        if !path.exists() {
            return Err(Failure::local(format!(
                "stat {}: no such file or directory",
                path.display()
            )));
        }
        if globals.as_user.is_none() && !globals.as_groups.is_empty() {
            return Err(Failure::local(
                "requesting groups, uid or user-extra for a user without impersonating one",
            ));
        }
        let client = Client::from_kubeconfig(KubeconfigSource {
            path,
            context: globals.context.clone(),
            impersonate: globals.as_user.clone(),
            impersonate_groups: globals.as_groups.clone(),
        })?;
        let own = globals.namespace.as_deref();
        let namespace = own.unwrap_or_else(|| client.kube().default_namespace());
        let namespace = namespace.to_owned();
        Ok(Self {
            client,
            namespace,
            namespace_given: globals.namespace.is_some(),
        })
    }

    pub(crate) async fn discovery(&self) -> Result<Discovery, Failure> {
        Discovery::load(self).await
    }

    /// Sends a request and reads a JSON answer; warnings of the server go to standard error.
    pub(crate) async fn json(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<Value, Failure> {
        let (content_type, body) = match body {
            Some((kind, value)) => (kind, serde_json::to_vec(value).map_err(Error::Encode)?),
            None => ("application/json", Vec::new()),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(ACCEPT, accept)
            .header(CONTENT_TYPE, content_type)
            .body(body)
            .map_err(Failure::request)?;
        let body = self.open_stream(request).await?;
        let bytes = body.collect_bytes().await.map_err(Failure::kube)?;
        serde_json::from_slice(&bytes).map_err(|source| Failure::Answer {
            path: path.to_owned(),
            source,
        })
    }

    /// Sends a request whose answer is read piece by piece; a failure is read whole.
    pub(crate) async fn open_stream(&self, request: Request<Vec<u8>>) -> Result<Body, Failure> {
        let path = request.uri().path().to_owned();
        let response = self.client.raw(request).await?;
        show_warnings(response.headers());
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        Err(failure(response, &path).await)
    }
}

fn show_warnings(headers: &HeaderMap) {
    let texts = headers.get_all(WARNING).iter();
    for text in texts
        .filter_map(|v| v.to_str().ok())
        .filter_map(warning_text)
    {
        eprintln!("Warning: {text}");
    }
}

async fn failure(response: Response<Body>, path: &str) -> Failure {
    let code: StatusCode = response.status();
    let bytes = match response.into_body().collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) => return Failure::kube(error),
    };
    match serde_json::from_slice::<Status>(&bytes) {
        Ok(status) => Error::Status(Box::new(status)).into(),
        Err(_) => {
            let text = String::from_utf8_lossy(&bytes);
            Failure::local(format!("{path}: HTTP {}: {}", code.as_u16(), text.trim()))
        }
    }
}

/// Adds a query, percent-encoded.
pub(crate) fn with_query<'a>(
    path: &str,
    query: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let target = format!("{path}?");
    let start = target.len();
    let mut pairs = form_urlencoded::Serializer::for_suffix(target, start);
    pairs.extend_pairs(query);
    pairs.finish().trim_end_matches('?').to_owned()
}

/// The text of `299 - "text"`.
fn warning_text(header: &str) -> Option<String> {
    let (_, quoted) = header.split_once('"')?;
    let text = quoted.strip_suffix('"').unwrap_or(quoted);
    Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
}

fn kubeconfig(globals: &Globals) -> PathBuf {
    let named = globals.kubeconfig.clone().or_else(|| {
        let all = std::env::var_os("KUBECONFIG").filter(|v| !v.is_empty())?;
        // A list of files would have to be merged; the first that exists is used.
        std::env::split_paths(&all)
            .find(|p| p.exists())
            .or_else(|| Some(all.into()))
    });
    named.unwrap_or_else(|| Path::new(DEFAULT_KUBECONFIG).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_unquoted() {
        assert_eq!(
            warning_text(r#"299 - "unknown field \"spec.foo\"""#).unwrap(),
            r#"unknown field "spec.foo""#
        );
        assert_eq!(warning_text("299 - none"), None);
    }
}
