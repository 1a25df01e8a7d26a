//! Reviews of permissions.

mod localsubjectaccessreview;
mod selfsubjectaccessreview;
mod selfsubjectrulesreview;
mod shared;
mod subjectaccessreview;

use crate::rules::KindRules;

/// Rules of a kind of the group `authorization.k8s.io`.
pub(crate) fn rules(kind: &str) -> Option<&'static dyn KindRules> {
    Some(match kind {
        "LocalSubjectAccessReview" => &localsubjectaccessreview::LocalSubjectAccessReview,
        "SelfSubjectAccessReview" => &selfsubjectaccessreview::SelfSubjectAccessReview,
        "SelfSubjectRulesReview" => &selfsubjectrulesreview::SelfSubjectRulesReview,
        "SubjectAccessReview" => &subjectaccessreview::SubjectAccessReview,
        _ => return None,
    })
}
