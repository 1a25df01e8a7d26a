//! What the contract of storage provisioners promises, tried on a component with a temporary folder as the
//! node's disk.

use std::path::{Path, PathBuf};

use k3s_adapters::storage::{CONTRACT, StorageOptions, StorageProvisioner, open_storage};
use k3s_base::error::chain;
use k3s_storage::{Claim, Class, Existing, Node, ProvisionError, Provisioner, Request, Volume};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::suite::{Case, CheckError, Tried, Verdict, ensure, refuses_unknown};

const NODE: &str = "node-1";
const HOSTNAME: &str = "kubernetes.io/hostname";
const MIB: u64 = 1 << 20;

/// One component with one granted folder, and one beside it that was not granted.
struct Rig {
    provisioner: StorageProvisioner,
    root: PathBuf,
    precious: PathBuf,
    _disk: TempDir,
}

/// A provisioner over `root`.
fn open(tried: Tried<'_>, root: &Path, config: Vec<u8>) -> Result<StorageProvisioner, CheckError> {
    let options = StorageOptions {
        config,
        roots: vec![root.to_owned()],
        environment: Tried::environment(),
    };
    Ok(open_storage(tried.host, tried.source, options)?)
}

/// What the server gives every provisioner: K3s' `config.json`.
fn given(root: &Path) -> Value {
    json!({"nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [root]}]})
}

impl Rig {
    fn new(tried: Tried<'_>, unknown: bool) -> Result<Self, CheckError> {
        let disk = tempfile::tempdir()?;
        // The temporary folder may be reached through a link, which the host would not follow.
        let base = disk.path().canonicalize()?;
        let (root, outside) = (base.join("storage"), base.join("outside"));
        std::fs::create_dir(&outside)?;
        let precious = outside.join("precious");
        std::fs::write(&precious, "x")?;
        let config = if unknown {
            tried.config_with_unknown(given(&root))
        } else {
            tried.config(given(&root))
        };
        Ok(Self {
            provisioner: open(tried, &root, config)?,
            root,
            precious,
            _disk: disk,
        })
    }

    fn refuses_to_start(&self) -> Verdict {
        tokio::task::block_in_place(|| refuses_unknown(self.provisioner.battery().start()))
    }

    /// Provisions, and checks what it says it made.
    async fn provision(&self, name: &str) -> Verdict<Volume> {
        let made = self.provisioner.provision(request(name)).await;
        let volume = made.map_err(|error| format!("provision {name}: {}", chain(&error)))?;
        let path = Path::new(&volume.path);
        let plain = path.is_absolute() && path.components().all(|part| part.as_os_str() != "..");
        let inside = plain && path.starts_with(&self.root) && path != self.root;
        ensure(
            inside,
            &format!(
                "volume {name} is at {:?}, which is not below the granted folder",
                volume.path
            ),
        )?;
        ensure(
            path.is_dir(),
            &format!(
                "volume {name} is reported at {:?}, where no directory is",
                volume.path
            ),
        )?;
        let (asked, made) = (request(name).claim.capacity_bytes, volume.capacity_bytes);
        ensure(
            made >= asked,
            &format!("{asked} bytes were asked for, volume {name} has {made}"),
        )?;
        Ok(volume)
    }
}

fn node() -> Node {
    Node {
        name: NODE.to_owned(),
        labels: vec![(HOSTNAME.to_owned(), NODE.to_owned())],
    }
}

fn class() -> Class {
    let annotations = vec![("defaultVolumeType".to_owned(), "local".to_owned())];
    Class {
        name: "check".to_owned(),
        annotations,
        parameters: Vec::new(),
    }
}

fn request(name: &str) -> Request {
    Request {
        volume_name: format!("pvc-{name}"),
        claim: Claim {
            namespace: "default".to_owned(),
            name: name.to_owned(),
            uid: name.to_owned(),
            labels: Vec::new(),
            annotations: Vec::new(),
            access_modes: vec!["ReadWriteOnce".to_owned()],
            capacity_bytes: 64 * MIB,
            block: false,
            has_selector: false,
        },
        class: class(),
        node: Some(node()),
    }
}

/// A volume as the host gives it back.
fn existing(name: &str, volume: &Volume) -> Existing {
    Existing {
        volume_name: format!("pvc-{name}"),
        path: volume.path.clone(),
        capacity_bytes: volume.capacity_bytes,
        annotations: volume.annotations.clone(),
    }
}

pub(crate) async fn run(tried: Tried<'_>) -> Result<Vec<Case>, CheckError> {
    // Refused before anything is tried.
    tried.host.load(tried.source, &CONTRACT)?;
    let rig = || Rig::new(tried, false);
    let unknown = Rig::new(tried, true)?;
    let mut cases = Vec::new();
    let mut case = |name, outcome| cases.push(Case { name, outcome });
    case("unknown settings are refused", unknown.refuses_to_start());
    case(
        "a volume is a directory below the granted folder, for its node",
        makes(&rig()?).await,
    );
    case(
        "the same request again gets the same volume, with its data",
        repeats(&rig()?).await,
    );
    case(
        "two claims get two volumes, neither inside the other",
        separates(&rig()?).await,
    );
    case(
        "delete removes a volume with its data, also twice, and no other",
        deletes(&rig()?).await,
    );
    case(
        "what is not a volume is not deleted, nor reported as deleted",
        spares(&rig()?).await,
    );
    case(
        "a raw device is refused, as a directory cannot be one",
        refuses_block(&rig()?).await,
    );
    case(
        "a volume grows to what was asked for, or not at all",
        grows(&rig()?).await,
    );
    case("the capacity is reported", reports_capacity(&rig()?).await);
    case(
        "a fresh instance continues where the last one failed",
        survives_a_restart(tried, &rig()?).await,
    );
    Ok(cases)
}

async fn makes(rig: &Rig) -> Verdict {
    let volume = rig.provision("a").await?;
    let Some(affinity) = volume.affinity else {
        return Ok(());
    };
    let label = node()
        .labels
        .into_iter()
        .find(|(key, _)| *key == affinity.key)
        .map(|(_, value)| value);
    let fits = label.is_some_and(|value| affinity.values.contains(&value));
    ensure(
        fits,
        &format!(
            "the volume may be used where {} is one of {:?}, not on its node",
            affinity.key, affinity.values
        ),
    )
}

async fn repeats(rig: &Rig) -> Verdict {
    let first = rig.provision("a").await?;
    let data = Path::new(&first.path).join("data");
    std::fs::write(&data, "kept")
        .map_err(|error| format!("nobody can write into the volume: {error}"))?;
    let second = rig.provision("a").await?;
    ensure(
        first.path == second.path,
        &format!(
            "first it was at {:?}, then at {:?}",
            first.path, second.path
        ),
    )?;
    ensure(
        data.exists(),
        "what was in the volume is gone after the second call",
    )
}

async fn separates(rig: &Rig) -> Verdict {
    let (a, b) = (rig.provision("a").await?, rig.provision("b").await?);
    let apart =
        !Path::new(&a.path).starts_with(&b.path) && !Path::new(&b.path).starts_with(&a.path);
    ensure(
        apart,
        &format!(
            "two claims share a directory: {:?} and {:?}",
            a.path, b.path
        ),
    )
}

async fn deletes(rig: &Rig) -> Verdict {
    let (a, b) = (rig.provision("a").await?, rig.provision("b").await?);
    std::fs::create_dir_all(Path::new(&a.path).join("deep/down")).map_err(|error| chain(&error))?;
    for turn in ["delete", "delete of what is gone"] {
        let done = rig.provisioner.delete(existing("a", &a)).await;
        done.map_err(|error| format!("{turn}: {}", chain(&error)))?;
        ensure(
            !Path::new(&a.path).exists(),
            &format!("{turn}: {:?} is still there", a.path),
        )?;
    }
    ensure(Path::new(&b.path).is_dir(), "another volume went with it")
}

/// Whoever may write PersistentVolumes may point one anywhere.
async fn spares(rig: &Rig) -> Verdict {
    let volume = rig.provision("a").await?;
    let outside = rig
        .precious
        .parent()
        .unwrap_or(&rig.root)
        .display()
        .to_string();
    for path in [
        outside,
        rig.root.join("../outside").display().to_string(),
        rig.root.display().to_string(),
    ] {
        let odd = Volume {
            path: path.clone(),
            ..volume.clone()
        };
        let done = rig.provisioner.delete(existing("odd", &odd)).await;
        ensure(
            done.is_err(),
            &format!("it says that it deleted {path:?}, which is not a volume"),
        )?;
        ensure(
            rig.precious.exists() && Path::new(&volume.path).is_dir(),
            &format!("delete of {path:?} deleted"),
        )?;
    }
    Ok(())
}

async fn refuses_block(rig: &Rig) -> Verdict {
    let mut wanted = request("a");
    wanted.claim.block = true;
    match rig.provisioner.provision(wanted).await {
        Err(ProvisionError::Refused(_)) => Ok(()),
        Err(error) => Err(format!(
            "a repetition cannot help, so the error must be `invalid` or `unsupported`: {}",
            chain(&error)
        )
        .into()),
        Ok(volume) => Err(format!("it made {:?} for a claim of a raw device", volume.path).into()),
    }
}

async fn grows(rig: &Rig) -> Verdict {
    let volume = rig.provision("a").await?;
    match rig
        .provisioner
        .expand(existing("a", &volume), 128 * MIB)
        .await
    {
        Ok(size) => ensure(
            size >= 128 * MIB,
            &format!("{} bytes were asked for, it says {size}", 128 * MIB),
        ),
        // Volumes cannot grow here.
        Err(ProvisionError::Refused(_)) => Ok(()),
        Err(error) => Err(format!("expand: {}", chain(&error)).into()),
    }
}

async fn reports_capacity(rig: &Rig) -> Verdict {
    match rig.provisioner.capacity(class(), node()).await {
        Ok(_) | Err(ProvisionError::Refused(_)) => Ok(()),
        Err(error) => Err(format!("capacity: {}", chain(&error)).into()),
    }
}

async fn survives_a_restart(tried: Tried<'_>, rig: &Rig) -> Verdict {
    let before = rig.provision("a").await?;
    let fresh =
        open(tried, &rig.root, tried.config(given(&rig.root))).map_err(|error| chain(&error))?;
    let after = fresh
        .provision(request("a"))
        .await
        .map_err(|error| format!("provision again: {}", chain(&error)))?;
    ensure(
        before.path == after.path,
        &format!(
            "the volume moved from {:?} to {:?}",
            before.path, after.path
        ),
    )?;
    fresh
        .delete(existing("a", &after))
        .await
        .map_err(|error| format!("delete: {}", chain(&error)))?;
    ensure(
        !Path::new(&before.path).exists(),
        "what the last instance made is still there",
    )
}
