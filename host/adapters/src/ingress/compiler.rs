//! The component as the data plane's port, and its replacement while it runs.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use k3s_ingress::model::{Change, Interest, ObjectId};
use k3s_ingress::{Batch, Compiled, Compiler, CompilerError};
use k3s_plugin_host::{CallError, Host, LoadError, PluginState, Source, Status};
use k3s_wit_bindings::ingress::Ingress;
use tokio::sync::{Mutex, Notify};
use wasmtime::Store;

use super::open::{IngressOptions, Live, Objects, is_wanted, load, upsert};

/// Changes taken per call of the guest's `compile`; the answer stays below 4 MiB.
const CHANGES: u32 = 500;
/// After a failure that does not say when to come back.
const RETRY: Duration = Duration::from_millis(250);

/// Routes by plugin.
pub struct WasmCompiler {
    live: ArcSwap<Live>,
    objects: Objects,
    /// What the data plane follows: the first component's wishes.
    followed: OnceLock<Vec<Interest>>,
    /// Held during a call or a replacement; what a replacement decided until it is fetched.
    turn: Mutex<Option<Compiled>>,
    replaced: Notify,
}

/// Why the old component still runs.
#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    /// It cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// It failed with the objects there are.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It decides on objects that its predecessor did not ask for.
    #[error(
        "it asks for {0}, which the one that runs does not: it can take over at a restart of the server"
    )]
    NotFollowed(String),
    /// The server stops.
    #[error("the replacement was cut off")]
    Stopped,
}

impl WasmCompiler {
    pub(super) fn new(live: Live, objects: Objects) -> Self {
        let (turn, replaced) = (Mutex::default(), Notify::new());
        Self {
            live: ArcSwap::from_pointee(live),
            objects,
            followed: OnceLock::new(),
            turn,
            replaced,
        }
    }

    /// How the instance is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.live.load().plugin.status()
    }

    /// Puts another component in place of the running one: it is loaded, given all objects and has
    /// decided on them before it takes over. A component that fails in that never does.
    ///
    /// # Errors
    /// Why not; the old one goes on.
    pub async fn swap(
        &self,
        host: &Host,
        source: Source<'_>,
        options: IngressOptions,
    ) -> Result<(), SwapError> {
        // Compiling a component takes a while; the old one is called meanwhile.
        let new =
            tokio::task::block_in_place(|| load(host, source, options, self.objects.clone()))?;
        let new = Arc::new(new);
        let mut pending = self.turn.lock().await;
        let (objects, warmed) = (self.objects.clone(), new.clone());
        let decided =
            tokio::task::spawn_blocking(move || decide(&warmed, &objects, Batch::default()));
        let mut compiled = decided.await.map_err(|_| SwapError::Stopped)??;
        if let (Some(asked), Some(followed)) = (new.interests.get(), self.followed.get())
            && let Some(missing) = not_followed(asked, followed)
        {
            return Err(SwapError::NotFollowed(missing));
        }
        compiled.complete = true;
        *pending = Some(compiled);
        self.live.store(new);
        drop(pending);
        self.replaced.notify_one();
        Ok(())
    }
}

