//! Which resource the objects of a kind are, asked of the API and remembered for one file.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use k3s_client::resources::CUSTOM_RESOURCE_DEFINITIONS;
use k3s_client::{Client, Error as ApiError, Resource, WatchEvent, WatchParams};
use k3s_meta::tree;
use serde_json::Value;

use crate::Error;

/// A definition is served at once or has a reason not to be.
const ESTABLISH: Duration = Duration::from_secs(10);

/// Resources by group and version, as far as they were asked for.
pub(crate) struct Lookup<'a> {
    client: &'a Client,
    known: HashMap<String, Value>,
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
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        if !self.known.contains_key(api_version) {
            let root = if group.is_empty() { "/api" } else { "/apis" };
            let list = match self.client.get_path(&format!("{root}/{api_version}")).await {
                Ok(list) => list,
                Err(error)
                    if error.is_not_found() || error.status().is_none() && is_answer(&error) =>
                {
                    Value::Null
                }
                Err(error) => return Err(error.into()),
            };
            self.known.insert(api_version.to_owned(), list);
        }
        let resources = self
            .known
            .get(api_version)
            .map(|list| tree::list(list, "resources"));
        let is_it =
            |r: &&Value| tree::text(r, "kind") == kind && !tree::text(r, "name").contains('/');
        let found = resources.unwrap_or_default().iter().find(is_it);
        let found = found.ok_or_else(|| Error::UnknownKind {
            kind: kind.to_owned(),
            api_version: api_version.to_owned(),
        })?;
        Ok(Resource {
            group: group.to_owned().into(),
            version: version.to_owned().into(),
            plural: tree::text(found, "name").to_owned().into(),
            kind: kind.to_owned().into(),
            namespaced: tree::flag(found, "namespaced"),
        })
    }

    /// A new kind may be served from now on.
    pub(crate) fn forget(&mut self) {
        self.known.clear();
    }
}

/// Whether the server answered something that is no `Status`: a path it does not know.
fn is_answer(error: &ApiError) -> bool {
    matches!(error, ApiError::Decode { .. })
}

/// Waits until a definition is served. One that is not within [`ESTABLISH`] says why in its conditions;
/// what needs it will fail and say so.
pub(crate) async fn wait_established(client: &Client, name: &str) -> Result<(), ApiError> {
    let params = WatchParams {
        field_selector: Some(format!("metadata.name={name}")),
        timeout_seconds: u32::try_from(ESTABLISH.as_secs()).ok(),
        ..WatchParams::default()
    };
    let mut watch = client
        .watch(&CUSTOM_RESOURCE_DEFINITIONS, None, &params)
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
