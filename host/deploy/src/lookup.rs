//! The resource of each kind, from the API's discovery, cached for one file.

use std::collections::HashMap;

use futures_util::StreamExt;
use k3s_client::discovery::Served;
use k3s_client::resources::CUSTOM_RESOURCE_DEFINITIONS;
use k3s_client::{Client, Error as ApiError, Resource, WatchEvent, WatchParams};
use k3s_meta::tree;
use serde_json::Value;

use crate::error::Error;

/// A valid definition is served at once.
const ESTABLISH_SECONDS: u32 = 10;

/// Resources by group and version, as far as they were requested.
pub(crate) struct Lookup<'a> {
    client: &'a Client,
    known: HashMap<String, Vec<Served>>,
}

impl<'a> Lookup<'a> {
    pub(crate) fn new(client: &'a Client) -> Self {
        Self {
            client,
            known: HashMap::new(),
        }
    }

    /// The resource of a kind.
    ///
    /// # Errors
    /// When the API does not serve it.
    pub(crate) async fn find(&mut self, api_version: &str, kind: &str) -> Result<Resource, Error> {
        if !self.known.contains_key(api_version) {
            let answer = self.client.resources_of(api_version).await;
            let served = match answer {
                Err(error) if error.is_not_found() => Vec::new(),
                other => other?,
            };
            self.known.insert(api_version.to_owned(), served);
        }
        let served = self.known.get(api_version).into_iter().flatten();
        let mut resources = served.map(|served| &served.resource);
        let found = resources.find(|resource| resource.kind == kind);
        found.cloned().ok_or_else(|| Error::UnknownKind {
            kind: kind.to_owned(),
            api_version: api_version.to_owned(),
        })
    }

    /// Clears the cache: a new kind may be served from now on.
    pub(crate) fn forget(&mut self) {
        self.known.clear();
    }
}

/// Waits until a definition is served, for at most [`ESTABLISH_SECONDS`]. The conditions of one that is not
/// have the reason, and objects of the kind fail with an error of their own.
pub(crate) async fn wait_established(client: &Client, name: &str) -> Result<(), ApiError> {
    let params = WatchParams::default()
        .fields(&format!("metadata.name={name}"))
        .timeout(ESTABLISH_SECONDS);
    let mut watch = client
        .watch(&CUSTOM_RESOURCE_DEFINITIONS, None, &params, "")
        .await?;
    while let Some(event) = watch.next().await {
        if let WatchEvent::Added(definition) | WatchEvent::Modified(definition) = event?
            && is_established(definition.value())
        {
            return Ok(());
        }
    }
    Ok(())
}

fn is_established(definition: &Value) -> bool {
    let conditions = tree::list(definition, "status.conditions");
    conditions
        .iter()
        .any(|c| tree::text(c, "type") == "Established" && tree::text(c, "status") == "True")
}
