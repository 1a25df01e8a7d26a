//! Priority: a pod's priority is that of its class.

use std::sync::Arc;

use async_trait::async_trait;
use k3s_meta::{object, tree};
use k3s_registry::{Attributes, Operation, Result};
use serde_json::Value;

use super::listers::{Listers, PriorityClass};
use super::{Step, forbidden, is_write_of};

const GROUP: &str = "scheduling.k8s.io";
/// What pods get whose class says nothing.
const DEFAULT_POLICY: &str = "PreemptLowerPriority";

pub(super) struct Priority(Arc<Listers>);

impl Priority {
    pub(super) fn new(listers: &Arc<Listers>) -> Self {
        Self(listers.clone())
    }

    /// The class of pods that name none: of several defaults, the one with the lowest value.
    fn default_class(&self) -> Result<Option<Arc<PriorityClass>>> {
        let classes = self.0.priority_classes.list("")?.into_iter();
        let defaults = classes.filter(|class| class.is_global_default);
        Ok(defaults.min_by_key(|class| class.value))
    }

    fn class_of(
        &self,
        attributes: &Attributes<'_>,
        pod: &Value,
    ) -> Result<Option<Arc<PriorityClass>>> {
        let name = tree::text(pod, "spec.priorityClassName");
        if name.is_empty() {
            return self.default_class();
        }
        let class = self.0.priority_classes.get("", name)?;
        if class.is_none() {
            let text = format!("no PriorityClass with name {name} was found");
            return Err(forbidden(attributes, object::name(pod), &text));
        }
        Ok(class)
    }

    /// Writes what the class says into a new pod, which must not say anything else itself.
    fn resolve_priority(&self, attributes: &Attributes<'_>, pod: &mut Value) -> Result<()> {
        let class = self.class_of(attributes, pod)?;
        let priority = class.as_ref().map_or(0, |class| class.value);
        let policy = class
            .as_ref()
            .map(|class| class.preemption_policy.as_str())
            .filter(|policy| !policy.is_empty())
            .unwrap_or(DEFAULT_POLICY);
        check_priority(attributes, pod, priority)?;
        check_policy(attributes, pod, policy)?;
        if let Some(class) = &class {
            // The name it has already, or that of the default class.
            let name = class.name.as_str();
            tree::set(pod, "spec.priorityClassName", name);
        }
        tree::set(pod, "spec.priority", priority);
        tree::set(pod, "spec.preemptionPolicy", policy);
        Ok(())
    }
}

fn check_priority(attributes: &Attributes<'_>, pod: &Value, computed: i64) -> Result<()> {
    match tree::int(pod, "spec.priority") {
        Some(given) if given != computed => {
            let text = format!(
                "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {computed} from the given PriorityClass name"
            );
            Err(forbidden(attributes, object::name(pod), &text))
        }
        _ => Ok(()),
    }
}

fn check_policy(attributes: &Attributes<'_>, pod: &Value, computed: &str) -> Result<()> {
    let given = tree::text(pod, "spec.preemptionPolicy");
    if given.is_empty() || given == computed {
        return Ok(());
    }
    let text = format!(
        "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission controller computed {computed} from the given PriorityClass name"
    );
    Err(forbidden(attributes, object::name(pod), &text))
}

/// Pods made before there were classes keep what they have.
fn keep_priority(pod: &mut Value, old: &Value) {
    for field in ["priority", "preemptionPolicy"] {
        if tree::get(pod, &format!("spec.{field}")).is_none()
            && let Some(kept) = tree::get(old, &format!("spec.{field}"))
        {
            tree::set(pod, &format!("spec.{field}"), kept.clone());
        }
    }
}

#[async_trait]
impl Step for Priority {
    async fn mutate(
        &self,
        attributes: &Attributes<'_>,
        new: &mut Value,
        old: Option<&Value>,
    ) -> Result<()> {
        if !is_write_of(attributes, "", "pods") {
            return Ok(());
        }
        match (attributes.operation, old) {
            (Operation::Create, _) => self.resolve_priority(attributes, new),
            (Operation::Update, Some(old)) => {
                keep_priority(new, old);
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
        let Some(class) = new.filter(|_| is_write_of(attributes, GROUP, "priorityclasses")) else {
            return Ok(());
        };
        if !tree::flag(class, "globalDefault") {
            return Ok(());
        }
        match self.default_class()? {
            Some(other) if other.name != object::name(class) => {
                let text = format!(
                    "PriorityClass {} is already marked as default. Only one default can exist",
                    other.name
                );
                Err(forbidden(attributes, object::name(class), &text))
            }
            _ => Ok(()),
        }
    }
}
