//! ResourceQuota: what a new or changed object uses is charged to the quotas of its namespace before it
//! is stored, and refused where it does not fit (`plugin/pkg/admission/resourcequota`).
//!
//! Quotas are first checked against the mirror, which costs nothing where there are none. The charge
//! itself is one optimistic update of the stored quota's status that checks again what it finds
//! there, so two writers cannot both take the last of it. The charge of a write that certainly was not made is taken
//! back at once, by what was charged and not by a count, so that it takes nothing from writers beside it. Where that is not
//! known (the client has left, the datastore was lost), the quota controller's recount gives it back.

use std::sync::Arc;

use async_trait::async_trait;
use k3s_base::error::chain;
use k3s_kinds::amounts::{Amounts, add};
use k3s_kinds::quota::{covers, missing, shown, usage};
use k3s_meta::quantity::Quantity;
use k3s_meta::{UserInfo, object, tree};
use k3s_registry::mirror::Decode;
use k3s_registry::{
    Attributes, Call, Error, Held, NoAdmission, Operation, Registry, Result, Scope, Share, Update,
    Warnings,
};
use serde_json::Value;

use super::listers::{Listers, ResourceQuota};
use super::{Step, forbidden, is_resize};

pub(super) struct QuotaStep {
    registry: Registry,
    listers: Arc<Listers>,
}

/// What one request uses more than before.
struct Charge<'a> {
    attributes: &'a Attributes<'a>,
    object: &'a Value,
    /// What the object uses.
    usage: Amounts,
    /// What it used before an update.
    previous: Amounts,
}

impl<'a> Charge<'a> {
    fn new(attributes: &'a Attributes<'a>, object: &'a Value, old: Option<&Value>) -> Self {
        let kind = attributes.resource.kind;
        let used_by = |object: &Value| usage(kind.group, kind.plural, object);
        Self {
            attributes,
            object,
            usage: used_by(object),
            previous: old.map(used_by).unwrap_or_default(),
        }
    }

    /// What this quota has to be charged: nothing where it does not count the object.
    ///
    /// # Errors
    /// When the object does not fit, or does not state what the quota limits.
    fn due(&self, quota: &ResourceQuota) -> Result<Amounts> {
        let kind = self.attributes.resource.kind;
        if !covers(&quota.scopes, kind.group, kind.plural, self.object) {
            return Ok(Amounts::new());
        }
        self.check_stated(quota)?;
        let due = self.increase(quota);
        self.check_counted(quota, &due)?;
        self.check_fits(quota, &due)?;
        Ok(due)
    }

    /// Where compute resources are limited, every container of a pod has to say what it wants.
    fn check_stated(&self, quota: &ResourceQuota) -> Result<()> {
        if !self.attributes.resource.is("", "pods") {
            return Ok(());
        }
        match missing(quota.hard.keys(), self.object) {
            Some(text) => Err(self.refused(&format!("failed quota: {}: {text}", quota.name))),
            None => Ok(()),
        }
    }

    /// What is used more than before. What an update gives back is counted by the controller.
    fn increase(&self, quota: &ResourceQuota) -> Amounts {
        let mut due = Amounts::new();
        for (resource, amount) in self.limited(quota) {
            let more = *amount - amount_of(&self.previous, resource);
            if !more.is_negative() && !more.is_zero() {
                due.insert(resource.clone(), more);
            }
        }
        due
    }

    /// Nothing is charged to a quota whose use the controller has not counted yet.
    fn check_counted(&self, quota: &ResourceQuota, due: &Amounts) -> Result<()> {
        let limited = self.limited(quota).map(|(resource, _)| resource.as_str());
        let uncounted: Vec<&str> = limited
            .filter(|resource| !quota.used.contains_key(*resource))
            .collect();
        if uncounted.is_empty() || due.is_empty() {
            return Ok(());
        }
        Err(self.refused(&format!(
            "status unknown for quota: {}, resources: {}",
            quota.name,
            uncounted.join(",")
        )))
    }

    fn check_fits(&self, quota: &ResourceQuota, due: &Amounts) -> Result<()> {
        let exceeds = |resource: &str, more: Quantity| {
            amount_of(&quota.used, resource) + more > amount_of(&quota.hard, resource)
        };
        let over: Vec<&String> = due
            .iter()
            .filter(|(resource, more)| exceeds(resource, **more))
            .map(|(resource, _)| resource)
            .collect();
        if over.is_empty() {
            return Ok(());
        }
        let only = |amounts: &Amounts| {
            let amounts = over.iter().map(|resource| {
                let resource = (*resource).clone();
                let amount = amount_of(amounts, &resource);
                (resource, amount)
            });
            shown(&amounts.collect())
        };
        Err(self.refused(&format!(
            "exceeded quota: {}, requested: {}, used: {}, limited: {}",
            quota.name,
            only(due),
            only(&quota.used),
            only(&quota.hard)
        )))
    }

    /// What the object uses of what the quota limits.
    fn limited(&self, quota: &ResourceQuota) -> impl Iterator<Item = (&String, &Quantity)> {
        let usage = self.usage.iter();
        usage.filter(|(resource, _)| quota.hard.contains_key(*resource))
    }

    fn refused(&self, text: &str) -> Error {
        forbidden(self.attributes, object::name(self.object), text)
    }
}

