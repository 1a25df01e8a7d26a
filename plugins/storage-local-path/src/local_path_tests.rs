//! The provisioner on a host that only records its calls.

use std::cell::RefCell;

use k3s_plugin_sdk::Settings as _;
use k3s_plugin_sdk::storage::directories::{self, Owner, Space};
use k3s_plugin_sdk::storage::{Affinity, Claim, Kind};

use super::*;

#[derive(Default)]
struct Notes(RefCell<Vec<String>>);

impl Host for Notes {
    fn make(
        &self,
        path: &str,
        mode: u32,
        owner: Option<Owner>,
    ) -> Result<bool, directories::Error> {
        let owner = owner.map_or(String::new(), |o| format!(" {}:{}", o.user, o.group));
        self.0
            .borrow_mut()
            .push(format!("make {path} {mode:o}{owner}"));
        Ok(true)
    }

    fn remove(&self, path: &str) -> Result<(), directories::Error> {
        self.0.borrow_mut().push(format!("remove {path}"));
        Ok(())
    }

    fn usage(&self, _: &str) -> Result<Space, directories::Error> {
        Ok(Space {
            capacity_bytes: 10,
            available_bytes: 7,
        })
    }

    /// Big-endian 1, which is the last of two paths.
    fn random_bytes(&self, count: u32) -> Vec<u8> {
        (1..=count).map(|at| u8::from(at == count)).collect()
    }
}

const CONFIG: &[u8] =
    br#"{"nodePathMap":[{"node":"DEFAULT_PATH_FOR_NON_LISTED_NODES","paths":["/s"]},
    {"node":"two","paths":["/a","/b"]},{"node":"none","paths":[]}]}"#;

fn local_path() -> LocalPath {
    LocalPath::new(File::read(CONFIG).unwrap()).unwrap()
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter()
        .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
        .collect()
}

fn request(node: Option<&str>, parameters: &[(&str, &str)]) -> Request {
    Request {
        volume_name: "pvc-1".into(),
        claim: Claim {
            namespace: "n".into(),
            name: "data".into(),
            uid: "1".into(),
            labels: vec![],
            annotations: vec![],
            access_modes: vec!["ReadWriteOnce".into()],
            capacity_bytes: 42,
            block: false,
            has_selector: false,
        },
        class: Class {
            name: "local-path".into(),
            annotations: pairs(&[("defaultVolumeType", "local")]),
            parameters: pairs(parameters),
        },
        node: node.map(|name| Node {
            name: name.into(),
            labels: pairs(&[("kubernetes.io/hostname", name), ("zone", "z")]),
        }),
    }
}

fn provision(request: &Request) -> Result<(Volume, String), String> {
    let host = Notes::default();
    let made = local_path().provision(&host, request);
    let notes = host.0.borrow().join(", ");
    made.map(|volume| (volume, notes))
        .map_err(|error| format!("{error:?}"))
}

#[test]
fn a_volume_is_a_directory_named_after_volume_and_claim() {
    let (volume, notes) = provision(&request(Some("one"), &[])).unwrap();
    assert_eq!(notes, "make /s/pvc-1_n_data 777");
    assert_eq!(
        (volume.path.as_str(), volume.kind, volume.capacity_bytes),
        ("/s/pvc-1_n_data", Kind::Local, 42)
    );
    let Some(Affinity { key, values }) = volume.affinity else {
        panic!("no affinity")
    };
    assert_eq!(
        (key.as_str(), values),
        ("kubernetes.io/hostname", vec!["one".to_owned()])
    );
    assert_eq!(
        volume.annotations,
        pairs(&[("local.path.provisioner/selected-node", "one")])
    );
}

#[test]
fn classes_and_nodes_decide_where() {
    let path =
        |node, parameters: &[(&str, &str)]| provision(&request(Some(node), parameters)).unwrap().1;
    assert_eq!(path("two", &[]), "make /b/pvc-1_n_data 777");
    assert_eq!(
        path("two", &[("nodePath", "/a/")]),
        "make /a/pvc-1_n_data 777"
    );
    assert_eq!(
        path(
            "one",
            &[("pathPattern", "{{ .PVC.Namespace }}/{{ .PVC.Name }}")]
        ),
        "make /s/n/data 777"
    );
    assert_eq!(
        path("one", &[("perm", "700"), ("user", "5")]),
        "make /s/pvc-1_n_data 700 5:0"
    );
    let zone = provision(&request(Some("one"), &[("nodeAffinityKey", "zone")]))
        .unwrap()
        .0;
    assert_eq!(zone.affinity.unwrap().values, ["z"]);
}

#[test]
fn what_cannot_be_says_why() {
    let mut many = request(Some("one"), &[]);
    many.claim.access_modes = vec!["ReadWriteMany".into()];
    let mut selecting = request(Some("one"), &[]);
    selecting.claim.has_selector = true;
    let mut odd = request(Some("one"), &[]);
    odd.claim.annotations = pairs(&[("volumeType", "tape")]);
    for (request, part) in [
        (request(None, &[]), "no node was specified"),
        (
            request(Some("none"), &[]),
            "no local path available on node none",
        ),
        (
            request(Some("one"), &[("nodePath", "/z")]),
            "config doesn't contain path /z",
        ),
        (
            request(Some("one"), &[("pathPattern", "../{{ .PVC.Name }}")]),
            "must not contain",
        ),
        (request(Some("one"), &[("perm", "abc")]), "octal"),
        (many, "only supports ReadWriteOnce"),
        (selecting, "Selector is not supported"),
        (odd, "not a recognised volume type"),
    ] {
        let error = provision(&request).unwrap_err();
        assert!(error.contains("Invalid") && error.contains(part), "{error}");
    }
}

#[test]
fn only_what_lies_below_a_configured_path_is_deleted() {
    let host = Notes::default();
    let mut provisioner = local_path();
    let existing = |path: &str| Existing {
        volume_name: "v".into(),
        path: path.into(),
        capacity_bytes: 5,
        annotations: vec![],
    };
    provisioner
        .delete(&host, &existing("/s/pvc-1_n_data"))
        .unwrap();
    for outside in ["/etc", "/s", "/s/", "/sx/y"] {
        assert!(
            matches!(
                provisioner.delete(&host, &existing(outside)),
                Err(Error::Invalid(_))
            ),
            "{outside}"
        );
    }
    assert_eq!(host.0.borrow().as_slice(), ["remove /s/pvc-1_n_data"]);
    assert_eq!(provisioner.expand(&host, &existing("/s/x"), 9).unwrap(), 9);
}
