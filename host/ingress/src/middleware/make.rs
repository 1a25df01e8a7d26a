//! From the contract's actions to layers.

use std::sync::Arc;

use super::Layer;
use crate::model::{Action, Middleware};
use crate::table::build::Making;

/// A layer; none while a Secret it needs is being read. The error is for the author of the object.
pub(crate) fn layer(_making: &mut Making<'_>, action: &Action) -> Result<Option<Arc<dyn Layer>>, String> {
    Err(format!("this kind of middleware is not supported: {}", name(action)))
}

/// Whether a layer may be kept when its object is made anew: those that follow from Secrets may not.
pub(crate) fn keeps(middleware: &Middleware) -> bool {
    !matches!(middleware.action, Action::BasicAuth(_) | Action::Errors(_))
}

fn name(action: &Action) -> String {
    let text = format!("{action:?}");
    text.split('(').take(2).last().unwrap_or_default().to_owned()
}
