//! Reviews of identities.

pub(crate) mod selfsubjectreview;
pub(crate) mod tokenrequest;
pub(crate) mod tokenreview;
