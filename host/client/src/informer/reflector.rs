//! The task behind an informer: list, watch from there, and start over where the watch cannot go
//! on.

use std::time::Duration;

use futures_util::StreamExt;
use k3s_base::{Backoff, BackoffPolicy, Clock, Random};
use tracing::{debug, warn};

use super::Scope;
use super::cache::Cache;
use crate::client::Client;
use crate::error::{Error, Result};
use crate::object::Object;
use crate::params::{ListParams, WatchParams};
use crate::resource::Resource;
use crate::verbs::Form;
use crate::watch::WatchEvent;

/// Between failed tries, as client-go's reflector.
const BACKOFF: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(200),
    factor: 2.0,
    cap: Duration::from_secs(30),
    jitter: 1.0,
};
/// A connection that held this long ends a row of failures.
const STEADY: Duration = Duration::from_secs(60);
/// Watches end after 5 to 10 minutes, spread out so that they do not all come back at once.
const WATCH_SECONDS: u32 = 300;

pub(super) struct Reflector {
    pub(super) client: Client,
    pub(super) clock: Clock,
    pub(super) random: Random,
    pub(super) resource: Resource,
    pub(super) scope: Scope,
    pub(super) cache: std::sync::Arc<Cache>,
}

impl Reflector {
    pub(super) async fn run(self) {
        let mut backoff = BACKOFF.start();
        // `None`: list first.
        let mut version: Option<String> = None;
        loop {
            let started = self.clock.elapsed();
            let result = self.round(&mut version).await;
            if self.clock.elapsed().saturating_sub(started) >= STEADY {
                backoff.reset();
            }
            match result {
                Ok(()) => {
                    self.cache.set_error(None);
                    // A server that ends watches at once must not be asked in a tight loop.
                    if self.clock.elapsed().saturating_sub(started) < Duration::from_secs(1) {
                        tokio::time::sleep(backoff.next_delay(&self.random)).await;
                    }
                }
                Err(error) => self.failed(error, &mut version, &mut backoff).await,
            }
        }
    }

    async fn failed(&self, error: Error, version: &mut Option<String>, backoff: &mut Backoff) {
        let resource = &self.resource;
        if error.is_gone() {
            debug!(%resource, "the watch is too old, listing again");
            *version = None;
            self.cache.set_error(None);
            // The first relist is free; a row of them is not.
            if backoff.tries() == 0 {
                backoff.next_delay(&self.random);
                return;
            }
        } else if backoff.tries() >= 3 {
            warn!(%resource, error = %error.chain(), "cannot list and watch");
        } else {
            debug!(%resource, error = %error.chain(), "cannot list and watch");
        }
        // A server that answers anything but 410 may have lost the version too; only a broken
        // connection is known to leave it valid.
        if !error.is_unreachable() {
            *version = None;
        }
        self.cache.set_error(Some(error));
        tokio::time::sleep(backoff.next_delay(&self.random)).await;
    }

    async fn round(&self, version: &mut Option<String>) -> Result<()> {
        let from = match version {
            Some(from) => from.clone(),
            None => self.list().await?,
        };
        *version = Some(from.clone());
        self.watch(from, version).await
    }

    async fn list(&self) -> Result<String> {
        let params = ListParams {
            label_selector: self.scope.label_selector.clone(),
            field_selector: self.scope.field_selector.clone(),
            ..ListParams::default()
        };
        let list = self
            .client
            .pages(&self.resource, self.namespace(), &params, self.form())
            .await?;
        let objects = list.items.into_iter().map(|object| self.projected(object));
        self.cache.replace(objects.collect::<Result<_>>()?);
        self.cache.set_error(None);
        Ok(list.resource_version)
    }

    async fn watch(&self, from: String, version: &mut Option<String>) -> Result<()> {
        let spread = self.random.below(u64::from(WATCH_SECONDS));
        let params = WatchParams {
            label_selector: self.scope.label_selector.clone(),
            field_selector: self.scope.field_selector.clone(),
            timeout: Some(WATCH_SECONDS + u32::try_from(spread).unwrap_or(0)),
            ..WatchParams::default()
        };
        let mut events = self
            .client
            .events(
                &self.resource,
                self.namespace(),
                &params,
                &from,
                self.form(),
            )
            .await?;
        self.cache.set_error(None);
        while let Some(event) = events.next().await {
            let seen = match event? {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    let seen = object.resource_version().to_owned();
                    self.cache.put(self.projected(object)?);
                    seen
                }
                WatchEvent::Deleted(object) => {
                    self.cache.remove(&object);
                    self.client.shared().forget(object.uid());
                    object.resource_version().to_owned()
                }
                WatchEvent::Bookmark {
                    resource_version, ..
                } => resource_version,
            };
            if !seen.is_empty() {
                *version = Some(seen);
            }
        }
        Ok(())
    }

    fn form(&self) -> Form {
        if self.scope.metadata_only {
            Form::Metadata
        } else {
            Form::Whole
        }
    }

    fn namespace(&self) -> Option<&str> {
        self.scope.namespace.as_deref()
    }

    /// The object as the cache keeps it.
    fn projected(&self, object: Object) -> Result<Object> {
        // A server may not know the projection and send whole objects.
        let object = if self.scope.metadata_only {
            object.metadata_only()?
        } else {
            object
        };
        Ok(self.client.shared().share(object))
    }
}
