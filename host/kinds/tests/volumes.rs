//! Volumes of pods, persistent volumes and claims: what is refused, in upstream's words.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use jiff::Timestamp;
use k3s_kinds::{Context, Strategy};
use k3s_meta::UserInfo;
use serde_json::{Value, json};

fn prepared(kind: &str, mut object: Value) -> (Strategy, Value) {
    let user = UserInfo::default();
    let context = Context {
        user: &user,
        now: Timestamp::UNIX_EPOCH,
        dry_run: false,
    };
    let strategy = Strategy::built_in("", kind);
    strategy.default(&mut object);
    strategy.prepare_create(&mut object, &context);
    (strategy, object)
}

/// `path: type: detail` of each mistake in a new object.
fn mistakes(kind: &str, object: Value) -> Vec<String> {
    let (strategy, object) = prepared(kind, object);
    let namespaced = kind != "PersistentVolume";
    let errors = strategy.validate_create(&object, namespaced);
    errors.iter().map(ToString::to_string).collect()
}

/// The same of an update.
fn changes(kind: &str, old: Value, new: Value) -> Vec<String> {
    let (strategy, mut old) = prepared(kind, old);
    old["metadata"]["resourceVersion"] = json!("1");
    let mut new = new;
    strategy.default(&mut new);
    new["metadata"]["resourceVersion"] = json!("1");
    let user = UserInfo::default();
    let context = Context {
        user: &user,
        now: Timestamp::UNIX_EPOCH,
        dry_run: false,
    };
    strategy.prepare_update(&mut new, &old, &context);
    let namespaced = kind != "PersistentVolume";
    let errors = strategy.validate_update(&new, &old, namespaced);
    errors.iter().map(ToString::to_string).collect()
}

fn pod(volumes: Value) -> Value {
    json!({
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"serviceAccountName": "a", "containers": [{"name": "c", "image": "i"}], "volumes": volumes},
    })
}

fn volume(more: Value) -> Value {
    let mut spec = json!({"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}});
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"metadata": {"name": "v"}, "spec": spec})
}

fn claim(more: Value) -> Value {
    let mut spec =
        json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"metadata": {"name": "c", "namespace": "default"}, "spec": spec})
}

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const BLOB: &str = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";

/// Sources without what they need, and what is missing, below the source.
fn incomplete() -> Vec<(&'static str, Value, Vec<String>)> {
    let required = |names: &[&str]| -> Vec<String> {
        let texts = names.iter();
        texts
            .map(|name| format!("{name}: Required value"))
            .collect()
    };
    vec![
        ("awsElasticBlockStore", json!({}), required(&["awsElasticBlockStore.volumeID"])),
        (
            "awsElasticBlockStore",
            json!({"volumeID": "a", "partition": 256}),
            vec!["awsElasticBlockStore.partition: Invalid value: 256: must be between 1 and 255, inclusive".into()],
        ),
        ("gcePersistentDisk", json!({}), required(&["persistentDisk.pdName"])),
        ("glusterfs", json!({}), required(&["glusterfs.endpoints", "glusterfs.path"])),
        ("rbd", json!({}), required(&["rbd.monitors", "rbd.image"])),
        ("cephfs", json!({}), required(&["cephfs.monitors"])),
        ("cinder", json!({}), required(&["cinder.volumeID"])),
        ("vsphereVolume", json!({}), required(&["vsphereVolume.volumePath"])),
        ("photonPersistentDisk", json!({}), required(&["photonPersistentDisk.pdID"])),
        ("portworxVolume", json!({}), required(&["portworxVolume.volumeID"])),
        ("azureFile", json!({}), required(&["azureFile.secretName", "azureFile.shareName"])),
        (
            "scaleIO",
            json!({}),
            required(&["scaleIO.gateway", "scaleIO.system", "scaleIO.volumeName"]),
        ),
        (
            "azureDisk",
            json!({"diskName": "a", "diskURI": "b", "kind": "*"}),
            vec![
                "azureDisk.kind: Unsupported value: \"*\": supported values: \"Dedicated\", \"Managed\", \"Shared\"".into(),
                format!("azureDisk.diskURI: Unsupported value: \"b\": supported values: \"{BLOB}\""),
            ],
        ),
        (
            "fc",
            json!({"targetWWNs": ["80"]}),
            vec!["fc.lun: Required value: lun is required if targetWWNs is specified".into()],
        ),
        (
            "fc",
            json!({}),
            vec!["fc.targetWWNs: Required value: must specify either targetWWNs or wwids, but not both".into()],
        ),
        (
            "flocker",
            json!({}),
            vec!["flocker: Required value: one of datasetName and datasetUUID is required".into()],
        ),
        (
            "flocker",
            json!({"datasetName": "a/b"}),
            vec!["flocker.datasetName: Invalid value: \"a/b\": must not contain '/'".into()],
        ),
        (
            "quobyte",
            json!({"registry": "a"}),
            vec![
                "quobyte.registry: Invalid value: \"a\": must be a host:port pair or multiple pairs separated by commas".into(),
                "quobyte.volume: Required value".into(),
            ],
        ),
        (
            "flexVolume",
            json!({"driver": "a/b", "options": {"kubernetes.io/x": "y"}}),
            vec!["flexVolume.options[kubernetes.io/x]: Invalid value: \"kubernetes.io/x\": kubernetes.io and k8s.io namespaces are reserved".into()],
        ),
        (
            "storageos",
            json!({"volumeName": "A"}),
            vec![format!("storageos.volumeName: Invalid value: \"A\": {LABEL}")],
        ),
        (
            "nfs",
            json!({"server": "s", "path": "a"}),
            vec!["nfs.path: Invalid value: \"a\": must be an absolute path".into()],
        ),
        ("iscsi", json!({}), required(&["iscsi.targetPortal", "iscsi.iqn"])),
    ]
}

