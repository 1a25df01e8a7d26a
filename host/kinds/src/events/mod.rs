//! Events in their newer form.

pub(crate) mod event;
