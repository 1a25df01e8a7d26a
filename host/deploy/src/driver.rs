//! The task that follows the folder.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use k3s_base::{Backoff, BackoffPolicy};
use k3s_client::{EventRecorder, EventType, Obj};
use k3s_lifecycle::Tasks;
use sha2::{Digest, Sha256};
use tracing::{debug, info, warn};

use crate::plan::Seen;
use crate::scan::{Found, MAX_FILE_BYTES};
use crate::watch::Watch;
use crate::{Error, ManifestsConfig, addon, apply, packaged, parse, plan, scan};

/// Between tries of a file that failed for another reason than its text. K3s tries every 15 s.
const RETRY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(500),
    factor: 2.0,
    cap: Duration::from_secs(15),
    jitter: 0.2,
};

pub(crate) struct Driver {
    config: ManifestsConfig,
    events: EventRecorder,
    seen: HashMap<PathBuf, Seen>,
    backoffs: HashMap<PathBuf, Backoff>,
}

impl Driver {
    pub(crate) fn new(config: ManifestsConfig, tasks: &Tasks) -> Self {
        let events = EventRecorder::new(
            config.client.clone(),
            "deploy",
            "",
            config.clock.clone(),
            tasks,
        );
        Self {
            config,
            events,
            seen: HashMap::new(),
            backoffs: HashMap::new(),
        }
    }

    pub(crate) async fn run(mut self) {
        self.prepare().await;
        let mut watch = match Watch::new() {
            Ok(watch) => watch,
            Err(error) => {
                warn!(%error, dir = %self.config.dir.display(), "the manifests directory cannot be watched");
                return;
            }
        };
        loop {
            let found = self.scan().await;
            // A new folder may have got files before it was watched: it is looked at again.
            if watch.set(&found.dirs) {
                continue;
            }
            self.look(found).await;
            let next = self.next_retry();
            tokio::select! {
                () = watch.changed() => {}
                () = tokio::time::sleep(next.unwrap_or(Duration::MAX)), if next.is_some() => {}
            }
        }
    }

