//! Where admission joins a write. The chain itself is the API server's.

use async_trait::async_trait;
use k3s_meta::UserInfo;
use serde_json::Value;

use crate::call::Warnings;
use crate::error::Result;
use crate::resource::Resource;

/// What is about to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new object.
    Create,
    /// A changed object.
    Update,
    /// The object is deleted.
    Delete,
    /// A connection to something behind the object (exec, proxy).
    Connect,
}

impl Operation {
    /// As admission reviews spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// The circumstances that admission decides on.
#[derive(Clone, Copy)]
pub struct Attributes<'a> {
    /// What is about to happen.
    pub operation: Operation,
    /// To which resource.
    pub resource: &'a Resource,
    /// To which subresource; empty for the object itself.
    pub subresource: &'a str,
    /// In which namespace; empty for cluster-scoped resources.
    pub namespace: &'a str,
    /// To which object; empty while a new one has no name yet.
    pub name: &'a str,
    /// Who asks.
    pub user: &'a UserInfo,
    /// Nothing will be stored.
    pub dry_run: bool,
    /// Where texts for the client go that are no errors.
    pub warnings: &'a Warnings,
}

/// The chain: all mutating steps run before validation, all validating ones after.
#[async_trait]
pub trait Admission: Send + Sync {
    /// May change `new`.
    async fn mutate(
        &self,
        attributes: &Attributes<'_>,
        new: &mut Value,
        old: Option<&Value>,
    ) -> Result<()>;

    /// May only refuse. A delete has no `new`.
    async fn validate(
        &self,
        attributes: &Attributes<'_>,
        new: Option<&Value>,
        old: Option<&Value>,
    ) -> Result<()>;

    /// Sets aside what a create or an update takes, such as a part of a quota: the last thing before the write, once
    /// every step has admitted it. Refuses what there is no room for. Sets nothing aside in a dry run.
    async fn hold(&self, _: &Attributes<'_>, _new: &Value, _old: Option<&Value>) -> Result<Held> {
        Ok(Held::default())
    }
}

/// Something that was set aside for one write.
#[async_trait]
pub trait Share: Send {
    /// The write was certainly not made.
    async fn give_back(self: Box<Self>);
}

/// All that was set aside for one write. Dropped, it is kept: the write was made, or may have been.
#[derive(Default)]
pub struct Held(Vec<Box<dyn Share>>);

impl Held {
    /// Adds a part.
    pub fn add(&mut self, share: Box<dyn Share>) {
        self.0.push(share);
    }

    /// Gives everything back, unless the write may have been made.
    pub async fn settle(self, may_be_made: bool) {
        if may_be_made {
            return;
        }
        for share in self.0 {
            share.give_back().await;
        }
    }
}

/// Admits everything: for the server's own bootstrap.
#[derive(Clone, Copy, Debug)]
pub struct NoAdmission;

#[async_trait]
impl Admission for NoAdmission {
    async fn mutate(&self, _: &Attributes<'_>, _: &mut Value, _: Option<&Value>) -> Result<()> {
        Ok(())
    }

    async fn validate(
        &self,
        _: &Attributes<'_>,
        _: Option<&Value>,
        _: Option<&Value>,
    ) -> Result<()> {
        Ok(())
    }
}