fn amount_of(amounts: &Amounts, resource: &str) -> Quantity {
    amounts.get(resource).copied().unwrap_or(Quantity::ZERO)
}

impl QuotaStep {
    pub(super) fn new(registry: &Registry, listers: &Arc<Listers>) -> Self {
        Self {
            registry: registry.clone(),
            listers: listers.clone(),
        }
    }

    /// Adds the charge to the stored quota, unless it no longer fits there; nothing where no quota was charged.
    async fn charge(
        &self,
        quota: &ResourceQuota,
        charge: &Charge<'_>,
    ) -> Result<Option<Box<Charged>>> {
        let attributes = charge.attributes;
        let (mut uid, mut total) = (String::new(), Amounts::new());
        let add_due = |stored: &mut Value| {
            // The mirror may be behind the quota that is charged now, so this is what decides.
            let quota = ResourceQuota::decode(stored);
            let mut used = quota.used.clone();
            let due = charge.due(&quota)?;
            add(&mut used, &due);
            write_used(stored, used);
            (uid, total) = (object::uid(stored).to_owned(), due);
            Ok(())
        };
        let place = (attributes.namespace, quota.name.as_str());
        let stored = change(&self.registry, place, attributes.user, add_due).await;
        match stored {
            Ok(()) => Ok(Some(Box::new(Charged {
                registry: self.registry.clone(),
                user: attributes.user.clone(),
                namespace: attributes.namespace.to_owned(),
                name: quota.name.clone(),
                uid,
                due: total,
            }))),
            // A quota that was deleted meanwhile limits nothing.
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What one quota was charged for one write.
struct Charged {
    registry: Registry,
    user: UserInfo,
    namespace: String,
    name: String,
    uid: String,
    due: Amounts,
}

#[async_trait]
impl Share for Charged {
    async fn give_back(self: Box<Self>) {
        let take_back = |stored: &mut Value| {
            // A namesake was made after the charge and does not hold it.
            if object::uid(stored) == self.uid {
                let mut used = ResourceQuota::decode(stored).used;
                subtract(&mut used, &self.due);
                write_used(stored, used);
            }
            Ok(())
        };
        let place = (self.namespace.as_str(), self.name.as_str());
        match change(&self.registry, place, &self.user, take_back).await {
            Err(error) if !error.is_not_found() => tracing::warn!(
                error = chain(&error),
                namespace = self.namespace,
                quota = self.name,
                "a quota keeps the charge of an object that was not stored until it is counted again"
            ),
            _ => {}
        }
    }
}

/// Takes away what was charged before; what is no longer there stays so.
fn subtract(used: &mut Amounts, due: &Amounts) {
    for (resource, amount) in due {
        if let Some(used) = used.get_mut(resource) {
            let left = *used - *amount;
            *used = if left.is_negative() {
                Quantity::ZERO
            } else {
                left
            };
        }
    }
}

/// One optimistic update of the status of the stored quota at `namespace` and `name`.
async fn change(
    registry: &Registry,
    (namespace, name): (&str, &str),
    user: &UserInfo,
    mut change: impl FnMut(&mut Value) -> Result<()> + Send,
) -> Result<()> {
    let warnings = Warnings::default();
    let call = Call {
        user,
        dry_run: false,
        admission: &NoAdmission,
        warnings: &warnings,
    };
    let update = Update {
        resource: registry.resource("", "v1", "resourcequotas")?,
        namespace,
        name,
        scope: Scope::Status,
        create_missing: false,
    };
    let make = |current: Option<&Value>| {
        let mut stored = current.cloned().unwrap_or_default();
        change(&mut stored)?;
        Ok(stored)
    };
    registry.update(&update, &call, make).await.map(drop)
}

fn write_used(quota: &mut Value, used: Amounts) {
    if let Some(map) = tree::ensure(quota, "status.used") {
        let used = used.into_iter();
        map.extend(used.map(|(name, amount)| (name, amount.to_string().into())));
    }
}

/// Whether quotas count the request at all.
fn is_counted(attributes: &Attributes<'_>) -> bool {
    let writes = matches!(attributes.operation, Operation::Create | Operation::Update);
    // Events are many, short-lived, and never counted.
    writes
        && (attributes.subresource.is_empty() || is_resize(attributes))
        && !attributes.namespace.is_empty()
        && attributes.resource.kind.plural != "events"
}

#[async_trait]
impl Step for QuotaStep {
    async fn hold(
        &self,
        attributes: &Attributes<'_>,
        new: &Value,
        old: Option<&Value>,
        held: &mut Held,
    ) -> Result<()> {
        if !is_counted(attributes) {
            return Ok(());
        }
        let quotas = self.listers.resource_quotas.list(attributes.namespace)?;
        if quotas.is_empty() {
            return Ok(());
        }
        let charge = Charge::new(attributes, new, old);
        // All are asked before any is charged, so that most refusals write nothing.
        let mut charged = Vec::new();
        for quota in &quotas {
            if !charge.due(quota)?.is_empty() {
                charged.push(quota);
            }
        }
        if attributes.dry_run {
            return Ok(());
        }
        for quota in charged {
            if let Some(share) = self.charge(quota, &charge).await? {
                held.add(share);
            }
        }
        Ok(())
    }
}
