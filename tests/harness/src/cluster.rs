//! One server in one corner, and the stock clients that talk to it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::corner::Corner;
use crate::database::{Database, DatabaseKind};
use crate::image::Image;
use crate::poll::until;
use crate::process::{Background, Output, run};
use crate::quiet;
use crate::tools::{k3s_binary, kubectl_binary};

const KUBECONFIG: &str = "/etc/rancher/k3s/k3s.yaml";
const IMAGES: &str = "/var/lib/rancher/k3s/agent/images";

/// What differs between test clusters.
#[derive(Debug, Default)]
pub struct ClusterOptions {
    /// Flags of `k3s server`.
    pub flags: Vec<String>,
    /// Archives that are in the image folder before the first start.
    pub images: Vec<Image>,
    /// Shell lines that run in the corner before the first start.
    pub prepare: Vec<String>,
    /// Keep objects on a database server in the cluster's corner, started before the first start.
    pub database: Option<DatabaseKind>,
    /// Do not wait for the node (with `--disable-agent`).
    pub without_node: bool,
}

/// A test machine may have less of its disk free than a node wants by default: then nothing is evicted
/// and no image is removed. Flags that come later win.
const ROOM: [&str; 2] = [
    "--kubelet-arg=eviction-hard=memory.available<100Mi,nodefs.available<100Mi,imagefs.available<100Mi",
    "--kubelet-arg=image-gc-high-threshold=100",
];

/// A running cluster. Dropping it ends everything, and fails the test when the server does not rest then
/// ([`crate::quiet`]).
#[derive(Debug)]
pub struct Cluster {
    server: Option<Background>,
    flags: Vec<String>,
    kubectl: PathBuf,
    /// Whether the server must rest at the end: once it runs, unless something went wrong already.
    must_rest: AtomicBool,
    /// Memory of the server when it was complete.
    fresh_kib: u64,
    database: Option<Database>,
    corner: Corner,
}

impl Cluster {
    /// A default server; the node is Ready when this returns.
    ///
    /// # Errors
    /// When it does not become so.
    pub fn start() -> Result<Self> {
        Self::start_with(ClusterOptions::default())
    }

    /// A server with options.
    ///
    /// # Errors
    /// When it does not become ready; the error ends with the server's log.
    pub fn start_with(options: ClusterOptions) -> Result<Self> {
        let corner = Corner::new()?;
        for line in &options.prepare {
            corner.sh(line)?.ok()?;
        }
        let database = options
            .database
            .map(|kind| Database::start_in(kind, &corner))
            .transpose()?;
        let mut flags = options.flags;
        flags.extend(
            database
                .as_ref()
                .map(|d| format!("--datastore-endpoint={}", d.endpoint("cluster"))),
        );
        let mut cluster = Self {
            server: None,
            flags,
            kubectl: kubectl_binary()?,
            must_rest: AtomicBool::new(false),
            fresh_kib: 0,
            database,
            corner,
        };
        for image in &options.images {
            cluster.add_image(image)?;
        }
        cluster.start_server()?;
        cluster.wait_until_ready()?;
        if !options.without_node {
            cluster.wait_for_node()?;
        }
        cluster.take_as_fresh()?;
        cluster.must_rest.store(true, Ordering::SeqCst);
        Ok(cluster)
    }

    /// Holds the memory at the end against what the server has now instead of what it had at its start: for a
    /// test whose server is complete only after something else, such as a large component that compiles.
    ///
    /// # Errors
    /// When the server does not run.
    pub fn take_as_fresh(&mut self) -> Result<()> {
        self.fresh_kib = quiet::anonymous_kib(&self.server_pid()?)?;
        Ok(())
    }

