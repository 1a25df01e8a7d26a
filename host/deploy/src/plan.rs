//! Pure decisions: which files need work, and which kinds a file's objects are of.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use k3s_meta::object;
use serde_json::Value;

use crate::error::Error;
use crate::scan;

/// The state of a file after a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileState {
    /// The checksum of its text.
    pub(crate) checksum: String,
    /// When to retry, if it failed; on the monotonic clock.
    pub(crate) retry_at: Option<Duration>,
}

/// Whether a file with this checksum needs work.
pub(crate) fn needs_work(seen: Option<&FileState>, checksum: &str, now: Duration) -> bool {
    seen.is_none_or(|seen| seen.checksum != checksum || seen.retry_at.is_some_and(|at| at <= now))
}

/// The AddOn of each file. A name belongs to the first file that has it.
pub(crate) fn names(files: &[PathBuf]) -> Vec<(&Path, Result<String, Error>)> {
    let mut owners: BTreeMap<String, &Path> = BTreeMap::new();
    files
        .iter()
        .map(|path| {
            let name = scan::addon_name(path).and_then(|name| match owners.get(&name) {
                Some(first) => Err(Error::NameInUse {
                    first: (*first).to_owned(),
                }),
                None => Ok(name),
            });
            if let Ok(name) = &name {
                owners.insert(name.clone(), path);
            }
            (path.as_path(), name)
        })
        .collect()
}

/// `apps/v1, Kind=Deployment` of every object, as K3s records it in the AddOn.
pub(crate) fn gvks(objects: &[Value]) -> BTreeSet<String> {
    objects
        .iter()
        .map(|o| gvk(object::api_version(o), object::kind(o)))
        .collect()
}

fn gvk(api_version: &str, kind: &str) -> String {
    let slash = if api_version.contains('/') { "" } else { "/" };
    format!("{slash}{api_version}, Kind={kind}")
}

/// Group and version, and kind, of such a text.
pub(crate) fn parse_gvk(text: &str) -> Option<(&str, &str)> {
    let (api_version, kind) = text.split_once(", Kind=")?;
    Some((api_version.trim_start_matches('/'), kind))
}

/// Definitions and namespaces first: other objects of the file may need them.
pub(crate) fn in_order(mut objects: Vec<Value>) -> Vec<Value> {
    objects.sort_by_key(|o| match object::kind(o) {
        "CustomResourceDefinition" => 0,
        "Namespace" => 1,
        _ => 2,
    });
    objects
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_is_worked_on_when_it_changed_or_failed() {
        let now = Duration::from_secs(10);
        let seen = |retry_at| FileState {
            checksum: "a".to_owned(),
            retry_at,
        };
        assert!(needs_work(None, "a", now));
        assert!(needs_work(Some(&seen(None)), "b", now));
        assert!(!needs_work(Some(&seen(None)), "a", now));
        assert!(!needs_work(
            Some(&seen(Some(Duration::from_secs(11)))),
            "a",
            now
        ));
        assert!(needs_work(Some(&seen(Some(now))), "a", now));
    }

    #[test]
    fn a_name_belongs_to_the_first_file() {
        let files = ["/m/a.yaml", "/m/a.yml", "/m/sub/B.yaml"].map(PathBuf::from);
        let names = names(&files);
        assert_eq!(names[0].1.as_ref().unwrap(), "a");
        assert!(
            matches!(&names[1].1, Err(Error::NameInUse { first }) if first == Path::new("/m/a.yaml"))
        );
        assert!(matches!(&names[2].1, Err(Error::Name(_))));
    }

    #[test]
    fn kinds_are_noted_as_k3s_notes_them() {
        let objects = [
            json!({"apiVersion": "v1", "kind": "Service"}),
            json!({"apiVersion": "apps/v1", "kind": "Deployment"}),
            json!({"apiVersion": "v1", "kind": "Service"}),
        ];
        let gvks: Vec<String> = gvks(&objects).into_iter().collect();
        assert_eq!(gvks, ["/v1, Kind=Service", "apps/v1, Kind=Deployment"]);
        assert_eq!(parse_gvk(&gvks[0]), Some(("v1", "Service")));
        assert_eq!(parse_gvk(&gvks[1]), Some(("apps/v1", "Deployment")));
    }
}
