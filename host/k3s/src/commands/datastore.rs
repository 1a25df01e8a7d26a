//! `k3s datastore migrate`: copies a cluster from one database to another, while no server runs on
//! either.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use k3s_base::{Clock, Random};
use k3s_config::data_dir_from;
use k3s_config::datastore::{Endpoint, TlsFiles};
use k3s_plugin_host::{Host, HostOptions};
use k3s_store::transfer::copy;

use super::{asks_for_help, refuse, show};
use crate::server::{Place, ServerLock};

const USAGE: &str = "usage: k3s datastore migrate --from ENDPOINT --to ENDPOINT [--data-dir DIR] \
    [--datastore-cafile FILE] [--datastore-certfile FILE] [--datastore-keyfile FILE]";

pub(crate) fn run(words: &[String]) -> ExitCode {
    if asks_for_help(words) {
        return show(USAGE);
    }
    let migration = match words.split_first() {
        Some((command, rest)) if command == "migrate" => Migration::parse(rest),
        _ => Err(anyhow::anyhow!(USAGE)),
    };
    match migration.and_then(|migration| migration.run()) {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => refuse(&format!("{error:#}")),
    }
}

/// What the words ask for.
struct Migration {
    from: Endpoint,
    to: Endpoint,
    data_dir: PathBuf,
}

impl Migration {
    fn parse(words: &[String]) -> Result<Self> {
        let (mut from, mut to, mut files) = (None, None, TlsFiles::default());
        let mut data_dir = data_dir_from(|name| std::env::var(name).ok());
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (flag, value) = match word.split_once('=') {
                Some((flag, value)) => (flag, value.to_owned()),
                None => (
                    word.as_str(),
                    words
                        .next()
                        .with_context(|| format!("{word} needs a value"))?
                        .clone(),
                ),
            };
            match flag {
                "--from" => from = Some(value),
                "--to" => to = Some(value),
                "--data-dir" | "-d" => data_dir = value.into(),
                "--datastore-cafile" => files.ca = Some(value.into()),
                "--datastore-certfile" => files.cert = Some(value.into()),
                "--datastore-keyfile" => files.key = Some(value.into()),
                // The word may hold a password.
                other if other.starts_with("--") => bail!("unknown flag {other}; {USAGE}"),
                _ => bail!(USAGE),
            }
        }
        let from = endpoint("from", &from.context(USAGE)?, &files)?;
        let to = endpoint("to", &to.context(USAGE)?, &files)?;
        if from == to {
            bail!("--from and --to are the same database");
        }
        Ok(Self { from, to, data_dir })
    }

    fn run(&self) -> Result<String> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("start the runtime")?;
        runtime.block_on(self.copy())
    }

    async fn copy(&self) -> Result<String> {
        let server_dir = self.data_dir.join("server");
        // A running server would continue to write to what is copied.
        let _lock = if server_dir.exists() {
            Some(ServerLock::acquire(&server_dir)?)
        } else {
            None
        };
        let (from, to) = (
            Place::of(&self.from, &self.data_dir),
            Place::of(&self.to, &self.data_dir),
        );
        if let Place::File(path) = &from
            && !Path::new(path).exists()
        {
            bail!("--from: {} does not exist", path.display());
        }
        let host = Host::new(HostOptions::default())?;
        let (clock, random) = (Clock::system(), Random::from_os());
        let source = from.open(&host, &from.bundled()?, &clock, &random).await?;
        let target = to.open(&host, &to.bundled()?, &clock, &random).await?;
        let copied = copy(&source, &target).await?;
        Ok(format!(
            "copied {} keys ({} bytes of values) from {from} (revision {}) to {to} (revision {}); every key was read \
             back and compared. History is not copied, and revisions are renumbered in the same order",
            copied.keys, copied.bytes, copied.from, copied.to
        ))
    }
}

/// TLS files are for the servers among the two.
fn endpoint(flag: &str, text: &str, files: &TlsFiles) -> Result<Endpoint> {
    let plain = Endpoint::parse(flag, text, &TlsFiles::default())?;
    Ok(match plain {
        Endpoint::Server(_) => Endpoint::parse(flag, text, files)?,
        Endpoint::Sqlite(_) => plain,
    })
}
