//! The bundled storage provisioner: the component, its capability on a real disk, and the driver
//! against the in-memory API server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k3s_adapters::bundled;
use k3s_adapters::storage::{StorageOptions, StorageProvisioner, open_storage};
use k3s_base::{Clock, Random};
use k3s_battery::Environment;
use k3s_client::fake::FakeApi;
use k3s_client::{DeleteParams, Informers, Patch, resources};
use k3s_lifecycle::Tasks;
use k3s_plugin_host::{Host, HostOptions, Policy, Source};
use k3s_storage::{SettingsSource, StorageConfig};
use serde_json::{Value, json};

struct Lab {
    _scratch: tempfile::TempDir,
    /// Granted.
    root: PathBuf,
    /// Not granted, with something precious in it.
    outside: PathBuf,
    host: Host,
    api: FakeApi,
    provisioner: Arc<StorageProvisioner>,
    tasks: Tasks,
}

fn config(path: &Path) -> String {
    json!({"nodePathMap": [{"node": "DEFAULT_PATH_FOR_NON_LISTED_NODES", "paths": [path]}]})
        .to_string()
}

fn lab() -> Lab {
    let scratch = tempfile::tempdir().unwrap();
    let (root, outside) = (
        scratch.path().join("storage"),
        scratch.path().join("outside"),
    );
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("precious"), "x").unwrap();
    let host = Host::new(HostOptions::default()).unwrap();
    let options = StorageOptions {
        config: config(&root).into_bytes(),
        roots: vec![root.clone()],
        environment: Environment {
            policy: Policy::default(),
            clock: Clock::system(),
            random: Random::seeded(1),
        },
    };
    let provisioner = Arc::new(
        open_storage(
            &host,
            bundled::find("storage", "local-path").unwrap().source(),
            options,
        )
        .unwrap(),
    );
    let api = FakeApi::new(Clock::system());
    let tasks = Tasks::root("test");
    let client = api.client("provisioner");
    let informers = Informers::new(client.clone(), Clock::system(), Random::seeded(2), &tasks);
    api.seed(&resources::NODES, json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a", "labels": {"kubernetes.io/hostname": "a"}}}));
    let config = StorageConfig {
        provisioner: provisioner.clone(),
        provisioner_name: "rancher.io/local-path".into(),
        settings: SettingsSource {
            namespace: "kube-system".into(),
            name: "local-path-config".into(),
            key: "config.json".into(),
        },
        client,
        informers,
        node_name: "a".into(),
        clock: Clock::system(),
    };
    k3s_storage::start(config, &tasks);
    Lab {
        _scratch: scratch,
        root,
        outside,
        host,
        api,
        provisioner,
        tasks,
    }
}

impl Lab {
    fn class(&self, extra: &Value) {
        let mut class = json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
            "metadata": {"name": "local-path", "annotations": {"defaultVolumeType": "local"}},
            "provisioner": "rancher.io/local-path", "volumeBindingMode": "WaitForFirstConsumer", "reclaimPolicy": "Delete"});
        merge(&mut class, extra);
        self.api.seed(&resources::STORAGE_CLASSES, class);
    }

    fn claim(&self, name: &str, extra: &Value) -> Value {
        let mut claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {"name": name, "namespace": "n", "annotations": {
                "volume.kubernetes.io/storage-provisioner": "rancher.io/local-path", "volume.kubernetes.io/selected-node": "a"}},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "local-path", "resources": {"requests": {"storage": "1Gi"}}},
            "status": {"phase": "Pending"}});
        merge(&mut claim, extra);
        self.api.seed(&resources::PERSISTENT_VOLUME_CLAIMS, claim)
    }

    async fn volume_of(&self, claim: &Value) -> Value {
        let name = format!("pvc-{}", claim["metadata"]["uid"].as_str().unwrap());
        let there = |api: &FakeApi| api.get(&resources::PERSISTENT_VOLUMES, "", &name).is_some();
        assert!(
            self.api.eventually(there).await,
            "no volume {name}: {:#?}",
            self.api.all(&resources::EVENTS)
        );
        self.api
            .get(&resources::PERSISTENT_VOLUMES, "", &name)
            .unwrap()
    }

    fn release(&self, volume: &Value) {
        let name = volume["metadata"]["name"].as_str().unwrap();
        self.api
            .change(&resources::PERSISTENT_VOLUMES, "", name, |v| {
                v["status"]["phase"] = "Released".into()
            });
    }

    async fn event(&self, reason: &str, part: &str) {
        let there = |api: &FakeApi| {
            let mut events = api.all(&resources::EVENTS).into_iter();
            events.any(|e| {
                e["reason"] == reason && e["message"].as_str().unwrap_or_default().contains(part)
            })
        };
        assert!(
            self.api.eventually(there).await,
            "no {reason} {part:?}: {:#?}",
            self.api.all(&resources::EVENTS)
        );
    }

    fn nothing_outside_was_touched(&self) {
        assert_eq!(
            std::fs::read_to_string(self.outside.join("precious")).unwrap(),
            "x"
        );
        assert_eq!(std::fs::read_dir(&self.outside).unwrap().count(), 1);
    }
}

