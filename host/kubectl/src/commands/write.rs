//! Shared by apply and create: the place of an object, and the options of a write.

use std::collections::BTreeMap;

use k3s_meta::{object, tree};
use serde_json::Value;

use crate::cli::Writing;
use crate::discovery::{Discovery, Served};
use crate::error::Failure;
use crate::print::{self, Format};
use crate::session::{Session, with_query};

/// `--dry-run`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DryRun {
    No,
    Client,
    Server,
}

/// The options of one write command.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) dry_run: DryRun,
    validation: &'static str,
    pub(super) format: Option<Format>,
    manager: &'static str,
}

impl Options {
    pub(super) fn parse(args: &Writing, manager: &'static str) -> Result<Self, Failure> {
        let dry_run = match args.dry_run.as_str() {
            "none" => DryRun::No,
            "client" => DryRun::Client,
            "server" => DryRun::Server,
            other => {
                return Err(Failure::local(format!(
                    "Invalid dry-run value ({other}). Must be \"none\", \"server\", or \"client\"."
                )));
            }
        };
        let validation = match args.validate.as_str() {
            "strict" | "true" => "Strict",
            "warn" => "Warn",
            "ignore" | "false" => "Ignore",
            other => {
                return Err(Failure::local(format!(
                    "invalid - validate option {other:?}; must be one of: strict (or true), warn, ignore (or false)"
                )));
            }
        };
        let format = match args.output.as_deref() {
            None => None,
            Some("wide") => return Err(Failure::local("output format \"wide\" is for get only")),
            some => Some(Format::parse(some)?),
        };
        Ok(Self {
            dry_run,
            validation,
            format,
            manager,
        })
    }

    /// A path with the options as query.
    pub(super) fn path(&self, path: &str) -> String {
        let mut query = BTreeMap::from([
            ("fieldManager", self.manager),
            ("fieldValidation", self.validation),
        ]);
        if self.dry_run == DryRun::Server {
            query.insert("dryRun", "All");
        }
        with_query(path, query)
    }

    /// Says what happened: `deployment.apps/web configured`, or the object itself.
    pub(super) fn report(
        &self,
        served: &Served,
        object: &Value,
        verb: &str,
    ) -> Result<(), Failure> {
        let name = served.qualified(object::name(object));
        let suffix = match self.dry_run {
            DryRun::No => "",
            DryRun::Client => " (dry run)",
            DryRun::Server => " (server dry run)",
        };
        match self.format {
            None => println!("{name} {verb}{suffix}"),
            Some(Format::Name) => println!("{name}"),
            Some(format) => print!("{}", print::object(object, format)?),
        }
        Ok(())
    }
}

/// The resource of a manifest, with its namespace filled in.
pub(super) fn place<'a>(
    session: &Session,
    discovery: &'a Discovery,
    manifest: &mut Value,
) -> Result<&'a Served, Failure> {
    let served = discovery.kind(object::api_version(manifest), object::kind(manifest))?;
    if !served.resource.namespaced {
        return Ok(served);
    }
    let own = object::namespace(manifest).to_owned();
    if own.is_empty() {
        tree::set(manifest, "metadata.namespace", session.namespace.as_str());
    } else if session.namespace_given && own != session.namespace {
        return Err(Failure::local(format!(
            "the namespace from the provided object \"{own}\" does not match the namespace \"{}\". You must pass '--namespace={own}' to perform this operation.",
            session.namespace
        )));
    }
    Ok(served)
}
