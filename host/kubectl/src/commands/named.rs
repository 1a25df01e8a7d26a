//! Existing objects that a command changes: `TYPE NAME...`, `TYPE/NAME...`, or `TYPE` with `-l` or
//! `--all`.

use clap::Args;
use http::Method;
use k3s_client::ListParams;
use serde_json::Value;

use super::target;
use crate::discovery::{Discovery, Served};
use crate::error::Failure;
use crate::session::Session;

pub(super) const MERGE: &str = "application/merge-patch+json";
pub(super) const STRATEGIC: &str = "application/strategic-merge-patch+json";
const JSON: &str = "application/json";

/// Several objects at once.
#[derive(Debug, Default, Args)]
pub(crate) struct Selection {
    /// Selector (label query) to filter on
    #[arg(short = 'l', long)]
    selector: Option<String>,
    /// All resources of the type in the namespace
    #[arg(long)]
    all: bool,
}

/// One object by name.
#[derive(Clone, Debug)]
pub(super) struct Named<'a> {
    pub(super) served: &'a Served,
    pub(super) name: String,
}

impl Named<'_> {
    /// `deployment.apps/web`.
    pub(super) fn shown(&self) -> String {
        self.served.qualified(&self.name)
    }

    pub(super) fn path(&self, session: &Session, subresource: Option<&str>) -> String {
        self.served
            .resource
            .path(Some(&session.namespace), Some(&self.name), subresource)
    }

    pub(super) async fn get(&self, session: &Session) -> Result<Value, Failure> {
        session
            .json(Method::GET, &self.path(session, None), JSON, None)
            .await
    }

    /// Sends a patch; `kind` is its content type.
    pub(super) async fn patch(
        &self,
        session: &Session,
        subresource: Option<&str>,
        kind: &str,
        patch: &Value,
    ) -> Result<Value, Failure> {
        let path = format!("{}?fieldManager=kubectl", self.path(session, subresource));
        session
            .json(Method::PATCH, &path, JSON, Some((kind, patch)))
            .await
    }
}

/// The objects that `words` and `selection` name.
pub(super) async fn select<'a>(
    session: &Session,
    discovery: &'a Discovery,
    words: &[String],
    selection: &Selection,
) -> Result<Vec<Named<'a>>, Failure> {
    let mut found = Vec::new();
    for target in target::parse(discovery, words)? {
        let served = target.served;
        if !target.names.is_empty() {
            found.extend(target.names.into_iter().map(|name| Named { served, name }));
            continue;
        }
        if selection.selector.is_none() && !selection.all {
            return Err(Failure::local(
                "resource(s) were provided, but no name was specified",
            ));
        }
        let params = ListParams {
            label_selector: selection.selector.clone(),
            ..ListParams::default()
        };
        let list = session
            .client
            .list_all(&served.resource, Some(&session.namespace), &params)
            .await?;
        found.extend(list.items.iter().map(|o| Named {
            served,
            name: o.name().to_owned(),
        }));
    }
    if found.is_empty() {
        Err(Failure::local("no objects passed to the command"))
    } else {
        Ok(found)
    }
}
