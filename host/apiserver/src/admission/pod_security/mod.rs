//! PodSecurity: pods and pod templates against the Pod Security Standards that the namespace's labels
//! ask for (`staging/src/k8s.io/pod-security-admission`, KEP-2579).
//!
//! `enforce` refuses pods; `warn` warns about pods and about objects that will make them. `audit` would
//! go to an audit log, which this server does not keep.

mod baseline;
mod policy;
mod restricted;
mod subject;

use std::sync::Arc;

use async_trait::async_trait;
use k3s_meta::{ErrorList, GroupKind, Path, Status, field, object, tree};
use k3s_registry::{Attributes, ListRequest, Object, Operation, Registry, Result};
use serde_json::Value;

use super::listers::Listers;
use super::{Step, forbidden, is_write_of};
pub(in crate::admission) use policy::Policies;
use policy::{Mode, Setting};
use subject::Subject;

/// Where kinds that make pods keep the template.
const TEMPLATES: &[(&str, &str, &str)] = &[
    ("", "podtemplates", "template"),
    ("", "replicationcontrollers", "spec.template"),
    ("apps", "replicasets", "spec.template"),
    ("apps", "deployments", "spec.template"),
    ("apps", "statefulsets", "spec.template"),
    ("apps", "daemonsets", "spec.template"),
    ("batch", "jobs", "spec.template"),
    ("batch", "cronjobs", "spec.jobTemplate.spec.template"),
];
/// Existing pods that are checked when a namespace becomes stricter (upstream `defaultNamespaceMaxPodsToCheck`).
const MAX_PODS: usize = 3000;

pub(super) struct PodSecurity {
    registry: Registry,
    listers: Arc<Listers>,
}

impl PodSecurity {
    pub(super) fn new(registry: &Registry, listers: &Arc<Listers>) -> Self {
        Self {
            registry: registry.clone(),
            listers: listers.clone(),
        }
    }

    /// The policies of a namespace; those of one that does not exist ask for nothing.
    fn policies(&self, namespace: &str) -> Result<Policies> {
        let found = self.listers.namespaces.get("", namespace)?;
        Ok(found.map_or_else(Policies::default, |found| found.pod_security))
    }

    fn check_pod(&self, attributes: &Attributes<'_>, pod: &Value) -> Result<()> {
        let policies = self.policies(attributes.namespace)?;
        let subject = Subject::new(tree::get(pod, "metadata"), tree::get(pod, "spec"));
        let enforced = policies.get(Mode::Enforce);
        let violations = violations(enforced, &subject);
        if !violations.is_empty() {
            let text = format!(
                "violates PodSecurity {:?}: {violations}",
                enforced.to_string()
            );
            return Err(forbidden(attributes, object::name(pod), &text));
        }
        warn_of_violations(attributes, &policies, &subject);
        Ok(())
    }

    fn check_template(&self, attributes: &Attributes<'_>, template: &Value) -> Result<()> {
        let policies = self.policies(attributes.namespace)?;
        let subject = Subject::new(tree::get(template, "metadata"), tree::get(template, "spec"));
        warn_of_violations(attributes, &policies, &subject);
        Ok(())
    }

    async fn check_namespace(
        &self,
        attributes: &Attributes<'_>,
        new: &Value,
        old: Option<&Value>,
    ) -> Result<()> {
        let wrong = |namespace: &Value| policy::mistakes(&object::labels(namespace));
        let before = old.map(wrong).unwrap_or_default();
        let mistakes: Vec<_> = wrong(new)
            .into_iter()
            .filter(|mistake| !before.contains(mistake))
            .collect();
        if !mistakes.is_empty() {
            let labels = Path::new("metadata").child("labels");
            let mut errors = ErrorList::new();
            for (label, value, expected) in mistakes {
                errors.push(field::invalid(
                    &labels.key(&label),
                    &Value::from(value),
                    expected,
                ));
            }
            return Err(Status::invalid(
                &GroupKind::new("", "Namespace"),
                object::name(new),
                &errors,
            )
            .into());
        }
        let Some(old) = old else { return Ok(()) };
        let (before, now) = (Policies::of(old), Policies::of(new));
        let (before, now) = (before.get(Mode::Enforce), now.get(Mode::Enforce));
        if before != now && now.level > before.level {
            self.warn_of_existing(attributes, object::name(new), now)
                .await?;
        }
        Ok(())
    }

