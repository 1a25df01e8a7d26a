//! Dynamic resource allocation.

mod deviceclass;
pub(crate) mod resourceclaim;
mod resourceclaimtemplate;
mod resourceslice;

use crate::rules::KindRules;

/// Rules of a kind of the group `resource.k8s.io`.
pub(crate) fn rules(kind: &str) -> Option<&'static dyn KindRules> {
    Some(match kind {
        "DeviceClass" => &deviceclass::DeviceClass,
        "ResourceClaim" => &resourceclaim::ResourceClaim,
        "ResourceClaimTemplate" => &resourceclaimtemplate::ResourceClaimTemplate,
        "ResourceSlice" => &resourceslice::ResourceSlice,
        _ => return None,
    })
}
