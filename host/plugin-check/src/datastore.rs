//! The store's contract suite on a foreign datastore component, over SQLite in a temporary folder.

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures_util::FutureExt;
use k3s_adapters::datastore::{CONTRACT, OpenError, SqliteOptions, WasmBackend, open_sqlite};
use k3s_base::error::chain;
use k3s_plugin_host::{Host, Source};
use k3s_store::Backend;
use k3s_store::contract::{self, Fixture};
use serde_json::json;
use tempfile::TempDir;

use crate::suite::{Case, CheckError, Tried, Verdict, refuses_unknown};

struct Foreign {
    host: Host,
    name: String,
    bytes: Vec<u8>,
    config: Vec<u8>,
    dir: TempDir,
    made: AtomicUsize,
}

impl Foreign {
    fn path(&self, number: usize) -> PathBuf {
        self.dir.path().join(number.to_string()).join("state.db")
    }

    fn open(&self, number: usize) -> Result<Arc<WasmBackend>, OpenError> {
        let source = Source {
            name: &self.name,
            bytes: &self.bytes,
            digest: None,
            compiled: None,
        };
        let options = SqliteOptions {
            config: self.config.clone(),
            ..SqliteOptions::new(self.path(number))
        };
        Ok(Arc::new(open_sqlite(&self.host, source, &options)?))
    }
}

#[async_trait]
#[allow(
    clippy::panic,
    reason = "the suite's cases fail by panicking, which is caught below"
)]
impl Fixture for Foreign {
    async fn create(&self) -> Arc<dyn Backend> {
        let number = self.made.fetch_add(1, Ordering::SeqCst);
        self.open(number)
            .unwrap_or_else(|error| panic!("{}", chain(&error)))
    }

    async fn reopen(&self, backend: Arc<dyn Backend>) -> Arc<dyn Backend> {
        drop(backend);
        self.open(self.made.load(Ordering::SeqCst) - 1)
            .unwrap_or_else(|error| panic!("{}", chain(&error)))
    }
}

pub(crate) async fn run(tried: Tried<'_>) -> Result<Vec<Case>, CheckError> {
    tried.host.load(tried.source, &CONTRACT)?;
    let foreign = |config| {
        let (name, bytes) = (tried.source.name.to_owned(), tried.source.bytes.to_vec());
        let dir = tempfile::tempdir()?;
        Ok::<_, CheckError>(Foreign {
            host: tried.host.clone(),
            name,
            bytes,
            config,
            dir,
            made: AtomicUsize::new(0),
        })
    };
    let unknown = foreign(tried.config_with_unknown(json!({})))?;
    let known = foreign(tried.config(json!({})))?;
    let outcome = AssertUnwindSafe(contract::all(&known)).catch_unwind().await;
    let said = |panic: Box<dyn std::any::Any + Send>| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text
            .or_else(|| panic.downcast_ref::<&str>().map(|t| (*t).to_owned()))
            .unwrap_or_default();
        // A comparison that fails takes several lines to say so.
        text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
    };
    let name = "log, writes, lists, watches, restarts, leases, faults and the model";
    Ok(vec![
        Case {
            name: "unknown settings are refused",
            outcome: refuses_to_start(&unknown),
        },
        Case {
            name,
            outcome: outcome.map_err(|panic| said(panic).into()),
        },
    ])
}

fn refuses_to_start(foreign: &Foreign) -> Verdict {
    let backend = foreign.open(0).map_err(|error| chain(&error))?;
    tokio::task::block_in_place(|| refuses_unknown(backend.start()))
}
