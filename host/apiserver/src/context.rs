//! One request on its way through the handlers.

use std::sync::Arc;

use http::HeaderMap;
use k3s_meta::UserInfo;
use k3s_registry::{Call, Registry, Resource, Result, Warnings};
use serde_json::Value;

use crate::authz::rbac::escalation::Grantor;
use crate::authz::{Attributes, Decision};
use crate::core::Core;
use crate::request::{Accept, Query, RequestInfo};

/// An admitted request, and the server's parts that answer it.
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

    /// Refuses an update that would create the object, unless the user may create it
    /// (`apiserver/pkg/endpoints/handlers/update.go`, `withAuthorization`).
    ///
    /// # Errors
    /// 403 in upstream's words.
    pub(crate) fn check_create(&self) -> Result<()> {
        let create = Attributes {
            verb: "create",
            ..Attributes::of_request(&self.user, &self.info)
        };
        match self.core.authorizer.authorize(&create) {
            Decision::Allow => Ok(()),
            Decision::Deny(reason) => Err(create.forbidden(&reason).into()),
        }
    }

    /// Refuses a write of policy that grants more than the user holds.
    ///
    /// # Errors
    /// 403 in upstream's words.
    pub(crate) fn check_grants(
        &self,
        resource: &Resource,
        new: &Value,
        old: Option<&Value>,
    ) -> Result<()> {
        let grantor = Grantor {
            authorizer: &self.core.authorizer,
            user: &self.user,
            namespace: &self.info.namespace,
        };
        grantor.check(resource, new, old)
    }

    /// Whether JSON is to be indented: asked for, or sent to a person with curl or a browser.
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