    /// Starts the server again after [`Cluster::kill_server`] or [`Cluster::stop_server`].
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_server(&mut self) -> Result<()> {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_path())?;
        let mut command = self.corner.command(k3s_binary()?);
        command.arg("server").args(ROOM).args(&self.flags);
        self.server = Some(Background::start(&mut command, log)?);
        Ok(())
    }

    /// Starts the server again with other flags, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become so.
    pub fn restart_with(&mut self, flags: &[&str]) -> Result<()> {
        self.set_flags(flags);
        self.start_server()?;
        self.wait_until_ready()
    }

    /// Other flags for the next start.
    pub fn set_flags(&mut self, flags: &[&str]) {
        self.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    }

    /// Waits for `/readyz`.
    ///
    /// # Errors
    /// With the server's log when it does not come.
    pub fn wait_until_ready(&mut self) -> Result<()> {
        let waited = until("/readyz says ok", Duration::from_secs(60), || {
            if self.server.as_mut().is_none_or(|s| !s.is_running()) {
                return Ok(false);
            }
            let output = self.kubectl(&["get", "--raw", "/readyz"])?;
            if output.stdout == "ok" {
                Ok(true)
            } else {
                bail!("{}{}", output.stdout, output.stderr)
            }
        });
        match waited {
            Ok(true) => Ok(()),
            Ok(false) => bail!("the server ended by itself:\n{}", self.log_tail()),
            Err(e) => Err(e).with_context(|| self.log_tail()),
        }
    }

    /// Waits for the node's Ready condition.
    ///
    /// # Errors
    /// With the server's log when it does not come.
    pub fn wait_for_node(&self) -> Result<()> {
        self.wait_for("node is Ready", Duration::from_secs(60), || {
            let nodes = self.get(&["nodes"])?;
            let ready = nodes["items"][0]["status"]["conditions"]
                .as_array()
                .into_iter()
                .flatten();
            let is_ready = ready
                .filter(|c| c["type"] == "Ready")
                .any(|c| c["status"] == "True");
            if is_ready { Ok(()) } else { bail!("{nodes}") }
        })
    }

    /// Polls a condition; a failure ends with the server's log.
    ///
    /// # Errors
    /// When the deadline passes.
    pub fn wait_for<T>(
        &self,
        what: &str,
        deadline: Duration,
        check: impl FnMut() -> Result<T>,
    ) -> Result<T> {
        let outcome = until(what, deadline, check);
        // The failure that is reported first should be the only one.
        if outcome.is_err() {
            self.must_rest.store(false, Ordering::SeqCst);
        }
        outcome.with_context(|| self.log_tail())
    }

    /// SIGKILL for the server process only; pods stay.
    ///
    /// # Errors
    /// When there is no server.
    pub fn kill_server(&mut self) -> Result<()> {
        self.signal("KILL")?;
        self.server
            .as_mut()
            .context("no server")?
            .wait(Duration::from_secs(10))?;
        Ok(())
    }

    /// SIGTERM, then waits for a clean end.
    ///
    /// # Errors
    /// When it does not end within `deadline`.
    pub fn stop_server(&mut self, deadline: Duration) -> Result<Option<i32>> {
        self.signal("TERM")?;
        self.server
            .as_mut()
            .context("no server")?
            .wait(deadline)
            .with_context(|| self.log_tail())
    }

    /// Waits for the server to end by itself and gives its code and log: for refused starts.
    ///
    /// # Errors
    /// When it still runs after 20 seconds.
    pub fn wait_for_end(&mut self) -> Result<(Option<i32>, String)> {
        let code = self
            .server
            .as_mut()
            .context("no server")?
            .wait(Duration::from_secs(20))?;
        Ok((code, self.log_tail()))
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let target = self.server_pid()?;
        run(
            Command::new("kill").args([&format!("-{signal}"), &target]),
            None,
            Duration::from_secs(5),
        )?
        .ok()?;
        Ok(())
    }

    /// The server's process id, as the host sees it.
    fn server_pid(&self) -> Result<String> {
        let server = self.server.as_ref().context("no server")?;
        // The direct child is nsenter, which forked the server into the process namespace.
        let child = fs::read_to_string(format!("/proc/{0}/task/{0}/children", server.id()))?;
        let target = child.split_whitespace().next();
        Ok(target.map_or_else(|| server.id().to_string(), str::to_owned))
    }

    /// Runs stock `kubectl` inside the corner.
    ///
    /// # Errors
    /// When it does not end within two minutes.
    pub fn kubectl(&self, args: &[&str]) -> Result<Output> {
        self.kubectl_with(args, None)
    }

    /// The same with standard input.
    ///
    /// # Errors
    /// When it does not end within two minutes.
    pub fn kubectl_with(&self, args: &[&str], input: Option<&str>) -> Result<Output> {
        let mut command = self.kubectl_command();
        run(command.args(args), input, Duration::from_secs(120))
    }

    /// A stock `kubectl` command to run by hand (in the background, or with a terminal).
    #[must_use]
    pub fn kubectl_command(&self) -> Command {
        let mut command = self.corner.command(&self.kubectl);
        command
            .env("KUBECONFIG", KUBECONFIG)
            .env("HOME", self.corner.dir());
        command
    }

    /// Runs `k3s ARGS` inside the corner.
    ///
    /// # Errors
    /// When it does not end within two minutes.
    pub fn k3s(&self, args: &[&str]) -> Result<Output> {
        run(
            self.corner.command(k3s_binary()?).args(args),
            None,
            Duration::from_secs(120),
        )
    }

    /// `kubectl get ARGS -o json`.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn get(&self, args: &[&str]) -> Result<Value> {
        let args: Vec<&str> = ["get"]
            .iter()
            .chain(args)
            .chain(&["-o", "json"])
            .copied()
            .collect();
        Ok(serde_json::from_str(&self.kubectl(&args)?.ok()?)?)
    }

    /// `kubectl apply -f -`.
    ///
    /// # Errors
    /// When kubectl fails.
    pub fn apply(&self, yaml: &str) -> Result<String> {
        self.kubectl_with(&["apply", "-f", "-"], Some(yaml))?.ok()
    }

    /// Puts an archive into the image folder, as a user would: also while the server runs.
    ///
    /// # Errors
    /// When it cannot be copied.
    pub fn add_image(&self, image: &Image) -> Result<()> {
        let line = format!(
            "mkdir -p {IMAGES} && cp {0} {IMAGES}/.{1} && mv {IMAGES}/.{1} {IMAGES}/{1}",
            image.path().display(),
            image.file_name()
        );
        self.corner.sh(&line)?.ok()?;
        Ok(())
    }

    /// Adds flags for the next start of the server.
    pub fn add_flags(&mut self, flags: &[&str]) {
        self.flags
            .extend(flags.iter().map(|flag| (*flag).to_owned()));
    }

    /// The database server that objects are kept on.
    ///
    /// # Errors
    /// When there is none.
    pub fn database(&mut self) -> Result<&mut Database> {
        self.database
            .as_mut()
            .context("a cluster without a database server")
    }

    /// The corner, to run other programs in.
    #[must_use]
    pub fn corner(&self) -> &Corner {
        &self.corner
    }

    /// The server's log.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.corner.dir().join("server.log")
    }

    /// The last lines of the server's log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let text = fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines
            .get(lines.len().saturating_sub(60)..)
            .unwrap_or_default()
            .join("\n")
    }
}

impl Drop for Cluster {
    #[allow(clippy::panic, reason = "how a test fails")]
    fn drop(&mut self) {
        let is_running = self.server.as_mut().is_some_and(Background::is_running);
        if std::thread::panicking() || !self.must_rest.load(Ordering::SeqCst) || !is_running {
            return;
        }
        let pid = self.server_pid();
        let checked = pid.and_then(|pid| quiet::check(self, &pid, self.fresh_kib));
        if let Err(busy) = checked {
            panic!("{busy:#}\n{}", self.log_tail());
        }
    }
}