    /// The folder, what the server brings, and the kind of AddOns.
    async fn prepare(&self) {
        let config = self.config.clone();
        let prepared = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&config.dir)?;
            packaged::write(&config.dir, &config.packaged, &config.disabled);
            std::io::Result::Ok(())
        });
        if let Ok(Err(error)) = prepared.await {
            warn!(%error, dir = %self.config.dir.display(), "cannot make the manifests directory");
        }
        let mut backoff = RETRY.start();
        while let Err(error) = addon::define(&self.config.client).await {
            debug!(error = %error.chain(), "cannot define AddOns yet");
            tokio::time::sleep(backoff.next_delay(&self.config.random)).await;
        }
    }

    async fn scan(&self) -> Found {
        let (dir, disabled) = (self.config.dir.clone(), self.config.disabled.clone());
        match tokio::task::spawn_blocking(move || scan::scan(&dir, &disabled)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                warn!(%error, dir = %self.config.dir.display(), "cannot read the manifests directory");
                Found {
                    dirs: vec![self.config.dir.clone()],
                    ..Found::default()
                }
            }
            Err(_stopping) => Found::default(),
        }
    }

    /// The time until the first failed file is tried again.
    fn next_retry(&self) -> Option<Duration> {
        let now = self.config.clock.elapsed();
        self.seen
            .values()
            .filter_map(|seen| seen.retry_at)
            .min()
            .map(|at| at.saturating_sub(now))
    }

    async fn look(&mut self, found: Found) {
        // A file that is gone deletes nothing; if it comes again, it is new.
        self.seen
            .retain(|path, _| found.files.contains(path) || found.disabled.contains(path));
        self.backoffs.retain(|path, _| self.seen.contains_key(path));
        for path in &found.disabled {
            self.disable(path).await;
        }
        for (path, name) in plan::names(&found.files) {
            self.file(path, name).await;
        }
    }

    /// One file: read, and applied where it changed.
    async fn file(&mut self, path: &Path, name: Result<String, Error>) {
        let read = read(path.to_owned()).await;
        let text = read.as_deref().unwrap_or_default();
        let checksum = checksum(text);
        let now = self.config.clock.elapsed();
        if !plan::needs_work(self.seen.get(path), &checksum, now) {
            return;
        }
        let outcome = match (name, read) {
            (Err(error), _) | (_, Err(error)) => Err(error),
            (Ok(name), Ok(text)) => self.apply(&name, path, &text, &checksum).await,
        };
        let retry_at = match outcome {
            Ok(()) => {
                self.backoffs.remove(path);
                None
            }
            Err(error) => {
                warn!(error = %chain(&error), path = %path.display(), "manifest is not applied");
                let backoff = self
                    .backoffs
                    .entry(path.to_owned())
                    .or_insert_with(|| RETRY.start());
                (!error.is_permanent()).then(|| now + backoff.next_delay(&self.config.random))
            }
        };
        self.seen
            .insert(path.to_owned(), Seen { checksum, retry_at });
    }

    async fn apply(
        &self,
        name: &str,
        path: &Path,
        text: &str,
        checksum: &str,
    ) -> Result<(), Error> {
        let source = path.display().to_string();
        let client = &self.config.client;
        let addon = addon::ensure(client, name, &source).await?;
        let is_json = path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        let objects = match parse::objects(text, is_json) {
            Ok(objects) => objects,
            Err(error) => {
                let message = format!("Parse manifest at {source:?} failed: {error}");
                self.tell(&addon, EventType::Warning, "ParseManifestFailed", message);
                return Err(error);
            }
        };
        let gvks: Vec<String> = plan::gvks(&objects).into_iter().collect();
        self.tell(
            &addon,
            EventType::Normal,
            "ApplyingManifest",
            format!("Applying manifest at {source:?}"),
        );
        if let Err(error) = apply::apply(client, name, objects, &addon::gvks(&addon)).await {
            let message = format!("Applying manifest at {source:?} failed: {}", chain(&error));
            self.tell(&addon, EventType::Warning, "ApplyManifestFailed", message);
            return Err(error);
        }
        addon::note(client, &addon, &source, checksum, &gvks.join(";")).await?;
        self.tell(
            &addon,
            EventType::Normal,
            "AppliedManifest",
            format!("Applied manifest at {source:?}"),
        );
        info!(path = source, "applied manifest");
        Ok(())
    }

    /// What a disabled file made is deleted, then its AddOn, then the file itself.
    async fn disable(&mut self, path: &Path) {
        let now = self.config.clock.elapsed();
        if self
            .seen
            .get(path)
            .is_some_and(|seen| seen.retry_at.is_none_or(|at| at > now))
        {
            return;
        }
        let outcome = self.delete(path).await;
        let retry_at = match outcome {
            Ok(()) => None,
            Err(error) => {
                warn!(error = %chain(&error), path = %path.display(), "disabled manifest is not deleted");
                let backoff = self
                    .backoffs
                    .entry(path.to_owned())
                    .or_insert_with(|| RETRY.start());
                Some(now + backoff.next_delay(&self.config.random))
            }
        };
        self.seen.insert(
            path.to_owned(),
            Seen {
                checksum: String::new(),
                retry_at,
            },
        );
    }

    async fn delete(&self, path: &Path) -> Result<(), Error> {
        let client = &self.config.client;
        if let Ok(name) = scan::addon_name(path)
            && let Some(addon) = addon::find(client, &name).await?
        {
            let source = path.display();
            self.tell(
                &addon,
                EventType::Normal,
                "DeletingManifest",
                format!("Deleting manifest at \"{source}\""),
            );
            let mut kinds: BTreeSet<String> = addon::gvks(&addon).into_iter().collect();
            if let Ok(text) = read(path.to_owned()).await {
                kinds.extend(plan::gvks(
                    &parse::objects(&text, false).unwrap_or_default(),
                ));
            }
            apply::remove(client, &name, &kinds).await?;
            let params = k3s_client::DeleteParams::default();
            match client
                .delete(&addon::ADDONS, Some(addon::NAMESPACE), &name, &params)
                .await
            {
                Err(error) if !error.is_not_found() => return Err(error.into()),
                _ => {}
            }
        }
        tokio::fs::remove_file(path).await?;
        info!(path = %path.display(), "deleted the manifest of a disabled component");
        Ok(())
    }

    fn tell(&self, addon: &Obj, kind: EventType, reason: &str, message: String) {
        self.events.event(addon, kind, reason, message);
    }
}

async fn read(path: PathBuf) -> Result<String, Error> {
    let bytes = tokio::fs::metadata(&path).await?.len();
    if bytes > MAX_FILE_BYTES {
        return Err(Error::TooLarge {
            bytes,
            limit: MAX_FILE_BYTES,
        });
    }
    tokio::fs::read_to_string(&path).await.map_err(Error::from)
}

fn checksum(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The error and its causes in one line.
fn chain(error: &Error) -> String {
    match error {
        Error::Object { object, source } => format!("{object}: {}", source.chain()),
        other => other.to_string(),
    }
}
