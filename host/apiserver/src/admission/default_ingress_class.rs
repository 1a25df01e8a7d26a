//! DefaultIngressClass: an Ingress that says nothing about its class gets the default one; of several
//! the newest, as upstream since 1.26. One that has the annotation from before there were classes, or
//! names the empty class, keeps what it says.

use async_trait::async_trait;
use k3s_meta::object;
use k3s_registry::{Attributes, ListRequest, Object, Operation, Registry, Result};
use serde_json::Value;

use super::{Step, is};

const GROUP: &str = "networking.k8s.io";
const DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

pub(super) struct DefaultIngressClass(Registry);

impl DefaultIngressClass {
    pub(super) fn new(registry: &Registry) -> Self {
        Self(registry.clone())
    }

    async fn default_class(&self) -> Result<Option<Value>> {
        let classes = self.0.resource(GROUP, "v1", "ingressclasses")?;
        let entries = self.0.list(classes, &ListRequest::all("")).await?.entries;
        let all: Vec<Value> = entries
            .into_iter()
            .map(|entry| Object::stored(classes, entry).to_value())
            .collect::<Result<_>>()?;
        Ok(newest_default(all))
    }
}

/// Of those made in the same second, the one whose name comes first.
fn newest_default(classes: Vec<Value>) -> Option<Value> {
    let defaults = classes
        .into_iter()
        .filter(|class| object::annotation(class, DEFAULT) == Some("true"));
    defaults.min_by(|a, b| {
        let newer = object::creation_timestamp(b).cmp(&object::creation_timestamp(a));
        newer.then_with(|| object::name(a).cmp(object::name(b)))
    })
}

fn says_its_class(ingress: &Value) -> bool {
    object::at(ingress, &["spec", "ingressClassName"]).is_some_and(|class| !class.is_null())
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
        let concerns =
            attributes.operation == Operation::Create && is(attributes, GROUP, "ingresses");
        if !concerns || says_its_class(ingress) {
            return Ok(());
        }
        if let Some(class) = self.default_class().await? {
            object::set(
                ingress,
                &["spec", "ingressClassName"],
                object::name(&class).into(),
            );
        }
        Ok(())
    }
}