    /// One warning for the namespace, then one per kind of violation with the pods that have it.
    async fn warn_of_existing(
        &self,
        attributes: &Attributes<'_>,
        namespace: &str,
        setting: &Setting,
    ) -> Result<()> {
        let pods = self.registry.resource("", "v1", "pods")?;
        let list = self
            .registry
            .list(pods, &ListRequest::all(namespace))
            .await?;
        let mut found: Vec<(String, String, usize)> = Vec::new();
        for entry in list.entries.into_iter().take(MAX_PODS) {
            let pod = Object::stored(pods, entry).to_value()?;
            let subject = Subject::new(tree::get(&pod, "metadata"), tree::get(&pod, "spec"));
            let reasons = reasons(setting, &subject);
            if reasons.is_empty() {
                continue;
            }
            match found.iter_mut().find(|(known, ..)| *known == reasons) {
                Some((.., more)) => *more += 1,
                None => found.push((reasons, object::name(&pod).to_owned(), 0)),
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        attributes.warnings.add(format!(
            "existing pods in namespace {namespace:?} violate the new PodSecurity enforce level {:?}",
            setting.to_string()
        ));
        for (reasons, name, more) in found {
            let others = match more {
                0 => String::new(),
                1 => " (and 1 other pod)".to_owned(),
                more => format!(" (and {more} other pods)"),
            };
            attributes
                .warnings
                .add(format!("{name}{others}: {reasons}"));
        }
        Ok(())
    }
}

fn warn_of_violations(attributes: &Attributes<'_>, policies: &Policies, subject: &Subject<'_>) {
    let setting = policies.get(Mode::Warn);
    let violations = violations(setting, subject);
    if !violations.is_empty() {
        attributes.warnings.add(format!(
            "would violate PodSecurity {:?}: {violations}",
            setting.to_string()
        ));
    }
}

/// A violation: the reason, and where.
type Violation = (&'static str, String);

fn found(setting: &Setting, subject: &Subject<'_>) -> Vec<Violation> {
    let mut all = Vec::new();
    if setting.level >= policy::Level::Baseline {
        baseline::check(subject, setting, &mut all);
    }
    if setting.level >= policy::Level::Restricted {
        restricted::check(subject, &mut all);
    }
    all
}

/// As a sentence; empty when there is none.
fn violations(setting: &Setting, subject: &Subject<'_>) -> String {
    let shown: Vec<String> = found(setting, subject)
        .into_iter()
        .map(|(reason, detail)| {
            if detail.is_empty() {
                reason.to_owned()
            } else {
                format!("{reason} ({detail})")
            }
        })
        .collect();
    shown.join(", ")
}

fn reasons(setting: &Setting, subject: &Subject<'_>) -> String {
    found(setting, subject)
        .into_iter()
        .map(|(reason, _)| reason)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Whether an update could bring a violation: of what may change in a pod's spec only images and added
/// containers can (`isSignificantPodUpdate`).
fn is_significant(new: &Value, old: &Value) -> bool {
    let images = |pod: &Value| -> Vec<String> {
        subject::LISTS
            .iter()
            .flat_map(|list| tree::list(pod, &format!("spec.{list}")))
            .map(|c| format!("{}\n{}", tree::text(c, "name"), tree::text(c, "image")))
            .collect()
    };
    images(new) != images(old)
}

#[async_trait]
impl Step for PodSecurity {
    async fn validate(
        &self,
        attributes: &Attributes<'_>,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<()> {
        let Some(new) =
            new.filter(|_| matches!(attributes.operation, Operation::Create | Operation::Update))
        else {
            return Ok(());
        };
        if is_write_of(attributes, "", "namespaces") {
            return self.check_namespace(attributes, new, old).await;
        }
        if attributes.resource.is("", "pods")
            && matches!(attributes.subresource, "" | "ephemeralcontainers")
        {
            return if old.is_none_or(|old| is_significant(new, old)) {
                self.check_pod(attributes, new)
            } else {
                Ok(())
            };
        }
        let template = TEMPLATES
            .iter()
            .find(|(group, plural, _)| is_write_of(attributes, group, plural));
        match template.and_then(|(.., path)| tree::get(new, path)) {
            Some(template)
                if old.is_none_or(|old| template_of(old, attributes) != Some(template)) =>
            {
                self.check_template(attributes, template)
            }
            _ => Ok(()),
        }
    }
}

fn template_of<'a>(old: &'a Value, attributes: &Attributes<'_>) -> Option<&'a Value> {
    let (.., path) = TEMPLATES
        .iter()
        .find(|(group, plural, _)| is_write_of(attributes, group, plural))?;
    tree::get(old, path)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::policy::Level;
    use super::*;

    fn denial(level: Level, spec: &Value) -> String {
        let setting = Setting {
            level,
            ..Setting::default()
        };
        violations(&setting, &Subject::new(None, Some(spec)))
    }

    #[test]
    fn violations_are_told_in_upstreams_words() {
        let spec = json!({"hostNetwork": true, "hostPID": true, "volumes": [{"name": "h", "hostPath": {"path": "/"}}],
            "containers": [
                {"name": "a", "securityContext": {"privileged": true, "capabilities": {"add": ["NET_ADMIN", "CHOWN"]}}},
                {"name": "b", "ports": [{"hostPort": 80}], "securityContext": {"seccompProfile": {"type": "Unconfined"}}}]});
        assert_eq!(
            denial(Level::Baseline, &spec),
            "non-default capabilities (container \"a\" must not include \"NET_ADMIN\" in securityContext.capabilities.add), \
             host namespaces (hostNetwork=true, hostPID=true), hostPath volumes (volume \"h\"), \
             hostPort (container \"b\" uses hostPort 80), \
             privileged (container \"a\" must not set securityContext.privileged=true), \
             seccompProfile (container \"b\" must not set securityContext.seccompProfile.type to \"Unconfined\")"
        );
        assert_eq!(denial(Level::Privileged, &spec), "");
        assert_eq!(
            denial(Level::Restricted, &json!({"containers": [{"name": "c"}]})),
            "allowPrivilegeEscalation != false (container \"c\" must set securityContext.allowPrivilegeEscalation=false), \
             unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), \
             runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), \
             seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
        );
    }

    #[test]
    fn a_pod_that_gives_up_everything_is_restricted() {
        let spec = json!({"securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "volumes": [{"name": "e", "emptyDir": {}}],
            "containers": [{"name": "c", "securityContext": {"allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}}]});
        assert_eq!(denial(Level::Restricted, &spec), "");
        let mut root = spec;
        root["containers"][0]["securityContext"]["runAsUser"] = json!(0);
        root["volumes"][0] = json!({"name": "n", "nfs": {}});
        assert_eq!(
            denial(Level::Restricted, &root),
            "restricted volume types (volume \"n\" uses restricted volume type \"nfs\"), \
             runAsUser=0 (container \"c\" must not set runAsUser=0)"
        );
    }

    #[test]
    fn only_images_and_containers_matter_in_an_update() {
        let pod = |image: &str| json!({"spec": {"containers": [{"name": "c", "image": image}]}});
        assert!(!is_significant(&pod("a"), &pod("a")));
        assert!(is_significant(&pod("b"), &pod("a")));
    }
}
