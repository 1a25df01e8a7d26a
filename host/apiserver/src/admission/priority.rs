//! Priority: a pod's priority is that of its class.

use async_trait::async_trait;
use k3s_meta::{Status, object};
use k3s_registry::{Attributes, ListRequest, Object, Operation, Registry, Result};
use serde_json::Value;

use super::{Step, find, is};

const GROUP: &str = "scheduling.k8s.io";

pub(super) struct Priority(Registry);

impl Priority {
    pub(super) fn new(registry: &Registry) -> Self {
        Self(registry.clone())
    }

    /// The class pods get that name none: of several, the one with the lowest value.
    async fn default_class(&self) -> Result<Option<Value>> {
        let classes = self.0.resource(GROUP, "v1", "priorityclasses")?;
        let list = self.0.list(classes, &ListRequest::all("")).await?;
        let mut found: Option<Value> = None;
        for entry in list.entries {
            let class = Object::stored(classes, entry).to_value()?;
            let lower = found
                .as_ref()
                .is_none_or(|other| value_of(&class) < value_of(other));
            if object::at_bool(&class, &["globalDefault"]) && lower {
                found = Some(class);
            }
        }
        Ok(found)
    }

    async fn pod(&self, attributes: &Attributes<'_>, pod: &mut Value) -> Result<()> {
        let refuse =
            |text: String| Status::forbidden(&attributes.resource.gr(), object::name(pod), &text);
        let named = object::at_str(pod, &["spec", "priorityClassName"]).to_owned();
        let class =
            if named.is_empty() {
                self.default_class().await?
            } else {
                let class = find(&self.0, GROUP, "priorityclasses", "", &named)?;
                Some(class.ok_or_else(|| {
                    refuse(format!("no PriorityClass with name {named} was found"))
                })?)
            };
        let priority = class.as_ref().map_or(0, value_of);
        let policy = class
            .as_ref()
            .map(|class| object::at_str(class, &["preemptionPolicy"]).to_owned());
        let policy = policy
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| "PreemptLowerPriority".to_owned());
        if object::at_i64(pod, &["spec", "priority"]).is_some_and(|given| given != priority) {
            let given = object::at_i64(pod, &["spec", "priority"]).unwrap_or(0);
            return Err(refuse(format!(
                "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {priority} from the given PriorityClass name"
            ))
            .into());
        }
        let given = object::at_str(pod, &["spec", "preemptionPolicy"]);
        if !given.is_empty() && given != policy {
            return Err(refuse(format!(
                "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
            ))
            .into());
        }
        if named.is_empty()
            && let Some(class) = &class
        {
            object::set(
                pod,
                &["spec", "priorityClassName"],
                object::name(class).into(),
            );
        }
        object::set(pod, &["spec", "priority"], priority.into());
        object::set(pod, &["spec", "preemptionPolicy"], policy.into());
        Ok(())
    }
}

fn value_of(class: &Value) -> i64 {
    object::at_i64(class, &["value"]).unwrap_or(0)
}

#[async_trait]
impl Step for Priority {
    async fn mutate(
        &self,
        attributes: &Attributes<'_>,
        new: &mut Value,
        old: Option<&Value>,
    ) -> Result<()> {
        if !is(attributes, "", "pods") {
            return Ok(());
        }
        match (attributes.operation, old) {
            (Operation::Create, _) => self.pod(attributes, new).await,
            (Operation::Update, Some(old)) => {
                // Pods made before there were classes keep what they have.
                for field in ["priority", "preemptionPolicy"] {
                    if object::at(new, &["spec", field]).is_none_or(Value::is_null)
                        && let Some(kept) = object::at(old, &["spec", field])
                    {
                        object::set(new, &["spec", field], kept.clone());
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn validate(
        &self,
        attributes: &Attributes<'_>,
        new: Option<&Value>,
        _: Option<&Value>,
    ) -> Result<()> {
        let Some(class) = new.filter(|_| is(attributes, GROUP, "priorityclasses")) else {
            return Ok(());
        };
        if !object::at_bool(class, &["globalDefault"]) {
            return Ok(());
        }
        match self.default_class().await? {
            Some(other) if object::name(&other) != object::name(class) => {
                let text = format!(
                    "PriorityClass {} is already marked as default. Only one default can exist",
                    object::name(&other)
                );
                Err(Status::forbidden(&attributes.resource.gr(), object::name(class), &text).into())
            }
            _ => Ok(()),
        }
    }
}
