//! Access to devices that others use: only claims in namespaces with a label may ask for it, or be given it
//! (`AuthorizedForAdmin` of `pkg/registry/resource`).

use std::sync::Arc;

use async_trait::async_trait;
use k3s_meta::field::{self, ErrorList, Path};
use k3s_meta::{Status, object, tree};
use k3s_registry::{Attributes, Result};
use serde_json::Value;

use super::Step;
use super::listers::Listers;

const DETAIL: &str = "admin access to devices requires the `resource.kubernetes.io/admin-access: true` label on the containing namespace";
const GROUP: &str = "resource.k8s.io";

pub(super) struct DeviceAccess(Arc<Listers>);

impl DeviceAccess {
    pub(super) fn new(listers: &Arc<Listers>) -> Self {
        Self(listers.clone())
    }
}

/// Where the list at `list` of an object asks for such access; `flag` leads there from a member.
fn asked(object: &Value, list: &str, flag: &str) -> Option<Path> {
    let mut members = tree::list(object, list).iter();
    let index = members.position(|member| tree::flag(member, flag))?;
    Some(Path::new(list).index(index).child("adminAccess"))
}

/// Where a write asks for such access; a spec that does not change and an allocation that had it ask for none.
fn place(attributes: &Attributes<'_>, new: &Value, old: Option<&Value>) -> Option<Path> {
    const RESULTS: &str = "status.allocation.devices.results";
    let is = |plural: &str| attributes.resource.is(GROUP, plural);
    match (attributes.subresource, old) {
        ("", None) if is("resourceclaims") => {
            asked(new, "spec.devices.requests", "exactly.adminAccess")
        }
        ("", None) if is("resourceclaimtemplates") => {
            let place = asked(new, "spec.spec.devices.requests", "exactly.adminAccess")?;
            // Upstream leaves out that the claim stands in a template.
            Some(Path::new(&place.as_str().replacen(
                "spec.spec.",
                "spec.",
                1,
            )))
        }
        ("status", Some(old)) if is("resourceclaims") => {
            let had = asked(old, RESULTS, "adminAccess").is_some();
            asked(new, RESULTS, "adminAccess").filter(|_| !had)
        }
        _ => None,
    }
}

#[async_trait]
impl Step for DeviceAccess {
    async fn validate(
        &self,
        attributes: &Attributes<'_>,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<()> {
        let Some(place) = new.and_then(|new| place(attributes, new, old)) else {
            return Ok(());
        };
        let namespace = self.0.namespaces.get("", attributes.namespace)?;
        if namespace.is_some_and(|namespace| namespace.gives_admin_access) {
            return Ok(());
        }
        let errors: ErrorList = field::forbidden(&place, DETAIL).into();
        let name = new.map_or("", object::name);
        Err(Status::invalid(&attributes.resource.gk(), name, &errors).into())
    }
}
