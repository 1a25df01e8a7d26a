//! DefaultIngressClass: an Ingress that says nothing about its class gets the default one; of several
//! the newest, as upstream since 1.26. One that has the annotation from before there were classes, or
//! names the empty class, keeps what it says.

use std::sync::Arc;

use async_trait::async_trait;
use k3s_meta::{object, tree};
use k3s_registry::{Attributes, Operation, Result};
use serde_json::Value;

use super::listers::{IngressClass, Listers};
use super::{Step, is_write_of};

const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

pub(super) struct DefaultIngressClass(Arc<Listers>);

impl DefaultIngressClass {
    pub(super) fn new(listers: &Arc<Listers>) -> Self {
        Self(listers.clone())
    }
}

/// Of those made in the same second, the one whose name comes first.
fn newest_default(classes: &[Arc<IngressClass>]) -> Option<&IngressClass> {
    let defaults = classes.iter().filter(|class| class.is_default);
    let newest = defaults.min_by(|a, b| {
        let newer = b.created_at.cmp(&a.created_at);
        newer.then_with(|| a.name.cmp(&b.name))
    });
    newest.map(|class| &**class)
}

fn names_class(ingress: &Value) -> bool {
    tree::get(ingress, "spec.ingressClassName").is_some()
        || object::annotation(ingress, CLASS_ANNOTATION).is_some()
}

#[async_trait]
impl Step for DefaultIngressClass {
    async fn mutate(
        &self,
        attributes: &Attributes<'_>,
        ingress: &mut Value,
        _: Option<&Value>,
    ) -> Result<()> {
        let creates = attributes.operation == Operation::Create
            && is_write_of(attributes, "networking.k8s.io", "ingresses");
        if !creates || names_class(ingress) {
            return Ok(());
        }
        let classes = self.0.ingress_classes.list("")?;
        if let Some(class) = newest_default(&classes) {
            let name = class.name.as_str();
            tree::set(ingress, "spec.ingressClassName", name);
        }
        Ok(())
    }
}
