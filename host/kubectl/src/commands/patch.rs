//! `kubectl patch`.

use clap::Args;
use k3s_meta::object;
use serde_json::Value;

use super::named::{self, MERGE, STRATEGIC, Selection};
use crate::error::Failure;
use crate::manifest;
use crate::session::Session;

/// Update fields of a resource
#[derive(Debug, Args)]
pub(crate) struct Patch {
    /// TYPE NAME or TYPE/NAME
    #[arg(required = true)]
    what: Vec<String>,
    /// The patch, JSON or YAML
    #[arg(
        short = 'p',
        long,
        conflicts_with = "patch_file",
        required_unless_present = "patch_file"
    )]
    patch: Option<String>,
    /// A file with the patch
    #[arg(long)]
    patch_file: Option<std::path::PathBuf>,
    /// json, merge or strategic
    #[arg(long = "type", default_value = "strategic")]
    kind: String,
    /// A subresource, such as status or scale
    #[arg(long)]
    subresource: Option<String>,
}

pub(crate) async fn run(session: &Session, args: &Patch) -> Result<(), Failure> {
    let content_type = match args.kind.as_str() {
        "strategic" => STRATEGIC,
        "merge" => MERGE,
        "json" => "application/json-patch+json",
        other => {
            return Err(Failure::local(format!(
                "--type must be one of [json merge strategic], not \"{other}\""
            )));
        }
    };
    let text = match (&args.patch, &args.patch_file) {
        (Some(text), _) => text.clone(),
        (None, Some(file)) => manifest::read_file(file)?,
        (None, None) => return Err(Failure::local("must specify -p to patch")),
    };
    let patch: Value = serde_saphyr::from_str_with_options(&text, k3s_meta::yaml::options())
        .map_err(|source| Failure::PatchText { text, source })?;
    let discovery = session.discovery().await?;
    for one in named::select(session, &discovery, &args.what, &Selection::default()).await? {
        let before = one.get(session).await?;
        let after = one
            .patch(session, args.subresource.as_deref(), content_type, &patch)
            .await?;
        let version = |o: &Value| object::resource_version(o);
        let suffix = if version(&before) == version(&after) {
            " (no change)"
        } else {
            ""
        };
        println!("{} patched{suffix}", one.shown());
    }
    Ok(())
}