/// The first thing that is asked for and not followed.
fn not_followed(asked: &[Interest], followed: &[Interest]) -> Option<String> {
    for interest in asked {
        let same = |known: &&Interest| {
            (&known.group, &known.version, &known.plural, &known.kind)
                == (
                    &interest.group,
                    &interest.version,
                    &interest.plural,
                    &interest.kind,
                )
        };
        let Some(known) = followed.iter().find(same) else {
            return Some(interest.plural.clone());
        };
        let is_passed = |field: &str| {
            known.fields.iter().any(|part| {
                field
                    .strip_prefix(part.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        if let Some(field) = interest.fields.iter().find(|field| !is_passed(field)) {
            return Some(format!("{field} of {}", interest.plural));
        }
    }
    None
}

/// One call: everything new goes in, everything that follows comes out.
fn decide(live: &Live, objects: &Objects, batch: Batch) -> Result<Compiled, CallError> {
    let mut changes = live.plugin.call("compile", |bindings, store| {
        // Known from the instance's start on, which was before this.
        let asked = live.interests.get().map(Vec::as_slice).unwrap_or_default();
        let upserts = batch
            .upserts
            .into_iter()
            .filter(|o| is_wanted(asked, &o.key.group, &o.key.kind));
        upsert(bindings, store, upserts.collect())?;
        if !batch.removals.is_empty() {
            let taken = bindings.call_remove(&mut *store, &batch.removals)?;
            taken.map_err(|error| {
                wasmtime::Error::msg(format!("it does not give objects back: {error:?}"))
            })?;
        }
        all_changes(bindings, store)
    })?;
    let complete = live.fresh.swap(false, Ordering::SeqCst);
    let known = objects.lock();
    let before = changes.len();
    changes.retain(|change| match change {
        Change::Put(outcome) => known.contains_key(&ObjectId::from(&outcome.key)),
        Change::Gone(_) => true,
    });
    if changes.len() < before {
        tracing::warn!(
            count = before - changes.len(),
            "the ingress plugin decided on objects that do not exist"
        );
    }
    Ok(Compiled { complete, changes })
}

fn all_changes(
    bindings: &Ingress,
    store: &mut Store<PluginState<()>>,
) -> wasmtime::Result<Vec<Change>> {
    let mut all = Vec::new();
    // The guest's deadline ends this if it never says that it is done.
    loop {
        let some = bindings.call_compile(&mut *store, CHANGES)?;
        let some =
            some.map_err(|error| wasmtime::Error::msg(format!("it does not decide: {error:?}")))?;
        if some.is_empty() {
            return Ok(all);
        }
        all.extend(some);
    }
}

fn later(error: CallError) -> CompilerError {
    let retry_after = match &error {
        CallError::Restarting { retry_after, .. }
        | CallError::InputQuarantined { retry_after, .. }
        | CallError::Quarantined { retry_after, .. } => *retry_after,
        CallError::Trapped { .. } | CallError::NotStarted { .. } => RETRY,
    };
    CompilerError {
        message: error.to_string(),
        retry_after: retry_after.max(Duration::from_millis(1)),
    }
}

fn cut_off() -> CompilerError {
    CompilerError {
        message: "the call was cut off".to_owned(),
        retry_after: RETRY,
    }
}

#[async_trait]
impl Compiler for WasmCompiler {
    async fn interests(&self) -> Result<Vec<Interest>, CompilerError> {
        let _turn = self.turn.lock().await;
        let live = self.live.load_full();
        let call = move || {
            live.plugin
                .call("interests", |b, store| b.call_interests(store))
        };
        let asked = tokio::task::spawn_blocking(call)
            .await
            .map_err(|_| cut_off())?
            .map_err(later)?;
        Ok(self.followed.get_or_init(|| asked).clone())
    }

    async fn compile(&self, batch: Batch) -> Result<Compiled, CompilerError> {
        let mut pending = self.turn.lock().await;
        {
            let mut objects = self.objects.lock();
            for object in &batch.upserts {
                objects.insert(ObjectId::from(&object.key), object.json.clone());
            }
            for key in &batch.removals {
                objects.remove(&ObjectId::from(key));
            }
        }
        let (live, objects) = (self.live.load_full(), self.objects.clone());
        let decided = tokio::task::spawn_blocking(move || decide(&live, &objects, batch));
        let new = decided.await.map_err(|_| cut_off())?.map_err(later)?;
        // A replacement's first decisions, unless the instance was made anew since and repeats them.
        Ok(match pending.take() {
            Some(mut first) if !new.complete => {
                first.changes.extend(new.changes);
                first
            }
            _ => new,
        })
    }

    async fn changed(&self) {
        self.replaced.notified().await;
    }
}
