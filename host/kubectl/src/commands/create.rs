//! `kubectl create -f` and `kubectl create namespace NAME`.

use http::Method;
use k3s_meta::object;
use serde_json::{Value, json};

use super::write::{DryRun, Options, place};
use crate::Failure;
use crate::cli::Create;
use crate::manifest;
use crate::session::Session;

pub(crate) async fn run(session: &Session, args: &Create) -> Result<(), Failure> {
    let options = Options::parse(&args.writing, "kubectl-create")?;
    let words: Vec<&str> = args.what.iter().map(String::as_str).collect();
    let manifests = match words.as_slice() {
        [] => manifest::read(&args.writing.files)?,
        ["namespace" | "ns", name] => {
            vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})]
        }
        _ => {
            return Err(Failure::local(
                "only `create -f FILE` and `create namespace NAME` exist here; stock kubectl has the others",
            ));
        }
    };
    let discovery = session.discovery().await?;
    for mut manifest in manifests {
        let served = place(session, &discovery, &mut manifest)?;
        let created = create(session, &options, served, &manifest).await?;
        options.report(served, &created, "created")?;
    }
    Ok(())
}

/// POST of one manifest; with `--dry-run=client` nothing is sent.
pub(super) async fn create(
    session: &Session,
    options: &Options,
    served: &crate::discovery::Served,
    manifest: &Value,
) -> Result<Value, Failure> {
    if options.dry_run == DryRun::Client {
        return Ok(manifest.clone());
    }
    let path = options.path(&served.resource.path(Some(object::namespace(manifest)), None, None));
    session.json(Method::POST, &path, "application/json", Some(("application/json", manifest))).await
}
