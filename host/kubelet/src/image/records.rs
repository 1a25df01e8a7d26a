//! Who may use an image that is on the node: it remembers with whose credentials the kubelet has pulled it
//! (`pkg/kubelet/images/pullmanager`, in its file format), so that an image pulled with one tenant's secret
//! is not free for all. A pod that shows no known credentials has to pull it itself.
//!
//! The policy is upstream's default `NeverVerifyPreloadedImages`: an image that the kubelet has never pulled
//! is for everybody.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use k3s_base::Clock;
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const API_VERSION: &str = "kubelet.config.k8s.io/v1beta1";
/// Secrets remembered for one name of an image; one beyond that has to pull again.
const SECRETS_LIMIT: usize = 100;

/// A pull secret, and what it held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PullSecret {
    pub(crate) uid: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// A digest of the credentials.
    pub(crate) credential_hash: String,
}

impl PullSecret {
    /// The same object; what it holds may have changed.
    fn is_same_object(&self, other: &Self) -> bool {
        (&self.uid, &self.namespace, &self.name) == (&other.uid, &other.namespace, &other.name)
    }
}

/// Who has pulled an image under one of its names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Credentials {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kubernetes_secrets: Vec<PullSecret>,
    /// Without a pod's credentials: every pod of the node may use it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    node_pods_accessible: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pulled {
    kind: String,
    api_version: String,
    last_updated_time: Timestamp,
    /// The runtime's name for the image.
    image_ref: String,
    /// By the image's name without tag and digest.
    #[serde(default)]
    credential_mapping: BTreeMap<String, Credentials>,
}

/// A pull that has begun: until its record is written, the image counts as pulled with unknown credentials.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Intent {
    kind: String,
    api_version: String,
    image: String,
}

/// Whether a pod may use an image that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Granted,
    /// With one of these secrets, or one that holds the same.
    WithSecret(Vec<PullSecret>),
    MustPull,
}

/// See the module.
pub(crate) struct PullRecords {
    pulling: PathBuf,
    pulled: PathBuf,
    clock: Clock,
    /// Pulls under way, by image.
    under_way: Mutex<HashMap<String, usize>>,
}

/// A pull under way. One that is dropped without a result may have succeeded: its intent stays.
pub(super) struct Pull<'a> {
    records: &'a PullRecords,
    image: String,
}

impl Pull<'_> {
    /// The image is there: by a pod's secret, or without one.
    pub(super) fn succeed(self, image_ref: &str, secret: Option<&PullSecret>) {
        let credentials = Credentials {
            kubernetes_secrets: secret.into_iter().cloned().collect(),
            node_pods_accessible: secret.is_none(),
        };
        let noted = self.records.note(&self.image, image_ref, Some(credentials));
        match noted {
            Ok(()) => self.fail(),
            // The intent stays, so that the image still counts as pulled by the kubelet.
            Err(error) => tracing::warn!(image = self.image, %error, "the pull is not recorded"),
        }
    }

    /// No image has come of it, or its record is written.
    pub(super) fn fail(self) {
        let under_way = self.records.under_way.lock();
        let is_last = under_way.get(&self.image).is_none_or(|count| *count <= 1);
        if !is_last {
            return;
        }
        let removed = k3s_sys::fs::remove_all(&file(&self.records.pulling, &self.image));
        if let Err(error) = removed {
            tracing::debug!(image = self.image, %error, "the intent to pull is not removed");
        }
    }
}

impl Drop for Pull<'_> {
    fn drop(&mut self) {
        let mut under_way = self.records.under_way.lock();
        if let Some(count) = under_way.get_mut(&self.image) {
            *count -= 1;
        }
        under_way.retain(|_, count| *count > 0);
    }
}

impl PullRecords {
    /// Opens the records below the kubelet's root directory.
    pub(crate) fn open(root: &Path, clock: Clock) -> io::Result<Self> {
        let dir = root.join("image_manager");
        let records = Self {
            pulling: dir.join("pulling"),
            pulled: dir.join("pulled"),
            clock,
            under_way: Mutex::default(),
        };
        for dir in [&records.pulling, &records.pulled] {
            k3s_sys::fs::create_dirs(dir, 0o700)?;
        }
        Ok(records)
    }

