//! Reviews of permissions.

pub(crate) mod localsubjectaccessreview;
pub(crate) mod selfsubjectaccessreview;
pub(crate) mod selfsubjectrulesreview;
mod shared;
pub(crate) mod subjectaccessreview;
