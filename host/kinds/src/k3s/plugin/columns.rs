//! `kubectl get plugins`.

use jiff::Timestamp;
use k3s_meta::tree;
use serde_json::Value;

use crate::column::Column;
use crate::print;

/// `sha256:` and enough digits to distinguish plugins.
const DIGEST_SHOWN: usize = 19;

pub(super) const COLUMNS: &[Column] = &[
    Column {
        name: "Kind",
        description: "What the plugin serves as; also the object's name.",
        ..Column::NAME
    },
    Column::text("Name", "What the plugin calls itself."),
    Column::text("Version", "The plugin's own version."),
    Column::text("Digest", "The beginning of the SHA-256 of the component."),
    Column::text(
        "Health",
        "Ready, Restarting after a failure, or Quarantined after several.",
    ),
    Column::integer(
        "Restarts",
        "Failures since the server started; after each a fresh instance is made.",
    ),
    Column::AGE,
    Column::text(
        "Source",
        "Where the component came from: a bundled name, a file or a registry.",
    )
    .wide(),
    Column::text("Last Error", "Why it failed the last time.").wide(),
];

pub(super) fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let status = |field: &str| tree::text(object, &format!("status.{field}")).to_owned();
    let digest = status("digest");
    vec![
        print::name(object),
        status("name").into(),
        status("version").into(),
        digest.get(..DIGEST_SHOWN).unwrap_or(&digest).into(),
        status("health").into(),
        tree::get(object, "status.restarts")
            .cloned()
            .unwrap_or_else(|| 0.into()),
        print::age(object, now),
        tree::text(object, "spec.source").into(),
        status("lastError").into(),
    ]
}
