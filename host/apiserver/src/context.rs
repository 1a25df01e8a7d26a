//! One request on its way through the handlers.

use std::sync::Arc;

use http::HeaderMap;
use k3s_meta::UserInfo;
use k3s_registry::{Call, Registry, Warnings};

use crate::core::Core;
use crate::request::{Accept, Query, RequestInfo};

/// What every handler needs to know.
pub(crate) struct Context {
    pub(crate) core: Arc<Core>,
    pub(crate) info: RequestInfo,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) user: UserInfo,
    pub(crate) accept: Accept,
    pub(crate) warnings: Warnings,
}

impl Context {
    pub(crate) fn registry(&self) -> &Registry {
        &self.core.registry
    }

    /// The circumstances of a write by this request.
    pub(crate) fn call(&self, dry_run: bool) -> Call<'_> {
        Call {
            user: &self.user,
            dry_run,
            admission: &self.core.admission,
            warnings: &self.warnings,
        }
    }

    /// Whether JSON is to be indented: asked for, or a person with curl is looking.
    pub(crate) fn pretty(&self) -> bool {
        self.query.optional_flag("pretty").unwrap_or_else(|| {
            let agent = self
                .headers
                .get(http::header::USER_AGENT)
                .and_then(|value| value.to_str().ok());
            agent.is_some_and(|agent| {
                ["curl", "Wget", "Mozilla/5.0"]
                    .iter()
                    .any(|start| agent.starts_with(start))
            })
        })
    }
}