#[test]
fn sources_say_what_they_need_in_pods_and_in_persistent_volumes() {
    for (kind, source, expected) in incomplete() {
        let below = |path: &str| -> Vec<String> {
            let texts = expected.iter();
            texts.map(|text| format!("{path}.{text}")).collect()
        };
        assert_eq!(
            mistakes("Pod", pod(json!([{"name": "v", kind: source}]))),
            below("spec.volumes[0]"),
            "{kind}"
        );
        assert_eq!(
            mistakes("PersistentVolume", volume(json!({kind: source}))),
            below("spec"),
            "{kind}"
        );
    }
}

#[test]
fn volumes_of_pods_are_checked() {
    let at = "spec.volumes[0]";
    for (volume, expected) in [
        (
            json!({"gitRepo": {"directory": "/a"}}),
            vec![
                format!("{at}.gitRepo.repository: Required value"),
                format!("{at}.gitRepo.directory: Invalid value: \"/a\": must be a relative path"),
            ],
        ),
        (
            json!({"emptyDir": {}, "cephfs": {}, "downwardAPI": {}, "image": {}}),
            ["cephFS", "downwarAPI", "image"]
                .iter()
                .map(|kind| {
                    format!("{at}.{kind}: Forbidden: may not specify more than 1 volume type")
                })
                .collect(),
        ),
        (
            json!({"image": {}}),
            vec![format!("{at}.image.reference: Required value")],
        ),
        (
            json!({"csi": {"driver": "d.example", "nodePublishSecretRef": {"name": "A"}}}),
            vec![format!("{at}.csi.name: Invalid value: \"A\": {SUBDOMAIN}")],
        ),
        (
            json!({"iscsi": {"targetPortal": "p", "iqn": "a", "initiatorName": "b", "lun": 256}}),
            vec![
                format!(
                    "{at}.iscsi.iqn: Invalid value: \"a\": must be valid format starting with iqn, eui, or naa"
                ),
                format!("{at}.iscsi.lun: Invalid value: 256: must be between 0 and 255, inclusive"),
                format!(
                    "{at}.iscsi.initiatorname: Invalid value: \"b\": must be valid format starting with iqn, eui, or naa"
                ),
            ],
        ),
        (
            json!({"ephemeral": {"volumeClaimTemplate": {"metadata": {"name": "x", "uid": "y", "generation": 0},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1"}}}}}}),
            vec![
                format!(
                    "{at}.ephemeral.volumeClaimTemplate.metadata.name: Forbidden: cannot be set"
                ),
                format!(
                    "{at}.ephemeral.volumeClaimTemplate.metadata.uID: Forbidden: cannot be set"
                ),
            ],
        ),
        (
            json!({"projected": {"sources": [
                {"secret": {"name": "s", "items": [{"key": "k", "path": "a"}]}, "configMap": {"name": "m"}},
                {"podCertificate": {"signerName": "a.b/c", "keyType": "X", "keyPath": "a"}},
                {"clusterTrustBundle": {"path": ""}},
                {},
            ]}}),
            vec![
                format!(
                    "{at}.projected.sources[0]: Forbidden: may not specify more than 1 volume type per source"
                ),
                format!(
                    "{at}.projected.sources[1].podCertificate.keyType: Unsupported value: \"X\": supported values: \"RSA3072\", \"RSA4096\", \"ECDSAP256\", \"ECDSAP384\", \"ECDSAP521\", \"ED25519\""
                ),
                format!("{at}.projected: Invalid value: \"a\": conflicting duplicate paths"),
                format!(
                    "{at}.projected.sources[2].clusterTrustBundle: Required value: either name or signerName must be specified"
                ),
                format!("{at}.projected.sources[2].clusterTrustBundle.path: Required value"),
            ],
        ),
    ] {
        let mut named = volume;
        named["name"] = json!("v");
        assert_eq!(mistakes("Pod", pod(json!([named]))), expected);
    }
}

#[test]
fn a_pod_does_not_name_the_claims_that_are_made_for_it() {
    let template = json!({"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1"}}}});
    let volumes = json!([
        {"name": "e", "ephemeral": {"volumeClaimTemplate": template}},
        {"name": "v", "persistentVolumeClaim": {"claimName": "p-e"}},
    ]);
    assert_eq!(
        mistakes("Pod", pod(volumes)),
        [
            "spec.volumes[1].persistentVolumeClaim.claimName: Invalid value: \"p-e\": must not reference a PVC that gets created for an ephemeral volume"
        ]
    );
}

#[test]
fn persistent_volumes_are_checked() {
    for (more, expected) in [
        (
            json!({"hostPath": {"path": "/a"}, "volumeAttributesClassName": "*", "volumeMode": ""}),
            vec![
                "spec.volumeMode: Unsupported value: \"\": supported values: \"Block\", \"Filesystem\"".to_owned(),
                format!("spec.volumeAttributesClassName: Invalid value: \"*\": {SUBDOMAIN}"),
                "spec.csi: Required value: has to be specified when using volumeAttributesClassName".to_owned(),
            ],
        ),
        (
            json!({"local": {"path": "/a"}, "nodeAffinity": {}}),
            vec!["spec.nodeAffinity.required: Required value: must specify required node constraints".to_owned()],
        ),
        (
            json!({"hostPath": {"path": "/a"}, "cephfs": {}, "flexVolume": {}}),
            vec![
                "spec.cephFS: Forbidden: may not specify more than 1 volume type".to_owned(),
                "spec.flexVolume.driver: Required value".to_owned(),
            ],
        ),
        (
            json!({"csi": {"driver": "d.example", "volumeHandle": "h", "nodeExpandSecretRef": {"name": " "}}}),
            vec![
                format!("spec.csi.nodeExpandSecretRef.name: Invalid value: \" \": {SUBDOMAIN}"),
                "spec.csi.nodeExpandSecretRef.namespace: Required value".to_owned(),
            ],
        ),
        (
            json!({"glusterfs": {"endpoints": "e", "path": "p", "endpointsNamespace": ""}}),
            vec!["spec.glusterfs.endpointsNamespace: Invalid value: \"\": if the endpointnamespace is set, it must be a valid namespace name".to_owned()],
        ),
        (
            json!({"cinder": {"volumeID": "v", "secretRef": {"name": "s"}}}),
            vec!["spec.cinder.secretRef.namespace: Required value".to_owned()],
        ),
        (
            json!({"hostPath": {"path": "/a/.."}, "persistentVolumeReclaimPolicy": "Recycle"}),
            vec![
                "spec.hostPath.path: Invalid value: \"/a/..\": must not contain '..'".to_owned(),
                "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'".to_owned(),
            ],
        ),
    ] {
        assert_eq!(mistakes("PersistentVolume", volume(more)), expected);
    }
}

#[test]
fn a_persistent_volume_stays_where_it_is() {
    let affinity = |key: &str, value: &str| {
        let expression = json!({"key": key, "operator": "In", "values": [value]});
        json!({"hostPath": {"path": "/a"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}})
    };
    let old = || volume(affinity("beta.kubernetes.io/os", "linux"));
    let same = volume(affinity("kubernetes.io/os", "linux"));
    assert_eq!(
        changes("PersistentVolume", old(), same),
        Vec::<String>::new()
    );
    let moved = changes(
        "PersistentVolume",
        old(),
        volume(affinity("kubernetes.io/os", "other")),
    );
    assert!(
        moved[0].starts_with("nodeAffinity: Invalid value: {"),
        "{moved:?}"
    );
    let without = changes(
        "PersistentVolume",
        old(),
        volume(json!({"hostPath": {"path": "/a"}})),
    );
    assert_eq!(
        without,
        [
            "nodeAffinity: Invalid value: null: field is immutable, except for updating from beta label to GA"
        ]
    );
    let plain = || volume(json!({"hostPath": {"path": "/a"}}));
    let more = changes(
        "PersistentVolume",
        plain(),
        volume(json!({"hostPath": {"path": "/a"}, "portworxVolume": {}})),
    );
    assert_eq!(
        more[0],
        "spec.portworxVolume: Forbidden: may not specify more than 1 volume type"
    );
    assert!(
        more[1].starts_with("spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n"),
        "{more:?}"
    );
}

#[test]
fn claims_are_checked() {
    for (more, expected) in [
        (
            json!({"volumeAttributesClassName": "*", "volumeMode": ""}),
            vec![
                "spec.volumeMode: Unsupported value: \"\": supported values: \"Block\", \"Filesystem\"".to_owned(),
                format!("spec.volumeAttributesClassName: Invalid value: \"*\": {SUBDOMAIN}"),
            ],
        ),
        (
            json!({"dataSourceRef": {"apiGroup": "a:b", "kind": "K", "name": "n"}}),
            vec![
                format!("spec.dataSource.apiGroup: Invalid value: \"a:b\": {SUBDOMAIN}"),
                format!("spec.dataSourceRef.apiGroup: Invalid value: \"a:b\": {SUBDOMAIN}"),
            ],
        ),
        (
            json!({
                "dataSource": {"kind": "PersistentVolumeClaim", "name": "a"},
                "dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "b"},
            }),
            vec!["spec: Invalid value: {}: must match dataSourceRef".to_owned()],
        ),
        (json!({"dataSource": {"name": "a"}}), vec![]),
        (
            json!({"accessModes": ["ReadWriteOncePod", "ReadOnlyMany"]}),
            vec!["spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes".to_owned()],
        ),
        (
            json!({"resources": {"requests": {"storage": "0"}}}),
            vec!["spec.resources[storage]: Invalid value: \"0\": must be greater than zero".to_owned()],
        ),
    ] {
        assert_eq!(mistakes("PersistentVolumeClaim", claim(more)), expected);
    }
}

#[test]
fn an_unbound_claim_keeps_its_request_and_its_attributes() {
    let text = "spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n";
    for more in [
        json!({"volumeAttributesClassName": "gold"}),
        json!({"resources": {"requests": {"storage": "2Gi"}}}),
    ] {
        let found = changes("PersistentVolumeClaim", claim(json!({})), claim(more));
        assert!(found.len() == 1 && found[0].starts_with(text), "{found:?}");
    }
    let named = claim(json!({"storageClassName": "fast", "volumeName": "v"}));
    let found = changes("PersistentVolumeClaim", claim(json!({})), named);
    assert_eq!(found, Vec::<String>::new());
    let mode = claim(json!({"volumeMode": "Block"}));
    let found = changes("PersistentVolumeClaim", claim(json!({})), mode);
    assert_eq!(
        found[1],
        "volumeMode: Invalid value: \"Block\": field is immutable"
    );
}