    /// Turns pulls that an earlier process did not see the end of into records without credentials.
    /// `images` are those of the runtime: ID and names.
    pub(super) fn adopt(&self, images: &[(String, Vec<String>)]) {
        for intent in all::<Intent>(&self.pulling) {
            let holds =
                |names: &Vec<String>| names.iter().any(|name| is_called(name, &intent.image));
            let found = images.iter().find(|(_, names)| holds(names));
            let noted = match found {
                Some((id, _)) => self.note(&intent.image, id, None),
                None => Ok(()),
            };
            if noted.is_ok() && !self.is_under_way(&intent.image) {
                let _ = k3s_sys::fs::remove_all(&file(&self.pulling, &intent.image));
            }
        }
    }

    /// Before a pull: the image is not free should the process end before the record is written.
    pub(super) fn begin(&self, image: &str) -> io::Result<Pull<'_>> {
        let mut under_way = self.under_way.lock();
        let intent = Intent {
            kind: "ImagePullIntent".to_owned(),
            api_version: API_VERSION.to_owned(),
            image: image.to_owned(),
        };
        write(&file(&self.pulling, image), &intent)?;
        *under_way.entry(image.to_owned()).or_default() += 1;
        Ok(Pull {
            records: self,
            image: image.to_owned(),
        })
    }

    /// Who may use the image that is there under this name.
    pub(super) fn access(&self, image: &str, image_ref: &str) -> Access {
        let record = match self.record(image_ref) {
            Ok(record) => record,
            Err(error) => {
                tracing::warn!(image, %error, "a record of a pull cannot be read");
                return Access::MustPull;
            }
        };
        let Some(record) = record else {
            let is_pulling = self.is_under_way(image) || file(&self.pulling, image).exists();
            return if is_pulling {
                Access::MustPull
            } else {
                Access::Granted
            };
        };
        match record.credential_mapping.get(repository(image)) {
            Some(known) if known.node_pods_accessible => Access::Granted,
            Some(known) if !known.kubernetes_secrets.is_empty() => {
                Access::WithSecret(known.kubernetes_secrets.clone())
            }
            _ => Access::MustPull,
        }
    }

    /// Whether one of the pod's secrets is among those that have pulled the image; remembers what is new of
    /// it.
    pub(super) fn admit(
        &self,
        image: &str,
        image_ref: &str,
        known: &[PullSecret],
        shown: &[PullSecret],
    ) -> bool {
        let fits = |shown: &&PullSecret| {
            let holds_same = |known: &PullSecret| known.credential_hash == shown.credential_hash;
            known
                .iter()
                .any(|known| holds_same(known) || known.is_same_object(shown))
        };
        let Some(shown) = shown.iter().find(fits) else {
            return false;
        };
        if !known.contains(shown) && known.len() < SECRETS_LIMIT {
            let credentials = Credentials {
                kubernetes_secrets: vec![shown.clone()],
                node_pods_accessible: false,
            };
            if let Err(error) = self.note(image, image_ref, Some(credentials)) {
                tracing::warn!(image, %error, "the use of a secret is not recorded");
            }
        }
        true
    }

    /// Forgets images that the runtime had not at `since` and that were not pulled after it.
    pub(super) fn prune(&self, image_refs: &[String], since: Timestamp) {
        for record in all::<Pulled>(&self.pulled) {
            let is_there = image_refs.contains(&record.image_ref);
            if !is_there && record.last_updated_time < since {
                let _ = k3s_sys::fs::remove_all(&file(&self.pulled, &record.image_ref));
            }
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn is_under_way(&self, image: &str) -> bool {
        self.under_way.lock().contains_key(image)
    }

    fn record(&self, image_ref: &str) -> io::Result<Option<Pulled>> {
        let record = read::<Pulled>(&file(&self.pulled, image_ref))?;
        Ok(record.filter(|record| record.image_ref == image_ref))
    }

    /// Adds to the record of an image; without credentials it only says that the kubelet has pulled it.
    fn note(
        &self,
        image: &str,
        image_ref: &str,
        credentials: Option<Credentials>,
    ) -> io::Result<()> {
        let _one_at_a_time = self.under_way.lock();
        let mut record = match self.record(image_ref) {
            Ok(Some(record)) => record,
            // A damaged record is replaced by what is known for certain.
            Ok(None) | Err(_) => Pulled {
                kind: "ImagePulledRecord".to_owned(),
                api_version: API_VERSION.to_owned(),
                last_updated_time: self.clock.now(),
                image_ref: image_ref.to_owned(),
                credential_mapping: BTreeMap::new(),
            },
        };
        if let Some(credentials) = credentials {
            let name = repository(image).to_owned();
            let known = record.credential_mapping.entry(name).or_default();
            merge(known, credentials);
        }
        record.last_updated_time = self.clock.now();
        write(&file(&self.pulled, image_ref), &record)
    }
}

fn merge(known: &mut Credentials, new: Credentials) {
    if known.node_pods_accessible || new.node_pods_accessible {
        *known = Credentials {
            node_pods_accessible: true,
            ..Credentials::default()
        };
        return;
    }
    for secret in new.kubernetes_secrets {
        known
            .kubernetes_secrets
            .retain(|old| !old.is_same_object(&secret));
        known.kubernetes_secrets.push(secret);
    }
}

/// The image's name without tag and digest.
fn repository(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    match name.rsplit_once(':') {
        // Else the colon is a port's.
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    }
}

/// Whether a full name of the runtime is what a pod calls the image.
fn is_called(full: &str, image: &str) -> bool {
    let short = full.strip_prefix("docker.io/");
    let shortest = short.and_then(|short| short.strip_prefix("library/"));
    full == image || short == Some(image) || shortest == Some(image)
}

/// Names of images are no file names.
fn file(dir: &Path, name: &str) -> PathBuf {
    let digest = Sha256::digest(name.as_bytes());
    let hex: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
    dir.join(format!("sha256-{hex}"))
}

fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Everything of a folder that can be read.
fn all<T: DeserializeOwned>(dir: &Path) -> Vec<T> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let found = entries.filter_map(|entry| match read::<T>(&entry.path()) {
        Ok(document) => document,
        Err(error) => {
            tracing::warn!(path = %entry.path().display(), %error, "a record of a pull cannot be read");
            None
        }
    });
    found.collect()
}

