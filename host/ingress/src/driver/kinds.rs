//! The kinds that the plugin asked for, each with its informer: where objects are found.

use std::sync::{Arc, OnceLock};

use k3s_client::{Informer, Informers, Object, Resource, Subscription};

use super::crds;
use crate::model::{Interest, ObjectKey};

/// The kinds that are followed. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Kinds(Arc<[Kind]>);

/// One kind.
pub(crate) struct Kind {
    pub(crate) interest: Interest,
    /// Of an optional kind from the moment on that its definition is in force.
    informer: OnceLock<Informer>,
}

impl Kinds {
    pub(crate) fn new(interests: Vec<Interest>) -> Self {
        let kind = |interest: Interest| Kind {
            interest,
            informer: OnceLock::new(),
        };
        Self(interests.into_iter().map(kind).collect())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Kind> {
        self.0.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// By its place.
    pub(crate) fn get(&self, at: usize) -> Option<&Kind> {
        self.0.get(at)
    }

    /// The object as it is in the cluster.
    pub(crate) fn object(&self, key: &ObjectKey) -> Option<Object> {
        let is = |kind: &&Kind| kind.interest.group == key.group && kind.interest.kind == key.kind;
        let informer = self.iter().find(is)?.informer()?;
        informer.get(&k3s_client::key(&key.namespace, &key.name))
    }
}

impl Kind {
    /// None before it was opened.
    pub(crate) fn informer(&self) -> Option<&Informer> {
        self.informer.get()
    }

    /// Starts to follow it, if that was not done before.
    pub(crate) fn open(&self, informers: &Informers) -> Subscription {
        let informer = self
            .informer
            .get_or_init(|| informers.all(&resource(&self.interest)));
        informer.subscribe()
    }

    /// The name of a custom kind's definition.
    pub(crate) fn definition(&self) -> String {
        format!("{}.{}", self.interest.plural, self.interest.group)
    }

    /// Waits until a custom kind is served: asking before would only fail.
    pub(crate) async fn wait_for_definition(&self, informers: &Informers) {
        let name = self.definition();
        let mut events = informers.all(&crds::DEFINITIONS).subscribe();
        loop {
            let event = events.next().await;
            let (object, is_there) = (event.object(), !event.is_deleted());
            if object.name() == name && is_there && crds::is_established(object.value()) {
                return;
            }
        }
    }

    pub(crate) fn key_of(&self, object: &Object) -> ObjectKey {
        ObjectKey {
            group: self.interest.group.clone(),
            kind: self.interest.kind.clone(),
            namespace: object.namespace().to_owned(),
            name: object.name().to_owned(),
        }
    }
}

fn resource(interest: &Interest) -> Resource {
    Resource {
        group: interest.group.clone().into(),
        version: interest.version.clone().into(),
        plural: interest.plural.clone().into(),
        kind: interest.kind.clone().into(),
        namespaced: interest.namespaced,
    }
}
