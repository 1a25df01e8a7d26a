//! `kubectl create`: from files, or a namespace or deployment by name.

use http::Method;
use k3s_meta::object;
use serde_json::{Value, json};

use super::generate;
use super::write::{DryRun, Options, place};
use crate::cli::{Create, CreateWhat};
use crate::error::Failure;
use crate::manifest;
use crate::session::Session;

const MANAGER: &str = "kubectl-create";

pub(crate) async fn run(session: &Session, args: &Create) -> Result<(), Failure> {
    match &args.what {
        None => from_files(session, args).await,
        Some(CreateWhat::Namespace(args)) => {
            let manifest =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": args.name}});
            generate::one(session, &args.writing, MANAGER, manifest, "created").await
        }
        Some(CreateWhat::Deployment(args)) => {
            generate::one(session, &args.writing, MANAGER, args.manifest(), "created").await
        }
    }
}

async fn from_files(session: &Session, args: &Create) -> Result<(), Failure> {
    let options = Options::parse(&args.writing, MANAGER)?;
    let manifests = manifest::read(&args.writing.files)?;
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
    let path = options.path(
        &served
            .resource
            .path(Some(object::namespace(manifest)), None, None),
    );
    session
        .json(
            Method::POST,
            &path,
            "application/json",
            Some(("application/json", manifest)),
        )
        .await
}
