//! One run's connection: which cluster, which namespace, and requests with options that the
//! plain client has no word for (dry run, field validation).

use std::path::{Path, PathBuf};

use http::header::{ACCEPT, CONTENT_TYPE, WARNING};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use k3s_client::{Body, Client, Error, empty, full};
use k3s_meta::Status;
use k3s_meta::user::UserInfo;
use serde_json::Value;

use crate::Failure;
use crate::cli::Globals;
use crate::discovery::Discovery;

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
        let (client, from_context) =
            Client::from_kubeconfig_context(&path, globals.context.as_deref())?;
        let client = match &globals.as_user {
            Some(name) => client.impersonate(UserInfo {
                name: name.clone(),
                groups: globals.as_groups.clone(),
                ..UserInfo::default()
            }),
            None if globals.as_groups.is_empty() => client,
            None => {
                return Err(Failure::local(
                    "requesting groups, uid or user-extra for a user without impersonating one",
                ));
            }
        };
        let namespace = globals
            .namespace
            .clone()
            .or(from_context)
            .unwrap_or_else(|| "default".into());
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
            Some((kind, value)) => (
                kind,
                full(serde_json::to_vec(value).map_err(|e| Failure::local(e.to_string()))?),
            ),
            None => ("application/json", empty()),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(ACCEPT, accept)
            .header(CONTENT_TYPE, content_type);
        let request = request
            .body(body)
            .map_err(|e| Failure::local(e.to_string()))?;
        let bytes = self
            .open_stream(request, path)
            .await?
            .into_body()
            .collect()
            .await;
        let bytes = bytes.map_err(|e| Failure::local(e.to_string()))?.to_bytes();
        serde_json::from_slice(&bytes)
            .map_err(|e| Failure::local(format!("the server's answer to {path} is not JSON: {e}")))
    }

    /// Sends a request whose answer is read piece by piece; a failure is read whole.
    pub(crate) async fn open_stream(
        &self,
        request: Request<Body>,
        path: &str,
    ) -> Result<Response<Body>, Failure> {
        let response = self.client.raw(request).await?;
        for text in response
            .headers()
            .get_all(WARNING)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .filter_map(warning_text)
        {
            eprintln!("Warning: {text}");
        }
        if response.status().is_success()
            || response.status() == http::StatusCode::SWITCHING_PROTOCOLS
        {
            return Ok(response);
        }
        let code = response.status().as_u16();
        let bytes = response
            .into_body()
            .collect()
            .await
            .map_err(|e| Failure::local(e.to_string()))?
            .to_bytes();
        match serde_json::from_slice::<Status>(&bytes) {
            Ok(status) => Err(Error::Status(Box::new(status)).into()),
            Err(_) => Err(Failure::local(format!(
                "{path}: HTTP {code}: {}",
                String::from_utf8_lossy(&bytes).trim()
            ))),
        }
    }
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