/// RFC 7386, enough for test objects.
fn merge(target: &mut Value, patch: &Value) {
    match patch.as_object() {
        None => *target = patch.clone(),
        Some(fields) => {
            for (name, value) in fields {
                merge(&mut target[name], value);
            }
        }
    }
}

fn path_of(volume: &Value) -> PathBuf {
    volume["spec"]["local"]["path"].as_str().unwrap().into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_gets_a_directory_which_goes_when_it_is_released() {
    let lab = lab();
    lab.class(&json!({}));
    let claim = lab.claim("data", &json!({}));
    let volume = lab.volume_of(&claim).await;
    let uid = claim["metadata"]["uid"].as_str().unwrap();
    let path = path_of(&volume);
    assert_eq!(path, lab.root.join(format!("pvc-{uid}_n_data")));
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o777
    );
    assert_eq!(
        std::fs::metadata(&lab.root).unwrap().permissions().mode() & 0o7777,
        0o701
    );
    assert_eq!(volume["spec"]["claimRef"]["uid"], uid);
    let term =
        &volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0];
    assert_eq!(
        (&term["key"], &term["values"][0]),
        (&json!("kubernetes.io/hostname"), &json!("a"))
    );
    lab.event("ProvisioningSucceeded", "Successfully provisioned volume")
        .await;

    std::fs::write(path.join("data"), "kept").unwrap();
    assert!(lab.api.settles(Duration::from_millis(200)).await);
    assert!(
        path.join("data").exists(),
        "nothing happens before it is released"
    );
    lab.release(&volume);
    assert!(
        lab.api
            .eventually(|api| api.all(&resources::PERSISTENT_VOLUMES).is_empty())
            .await
    );
    assert!(!path.exists());
    assert!(lab.tasks.stop(Duration::from_secs(5)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn teardown_never_leaves_the_granted_root() {
    let lab = lab();
    lab.class(&json!({}));
    // A pod filled its volume with links, then replaced the volume itself by one.
    let volume = lab.volume_of(&lab.claim("links", &json!({}))).await;
    std::fs::create_dir(path_of(&volume).join("sub")).unwrap();
    symlink(&lab.outside, path_of(&volume).join("sub/out")).unwrap();
    lab.release(&volume);
    let replaced = lab.volume_of(&lab.claim("replaced", &json!({}))).await;
    std::fs::remove_dir(path_of(&replaced)).unwrap();
    symlink(&lab.outside, path_of(&replaced)).unwrap();
    lab.release(&replaced);
    assert!(
        lab.api
            .eventually(|api| api.all(&resources::PERSISTENT_VOLUMES).is_empty())
            .await
    );
    lab.nothing_outside_was_touched();

    // Somebody who may write volumes points one elsewhere.
    symlink(&lab.outside, lab.root.join("link")).unwrap();
    for (name, path) in [
        ("outside", lab.outside.clone()),
        ("above", lab.root.join("../outside")),
        ("through", lab.root.join("link/precious")),
        ("root", lab.root.clone()),
    ] {
        lab.api.seed(&resources::PERSISTENT_VOLUMES, json!({"apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": {"name": name, "annotations": {"pv.kubernetes.io/provisioned-by": "rancher.io/local-path"}},
            "spec": {"persistentVolumeReclaimPolicy": "Delete", "capacity": {"storage": "1Gi"}, "local": {"path": path}},
            "status": {"phase": "Released"}}));
    }
    let refused = |api: &FakeApi| {
        let events = api.all(&resources::EVENTS);
        ["outside", "above", "through", "root"].iter().all(|name| {
            events.iter().any(|e| {
                e["reason"] == "VolumeFailedDelete" && e["involvedObject"]["name"] == *name
            })
        })
    };
    assert!(
        lab.api.eventually(refused).await,
        "{:#?}",
        lab.api.all(&resources::EVENTS)
    );
    assert_eq!(
        lab.api.all(&resources::PERSISTENT_VOLUMES).len(),
        4,
        "a volume that cannot be deleted stays"
    );
    lab.nothing_outside_was_touched();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn patterns_settings_and_growth() {
    let lab = lab();
    lab.class(
        &json!({"parameters": {"pathPattern": "{{ .PVC.Namespace }}/{{ .PVC.Name }}"}, "allowVolumeExpansion": true}),
    );
    let claim = lab.claim("data", &json!({}));
    let volume = lab.volume_of(&claim).await;
    assert_eq!(path_of(&volume), lab.root.join("n/data"));

    // Bound, then asked for more.
    let name = volume["metadata"]["name"].as_str().unwrap();
    lab.api
        .change(&resources::PERSISTENT_VOLUME_CLAIMS, "n", "data", |claim| {
            claim["spec"]["volumeName"] = name.into();
            claim["status"] = json!({"phase": "Bound", "capacity": {"storage": "1Gi"}});
        });
    let client = lab.api.client("user");
    let more = Patch::Merge(json!({"spec": {"resources": {"requests": {"storage": "3Gi"}}}}));
    client
        .patch(
            &resources::PERSISTENT_VOLUME_CLAIMS,
            Some("n"),
            "data",
            &more,
        )
        .await
        .unwrap();
    let grown = |api: &FakeApi| {
        let claim = api
            .get(&resources::PERSISTENT_VOLUME_CLAIMS, "n", "data")
            .unwrap();
        let volume = api.get(&resources::PERSISTENT_VOLUMES, "", name).unwrap();
        claim["status"]["capacity"]["storage"] == "3Gi"
            && volume["spec"]["capacity"]["storage"] == "3Gi"
    };
    assert!(lab.api.eventually(grown).await);

    // A bad setting is refused and the one before stays; a good one moves new volumes, but never
    // out of what was granted.
    let map = |text: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "local-path-config", "namespace": "kube-system"}, "data": {"config.json": text}});
    lab.api.seed(&resources::CONFIG_MAPS, map("{"));
    lab.event("ConfigRefused", "the settings before stay in force")
        .await;
    lab.volume_of(&lab.claim("still", &json!({}))).await;
    lab.api.seed(
        &resources::CONFIG_MAPS,
        map(&config(&lab.root.join("fast"))),
    );
    assert!(lab.api.settles(Duration::from_millis(300)).await);
    let moved = lab.volume_of(&lab.claim("moved", &json!({}))).await;
    assert_eq!(path_of(&moved), lab.root.join("fast/n/moved"));
    lab.api
        .seed(&resources::CONFIG_MAPS, map(&config(&lab.outside)));
    assert!(lab.api.settles(Duration::from_millis(300)).await);
    lab.claim("denied", &json!({}));
    lab.event("ProvisioningFailed", "not below a granted folder")
        .await;
    lab.nothing_outside_was_touched();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_component_takes_over_and_a_bad_one_does_not() {
    let lab = lab();
    lab.class(&json!({}));
    lab.volume_of(&lab.claim("before", &json!({}))).await;
    let wrong = Source {
        name: "wrong",
        bytes: b"no component",
        digest: None,
        compiled: None,
    };
    let settings = |path: &Path| config(path).into_bytes();
    let good = || bundled::find("storage", "local-path").unwrap();
    assert!(
        lab.provisioner
            .battery()
            .swap(&lab.host, wrong, settings(&lab.root))
            .await
            .is_err()
    );
    assert!(
        lab.provisioner
            .battery()
            .swap(
                &lab.host,
                bundled::find("cni", "flannel").unwrap().source(),
                settings(&lab.root)
            )
            .await
            .is_err()
    );
    assert!(
        lab.provisioner
            .battery()
            .swap(&lab.host, good().source(), b"{".to_vec())
            .await
            .is_err(),
        "what it is to do is nonsense"
    );
    let volume = lab.volume_of(&lab.claim("still", &json!({}))).await;
    assert!(
        !path_of(&volume).starts_with(lab.root.join("fast")),
        "the active one continues to serve"
    );
    lab.provisioner
        .battery()
        .swap(&lab.host, good().source(), settings(&lab.root.join("fast")))
        .await
        .unwrap();
    let volume = lab.volume_of(&lab.claim("after", &json!({}))).await;
    assert!(
        path_of(&volume).starts_with(lab.root.join("fast")),
        "its own configuration is in force"
    );
    let refused = lab.claim("many", &json!({"spec": {"accessModes": ["ReadWriteMany"]}}));
    lab.event("ProvisioningFailed", "NodePath only supports ReadWriteOnce")
        .await;
    let client = lab.api.client("user");
    let name = refused["metadata"]["name"].as_str().unwrap();
    client
        .delete(
            &resources::PERSISTENT_VOLUME_CLAIMS,
            Some("n"),
            name,
            &DeleteParams::background(),
        )
        .await
        .unwrap();
}