fn write(path: &Path, document: &impl Serialize) -> io::Result<()> {
    let bytes = serde_json::to_vec(document).map_err(io::Error::other)?;
    k3s_sys::fs::write_atomic(path, &bytes, 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: &str = "reg:5000/team/app:1";
    const ID: &str = "sha256:1";

    fn records(dir: &Path) -> PullRecords {
        PullRecords::open(dir, Clock::system()).unwrap()
    }

    fn secret(name: &str, hash: &str) -> PullSecret {
        PullSecret {
            uid: format!("uid-{name}"),
            namespace: "ns".to_owned(),
            name: name.to_owned(),
            credential_hash: hash.to_owned(),
        }
    }

    /// Whether a pod with these secrets may use the image.
    fn may_use(records: &PullRecords, image: &str, shown: &[PullSecret]) -> bool {
        match records.access(image, ID) {
            Access::Granted => true,
            Access::WithSecret(known) => records.admit(image, ID, &known, shown),
            Access::MustPull => false,
        }
    }

    fn pull(records: &PullRecords, secret: Option<&PullSecret>) {
        records.begin(IMAGE).unwrap().succeed(ID, secret);
    }

    #[test]
    fn an_image_is_for_those_who_show_the_credentials_it_was_pulled_with() {
        let dir = tempfile::tempdir().unwrap();
        let own = secret("own", "hash");
        let before = records(dir.path());
        assert!(may_use(&before, IMAGE, &[]), "it was preloaded");
        pull(&before, Some(&own));
        // Also after a restart.
        let records = records(dir.path());
        assert!(!may_use(&records, IMAGE, &[]));
        assert!(!may_use(&records, IMAGE, &[secret("other", "else")]));
        assert!(may_use(
            &records,
            IMAGE,
            &[secret("other", "else"), own.clone()]
        ));
        assert!(may_use(
            &records,
            "reg:5000/team/app:2",
            std::slice::from_ref(&own)
        ));
        assert!(!may_use(&records, "reg:5000/other/name:1", &[own]));
        // The same content, and then the same object with new content.
        let copy = secret("copy", "hash");
        assert!(may_use(&records, IMAGE, &[copy]));
        let renewed = secret("copy", "new");
        assert!(may_use(&records, IMAGE, &[renewed]));
        assert!(may_use(&records, IMAGE, &[secret("third", "new")]));
    }

    #[test]
    fn an_image_pulled_without_a_secret_is_for_everybody() {
        let dir = tempfile::tempdir().unwrap();
        let records = records(dir.path());
        pull(&records, Some(&secret("own", "hash")));
        pull(&records, None);
        assert!(may_use(&records, IMAGE, &[]));
    }

    #[test]
    fn a_pull_whose_end_was_not_seen_makes_nothing_free() {
        let dir = tempfile::tempdir().unwrap();
        drop(records(dir.path()).begin(IMAGE).unwrap());
        let records = records(dir.path());
        assert!(!may_use(&records, IMAGE, &[]));
        records.adopt(&[(ID.to_owned(), vec![IMAGE.to_owned()])]);
        assert!(!may_use(&records, IMAGE, &[]));
        assert_eq!(std::fs::read_dir(&records.pulling).unwrap().count(), 0);
    }

    #[test]
    fn a_failed_pull_leaves_no_trace_but_one_under_way_stays() {
        let dir = tempfile::tempdir().unwrap();
        let records = records(dir.path());
        let first = records.begin(IMAGE).unwrap();
        let second = records.begin(IMAGE).unwrap();
        first.fail();
        assert!(!may_use(&records, IMAGE, &[]));
        second.fail();
        assert!(may_use(&records, IMAGE, &[]));
    }

    #[test]
    fn a_damaged_record_makes_nothing_free() {
        let dir = tempfile::tempdir().unwrap();
        let records = records(dir.path());
        pull(&records, Some(&secret("own", "hash")));
        std::fs::write(file(&records.pulled, ID), b"{").unwrap();
        assert!(!may_use(&records, IMAGE, &[secret("own", "hash")]));
        pull(&records, Some(&secret("own", "hash")));
        assert!(may_use(&records, IMAGE, &[secret("own", "hash")]));
    }

    #[test]
    fn records_of_removed_images_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let records = records(dir.path());
        let before = records.now();
        pull(&records, Some(&secret("own", "hash")));
        records.prune(&[], before);
        assert!(!may_use(&records, IMAGE, &[]), "it was pulled meanwhile");
        records.prune(&[ID.to_owned()], records.now());
        assert!(!may_use(&records, IMAGE, &[]));
        records.prune(&[], records.now());
        assert!(may_use(&records, IMAGE, &[]));
    }

    #[test]
    fn files_are_those_of_upstream() {
        let dir = tempfile::tempdir().unwrap();
        let records = records(dir.path());
        let image =
            "testing@sha256:f24acc752be18b93b0504c86312bbaf482c9efb0c45e925bbccb0a591cebd7af";
        let _pull = records.begin(image).unwrap();
        let name = "sha256-7ffc99ef20589dc844b202c4cba501d1aaf06d1481935aa1e160029afd639847";
        let text = std::fs::read_to_string(records.pulling.join(name)).unwrap();
        assert_eq!(
            text,
            format!(
                r#"{{"kind":"ImagePullIntent","apiVersion":"kubelet.config.k8s.io/v1beta1","image":"{image}"}}"#
            )
        );
    }

    #[test]
    fn repositories_have_ports_but_no_tags() {
        for (image, name) in [
            ("nginx:1", "nginx"),
            ("reg:5000/a", "reg:5000/a"),
            ("reg:5000/a:1@sha256:00", "reg:5000/a"),
        ] {
            assert_eq!(repository(image), name);
        }
    }
}
