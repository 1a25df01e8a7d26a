//! Lists: selectors, pages, and the versions they may be asked for.

mod request;
mod selectors;
mod token;

use std::sync::Arc;

use k3s_meta::Status;
use k3s_store::{Entry, ListError, ListOptions, ListPage, Revision};

pub use request::{ListRequest, VersionMatch};
pub use selectors::Selectors;
pub use token::ContinueToken;

use crate::error::Result;
use crate::registry::Registry;
use crate::resource::Resource;
use crate::view::View;

/// The objects of a list and the state they are from.
pub struct ListResult {
    /// In key order.
    pub entries: Vec<Arc<Entry>>,
    /// What is stored in the range and cannot be decoded, whether or not it would be selected.
    pub unreadable: Vec<Arc<Entry>>,
    /// The store's revision, not that of the newest item.
    pub revision: u64,
    /// The token of the next page.
    pub continue_token: Option<String>,
    /// How many objects follow; unknown where selectors decide.
    pub remaining: Option<u64>,
}

/// Where a list starts and as of when.
struct Start {
    at: Option<Revision>,
    after: Option<String>,
}

impl Registry {
    /// Lists a resource.
    ///
    /// # Errors
    /// For a malformed or expired token, and for versions that cannot be served.
    pub async fn list(
        &self,
        resource: &Arc<Resource>,
        request: &ListRequest,
    ) -> Result<ListResult> {
        request.selectors.check_fields(resource)?;
        let range = request.range(resource);
        let start = self.start(request, &range)?;
        let whole = request.selectors.is_empty();
        let options = ListOptions {
            start_after: start.after.clone(),
            limit: if whole { request.limit } else { 0 },
            at: start.at,
        };
        let page = match self.store.list(&range, options).await {
            Ok(page) => page,
            Err(ListError::Compacted { .. }) if request.continue_token.is_some() => {
                return Err(self.expired_token(&range, start.after.as_deref()).into());
            }
            Err(error) => return Err(error.into()),
        };
        if whole {
            Ok(unfiltered(page, &range, resource))
        } else {
            filtered(page, request, &range, resource)
        }
    }

    fn start(&self, request: &ListRequest, range: &str) -> Result<Start> {
        if let Some(token) = &request.continue_token {
            let at = u64::try_from(token.revision).ok().map(Revision);
            return Ok(Start {
                at,
                after: Some(format!("{range}{}", token.after)),
            });
        }
        let Some(version) = request.version.filter(|version| *version > 0) else {
            return Ok(Start {
                at: None,
                after: None,
            });
        };
        // Without a match rule, a limit makes the version exact: that is how the first page of a
        // paged list always behaved.
        let exact = match request.version_match {
            Some(VersionMatch::Exact) => true,
            Some(VersionMatch::NotOlderThan) => false,
            None => request.limit > 0,
        };
        let current = self.store.revision();
        if version > current.0 {
            return Err(Status::too_large_resource_version(version, current.0, 1).into());
        }
        Ok(Start {
            at: exact.then_some(Revision(version)),
            after: None,
        })
    }

    /// The token's revision was compacted. The answer carries a token that continues from the same
    /// place in the newest state.
    fn expired_token(&self, range: &str, after: Option<&str>) -> Status {
        let after = after
            .and_then(|key| key.strip_prefix(range))
            .unwrap_or_default();
        let mut status = Status::expired(EXPIRED_TOKEN);
        status.metadata.continue_token = ContinueToken {
            revision: -1,
            after: after.to_owned(),
        }
        .encode();
        status
    }
}

const EXPIRED_TOKEN: &str = "The provided continue parameter is too old to display a consistent list result. \
You can start a new list without the continue parameter, or use the continue token in this response to retrieve \
the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were \
created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";

fn unfiltered(page: ListPage, range: &str, resource: &Resource) -> ListResult {
    let continue_token = page
        .more
        .then(|| token_after(page.entries.last(), range, page.revision))
        .flatten();
    let remaining = continue_token.is_some().then_some(page.remaining);
    let (entries, unreadable) = page
        .entries
        .into_iter()
        .partition(|entry| resource.is_readable(entry));
    ListResult {
        revision: page.revision.0,
        continue_token,
        remaining,
        entries,
        unreadable,
    }
}

fn filtered(
    page: ListPage,
    request: &ListRequest,
    range: &str,
    resource: &Resource,
) -> Result<ListResult> {
    let (mut entries, mut unreadable) = (Vec::new(), Vec::new());
    let mut rest = page.entries.iter();
    let mut last = None;
    for entry in rest.by_ref() {
        last = Some(entry);
        if !resource.is_readable(entry) {
            unreadable.push(entry.clone());
            continue;
        }
        if View::of(entry)?.matches(entry, &request.selectors, resource)? {
            entries.push(entry.clone());
            if request.limit > 0 && entries.len() == request.limit {
                break;
            }
        }
    }
    let more = !rest.as_slice().is_empty();
    let continue_token = more
        .then(|| token_after(last, range, page.revision))
        .flatten();
    Ok(ListResult {
        entries,
        unreadable,
        revision: page.revision.0,
        continue_token,
        remaining: None,
    })
}

fn token_after(last: Option<&Arc<Entry>>, range: &str, revision: Revision) -> Option<String> {
    let after = last?.key.strip_prefix(range)?.to_owned();
    Some(
        ContinueToken {
            revision: i64::try_from(revision.0).ok()?,
            after,
        }
        .encode(),
    )
}
