//! Which Ingresses are ours.

use k3s_plugin_sdk::ingress::Key;

use crate::kinds;
use crate::objects::{Ingress, IngressClass};
use crate::view::View;

/// What IngressClasses name as their controller.
pub(crate) const CONTROLLER: &str = "traefik.io/ingress-controller";
/// The annotation that came before `ingressClassName`, and our value of it.
pub(crate) const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
const CLASS: &str = "traefik";
const DEFAULT_ANNOTATION: &str = "ingressclass.kubernetes.io/is-default-class";

/// The field decides, then the annotation; without both, the cluster's default class does.
pub(crate) fn is_ours(view: &View<'_>, ingress: &Ingress) -> bool {
    if let Some(name) = &ingress.spec.ingress_class_name {
        return has_our_controller(view, name);
    }
    match ingress
        .metadata
        .annotations
        .get(CLASS_ANNOTATION)
        .map(String::as_str)
    {
        None | Some("") => has_default(view),
        Some(class) => class == CLASS,
    }
}

/// Whether a class is of this controller.
pub(crate) fn has_our_controller(view: &View<'_>, class: &str) -> bool {
    let class = view.get::<IngressClass>(&Key::new(&kinds::INGRESS_CLASS, "", class));
    matches!(class, Some(Ok(class)) if class.spec.controller == CONTROLLER)
}

/// A class of ours is the default.
fn has_default(view: &View<'_>) -> bool {
    let is_default = |class: &IngressClass| {
        class.spec.controller == CONTROLLER
            && class
                .metadata
                .annotations
                .get(DEFAULT_ANNOTATION)
                .is_some_and(|value| value == "true")
    };
    view.list::<IngressClass>(&kinds::INGRESS_CLASS)
        .iter()
        .any(is_default)
}
