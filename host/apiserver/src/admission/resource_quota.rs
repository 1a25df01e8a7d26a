//! ResourceQuota: what a new or changed object uses is charged to the quotas of its namespace before it
//! is stored, and refused where it does not fit (`plugin/pkg/admission/resourcequota`).
//!
//! A charge is one optimistic update of the quota's status, so two writers cannot both take the last of
//! it. An object that is charged and then not stored is given back by the quota controller's recount.

use std::sync::Arc;

use async_trait::async_trait;
use k3s_kinds::amounts::{Amounts, add, amounts};
use k3s_kinds::quota::{covers, missing, shown, usage};
use k3s_meta::quantity::Quantity;
use k3s_meta::{Status, object};
use k3s_registry::{
    Attributes, Call, Error, ListRequest, NoAdmission, Object, Operation, Registry, Resource,
    Result, Scope, Update,
};
use serde_json::Value;

use super::Step;

pub(super) struct ResourceQuota(Registry);

/// What the request wants charged, and its refusals.
struct Charge<'a> {
    attributes: &'a Attributes<'a>,
    object: &'a Value,
    /// What the object uses, and what it used before.
    usage: Amounts,
    before: Amounts,
}

impl Charge<'_> {
    fn refused(&self, text: &str) -> Error {
        Status::forbidden(
            &self.attributes.resource.gr(),
            object::name(self.object),
            text,
        )
        .into()
    }

    /// What this quota has to be charged: nothing where it does not count the object.
    fn due(&self, quota: &Value) -> Result<Amounts> {
        let spec = object::at(quota, &["spec"]).unwrap_or(&Value::Null);
        let kind = self.attributes.resource.kind;
        if !covers(spec, kind.group, kind.plural, self.object) {
            return Ok(Amounts::new());
        }
        let name = object::name(quota);
        // As upstream, a quota limits what the controller has taken note of.
        let hard = amounts(quota, "status.hard");
        if self.attributes.resource.is("", "pods")
            && let Some(text) = missing(hard.keys(), self.object)
        {
            return Err(self.refused(&format!("failed quota: {name}: {text}")));
        }
        let known = amounts(quota, "status.used");
        let mut due = Amounts::new();
        let mut unknown = Vec::new();
        for (resource, amount) in self
            .usage
            .iter()
            .filter(|(resource, _)| hard.contains_key(*resource))
        {
            if !known.contains_key(resource) {
                unknown.push(resource.as_str());
            }
            let more = *amount - self.before.get(resource).copied().unwrap_or(Quantity::ZERO);
            // What an update gives back is counted by the controller.
            if !more.is_negative() && !more.is_zero() {
                due.insert(resource.clone(), more);
            }
        }
        if !unknown.is_empty() && !due.is_empty() {
            return Err(self.refused(&format!(
                "status unknown for quota: {name}, resources: {}",
                unknown.join(",")
            )));
        }
        self.check(name, &hard, &known, &due)?;
        Ok(due)
    }

    fn check(&self, name: &str, hard: &Amounts, used: &Amounts, due: &Amounts) -> Result<()> {
        let of =
            |list: &Amounts, resource: &str| list.get(resource).copied().unwrap_or(Quantity::ZERO);
        let over: Vec<&String> = due
            .iter()
            .filter(|(r, more)| of(used, r) + **more > of(hard, r))
            .map(|(r, _)| r)
            .collect();
        if over.is_empty() {
            return Ok(());
        }
        let only = |list: &Amounts| -> String {
            shown(
                &over
                    .iter()
                    .map(|resource| ((*resource).clone(), of(list, resource)))
                    .collect(),
            )
        };
        let text = format!(
            "exceeded quota: {name}, requested: {}, used: {}, limited: {}",
            only(due),
            only(used),
            only(hard)
        );
        Err(self.refused(&text))
    }
}

impl ResourceQuota {
    pub(super) fn new(registry: &Registry) -> Self {
        Self(registry.clone())
    }

    async fn quotas(&self, quotas: &Arc<Resource>, namespace: &str) -> Result<Vec<Value>> {
        let list = self.0.list(quotas, &ListRequest::all(namespace)).await?;
        list.entries
            .into_iter()
            .map(|entry| Object::stored(quotas, entry).to_value())
            .collect()
    }

    async fn charge(
        &self,
        quotas: &Arc<Resource>,
        quota: &Value,
        charge: &Charge<'_>,
    ) -> Result<()> {
        let Attributes {
            namespace,
            user,
            warnings,
            ..
        } = *charge.attributes;
        let call = Call {
            user,
            dry_run: false,
            admission: &NoAdmission,
            warnings,
        };
        let name = object::name(quota);
        let update = Update {
            resource: quotas,
            namespace,
            name,
            scope: Scope::Status,
            create_missing: false,
        };
        let charged = self.0.update(&update, &call, |current| {
            let mut quota = current.cloned().unwrap_or_default();
            let mut used = amounts(&quota, "status.used");
            add(&mut used, &charge.due(&quota)?);
            if let Some(map) = object::map_mut(&mut quota, &["status", "used"]) {
                map.extend(
                    used.into_iter()
                        .map(|(name, amount)| (name, amount.to_string().into())),
                );
            }
            Ok(quota)
        });
        match charged.await {
            // A quota that went meanwhile limits nothing.
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(drop),
        }
    }
}

#[async_trait]
impl Step for ResourceQuota {
    async fn validate(
        &self,
        attributes: &Attributes<'_>,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<()> {
        let writes = matches!(attributes.operation, Operation::Create | Operation::Update);
        // Events are many, short-lived, and never counted.
        let whole = attributes.subresource.is_empty()
            && !attributes.namespace.is_empty()
            && attributes.resource.kind.plural != "events";
        let Some(object) = new.filter(|_| writes && whole) else {
            return Ok(());
        };
        let quotas = self.0.resource("", "v1", "resourcequotas")?.clone();
        let all = self.quotas(&quotas, attributes.namespace).await?;
        if all.is_empty() {
            return Ok(());
        }
        let kind = attributes.resource.kind;
        let charge = Charge {
            attributes,
            object,
            usage: usage(kind.group, kind.plural, object),
            before: old
                .map(|old| usage(kind.group, kind.plural, old))
                .unwrap_or_default(),
        };
        // All are asked before any is charged.
        let mut due = Vec::new();
        for quota in &all {
            if !charge.due(quota)?.is_empty() {
                due.push(quota);
            }
        }
        if attributes.dry_run {
            return Ok(());
        }
        for quota in due {
            self.charge(&quotas, quota, &charge).await?;
        }
        Ok(())
    }
}
