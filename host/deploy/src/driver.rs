//! The task that watches the folder and applies what changed in it.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::time::Duration;

use k3s_base::error::chain;
use k3s_base::{Backoff, BackoffPolicy};
use k3s_client::{DeleteParams, EventRecorder, EventType, Obj};
use k3s_lifecycle::Tasks;
use sha2::{Digest, Sha256};
use tracing::{debug, info, warn};

use crate::error::Error;
use crate::plan::FileState;
use crate::scan::{Found, MAX_FILE_BYTES};
use crate::watch::Watch;
use crate::{ManifestsConfig, addon, apply, packaged, parse, plan, scan};

/// Between attempts on a file that failed for a reason other than its text. K3s tries every 15 s.
const RETRY: BackoffPolicy = BackoffPolicy {
    base: Duration::from_millis(500),
    factor: 2.0,
    cap: Duration::from_secs(15),
    jitter: 0.2,
};

pub(crate) struct Driver {
    config: ManifestsConfig,
    events: EventRecorder,
    seen: HashMap<PathBuf, FileState>,
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
                warn!(error = chain(&error), dir = %self.config.dir.display(), "the manifests directory cannot be watched");
                return;
            }
        };
        loop {
            let found = self.scan().await;
            // A new folder may have received files before it was watched, so it is scanned again.
            if watch.set(&found.dirs) {
                continue;
            }
            self.apply_found(found).await;
            let next = self.next_retry();
            tokio::select! {
                () = watch.changed() => {}
                () = tokio::time::sleep(next.unwrap_or(Duration::MAX)), if next.is_some() => {}
            }
        }
    }

    /// Makes the folder, writes the server's own manifests, and defines the kind of AddOns.
    async fn prepare(&self) {
        let config = self.config.clone();
        let prepared = tokio::task::spawn_blocking(move || write_packaged(&config));
        if let Ok(Err(error)) = prepared.await {
            let dir = self.config.dir.display();
            warn!(error = chain(&error), %dir, "cannot make the manifests directory");
        }
        let mut backoff = RETRY.start();
        while let Err(error) = addon::define(&self.config.client).await {
            debug!(error = chain(&error), "cannot define AddOns yet");
            let delay = backoff.next_delay(&self.config.random);
            tokio::time::sleep(delay).await;
        }
    }

    async fn scan(&self) -> Found {
        let dir = self.config.dir.clone();
        let disabled = self.config.disabled.clone();
        let scanning = tokio::task::spawn_blocking(move || scan::scan(&dir, &disabled));
        let Ok(scanned) = scanning.await else {
            // The process is stopping.
            return Found::default();
        };
        match scanned {
            Ok(found) => found,
            Err(error) => {
                let dir = &self.config.dir;
                warn!(error = chain(&error), dir = %dir.display(), "cannot read the manifests directory");
                Found {
                    dirs: vec![dir.clone()],
                    ..Found::default()
                }
            }
        }
    }

    /// The time until the first failed file is tried again.
    fn next_retry(&self) -> Option<Duration> {
        let retries = self.seen.values();
        let retries = retries.filter_map(|seen| seen.retry_at);
        let first = retries.min()?;
        let now = self.config.clock.elapsed();
        Some(first.saturating_sub(now))
    }

    /// Applies and deletes what a scan found.
    async fn apply_found(&mut self, found: Found) {
        // Removing a file deletes nothing; if it returns, it counts as new.
        self.seen.retain(|path, _| {
            let is_file = found.files.contains(path);
            is_file || found.disabled.contains(path)
        });
        self.backoffs.retain(|path, _| self.seen.contains_key(path));
        for path in &found.disabled {
            self.disable_file(path).await;
        }
        for (path, name) in plan::names(&found.files) {
            self.apply_file(path, name).await;
        }
    }

    /// Reads one file, and applies it where it changed.
    async fn apply_file(&mut self, path: &Path, name: Result<String, Error>) {
        let text = read(path.to_owned()).await;
        let readable = text.as_deref().unwrap_or_default();
        let checksum = checksum(readable);
        let now = self.config.clock.elapsed();
        let seen = self.seen.get(path);
        if !plan::needs_work(seen, &checksum, now) {
            return;
        }
        let outcome = match (name, text) {
            (Err(error), _) => Err(error),
            (_, Err(error)) => Err(error),
            (Ok(name), Ok(text)) => {
                let applied = self.apply(&name, path, &text, &checksum);
                applied.await
            }
        };
        if let Err(error) = &outcome {
            let error = chain(error);
            let path = path.display();
            warn!(error, %path, "manifest is not applied");
        }
        self.remember(path, checksum, outcome);
    }

    /// Records the outcome for a file, and when to try it again.
    fn remember(&mut self, path: &Path, checksum: String, outcome: Result<(), Error>) {
        let retry_at = match outcome {
            Ok(()) => {
                self.backoffs.remove(path);
                None
            }
            Err(error) if error.is_permanent() => None,
            Err(_) => {
                let config = &self.config;
                let backoff = self.backoffs.entry(path.to_owned());
                let backoff = backoff.or_insert_with(|| RETRY.start());
                let delay = backoff.next_delay(&config.random);
                Some(config.clock.elapsed() + delay)
            }
        };
        let seen = FileState { checksum, retry_at };
        self.seen.insert(path.to_owned(), seen);
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
        let parsed = parse::objects(text, is_json(path));
        let objects = parsed.inspect_err(|error| {
            let attempt = format!("Parse manifest at {source:?}");
            self.record_failure(&addon, "ParseManifestFailed", &attempt, error);
        })?;
        let gvks: Vec<String> = plan::gvks(&objects).into_iter().collect();
        let gvks = gvks.join(";");

        let message = format!("Applying manifest at {source:?}");
        self.record(&addon, "ApplyingManifest", message);
        let before = addon::gvks(&addon);
        let applied = apply::apply(client, name, objects, &before).await;
        applied.inspect_err(|error| {
            let attempt = format!("Applying manifest at {source:?}");
            self.record_failure(&addon, "ApplyManifestFailed", &attempt, error);
        })?;
        addon::record_applied(client, &addon, &source, checksum, &gvks).await?;
        let message = format!("Applied manifest at {source:?}");
        self.record(&addon, "AppliedManifest", message);
        info!(path = source, "applied manifest");
        Ok(())
    }

    /// Deletes the objects of a disabled file, then its AddOn, then the file itself.
    async fn disable_file(&mut self, path: &Path) {
        let now = self.config.clock.elapsed();
        if let Some(seen) = self.seen.get(path) {
            let is_due = seen.retry_at.is_some_and(|at| at <= now);
            if !is_due {
                return;
            }
        }
        let outcome = self.delete(path).await;
        if let Err(error) = &outcome {
            let error = chain(error);
            let path = path.display();
            warn!(error, %path, "disabled manifest is not deleted");
        }
        self.remember(path, String::new(), outcome);
    }

    async fn delete(&self, path: &Path) -> Result<(), Error> {
        if let Ok(name) = scan::addon_name(path) {
            let found = addon::find(&self.config.client, &name).await?;
            if let Some(addon) = found {
                self.delete_addon(&name, &addon, path).await?;
            }
        }
        tokio::fs::remove_file(path).await?;
        info!(path = %path.display(), "deleted the manifest of a disabled component");
        Ok(())
    }

    /// Deletes an AddOn after its objects: those of the kinds that it records, and those in its file.
    async fn delete_addon(&self, name: &str, addon: &Obj, path: &Path) -> Result<(), Error> {
        let client = &self.config.client;
        let source = path.display();
        let message = format!("Deleting manifest at \"{source}\"");
        self.record(addon, "DeletingManifest", message);
        let mut kinds = kinds_of_file(path).await;
        kinds.extend(addon::gvks(addon));
        apply::remove(client, name, &kinds).await?;
        let params = DeleteParams::default();
        let deleted = client
            .delete(&addon::ADDONS, Some(addon::NAMESPACE), name, &params)
            .await;
        match deleted {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn record(&self, addon: &Obj, reason: &str, message: String) {
        self.events.event(addon, EventType::Normal, reason, message);
    }

    fn record_failure(&self, addon: &Obj, reason: &str, attempt: &str, error: &Error) {
        let cause = chain(error);
        let message = format!("{attempt} failed: {cause}");
        self.events
            .event(addon, EventType::Warning, reason, message);
    }
}

fn write_packaged(config: &ManifestsConfig) -> std::io::Result<()> {
    std::fs::create_dir_all(&config.dir)?;
    packaged::write(&config.dir, &config.packaged, &config.disabled);
    Ok(())
}

async fn read(path: PathBuf) -> Result<String, Error> {
    let metadata = tokio::fs::metadata(&path).await?;
    let bytes = metadata.len();
    if bytes > MAX_FILE_BYTES {
        return Err(Error::TooLarge {
            bytes,
            limit: MAX_FILE_BYTES,
        });
    }
    let text = tokio::fs::read_to_string(&path).await?;
    Ok(text)
}

/// The kinds in a file; none of a file that cannot be read.
async fn kinds_of_file(path: &Path) -> BTreeSet<String> {
    let Ok(text) = read(path.to_owned()).await else {
        return BTreeSet::new();
    };
    let objects = parse::objects(&text, is_json(path));
    let objects = objects.unwrap_or_default();
    plan::gvks(&objects)
}

fn is_json(path: &Path) -> bool {
    let Some(extension) = path.extension() else {
        return false;
    };
    extension.eq_ignore_ascii_case("json")
}

fn checksum(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
