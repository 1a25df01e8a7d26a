//! Reviews of identities.

mod selfsubjectreview;
mod tokenrequest;
mod tokenreview;

use crate::rules::KindRules;

/// Rules of a kind of the group `authentication.k8s.io`.
pub(crate) fn rules(kind: &str) -> Option<&'static dyn KindRules> {
    Some(match kind {
        "SelfSubjectReview" => &selfsubjectreview::SelfSubjectReview,
        "TokenRequest" => &tokenrequest::TokenRequest,
        "TokenReview" => &tokenreview::TokenReview,
        _ => return None,
    })
}
