//! `/version`.

use http::{Response, StatusCode};
use k3s_registry::Result;
use k3s_serve::Body;
use serde_json::json;

use crate::context::Context;
use crate::respond;

pub(super) fn get(context: &Context) -> Result<Response<Body>> {
    let version = &context.core.documents.version;
    let (major, minor) = version.numbers();
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let document = json!({
        "major": major,
        "minor": minor,
        "emulationMajor": major,
        "emulationMinor": minor,
        "gitVersion": version.git_version,
        "gitCommit": version.git_commit,
        "gitTreeState": "clean",
        "buildDate": version.build_date,
        "compiler": "rustc",
        // Clients only show it; it has to be present.
        "goVersion": "",
        "platform": format!("{}/{arch}", std::env::consts::OS),
    });
    respond::tree(context, StatusCode::OK, &document)
}
