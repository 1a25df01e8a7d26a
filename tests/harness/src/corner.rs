//! A corner of the machine for one test cluster.
//!
//! One holder process is the first of new process, network, mount, host-name, IPC and cgroup
//! namespaces; everything else enters them. When the holder is killed the kernel ends every process
//! inside (shims and containers too) and with them the mounts and the network; only the cgroups are
//! left, and they are removed here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::poll::until;
use crate::process::{Background, Output, run};

static NEXT: AtomicU32 = AtomicU32::new(1);
/// How many names of corners may be taken by what earlier runs left.
const LEFT_BEHIND: u32 = 1000;

/// Folders that a cluster writes to and that must be a corner's own.
const PRIVATE: &[&str] = &[
    "/etc/rancher",
    "/etc/cni",
    "/run",
    "/var/lib/rancher",
    "/var/lib/kubelet",
    "/var/lib/cni",
    "/var/log",
    "/srv",
    "/tmp/k3s",
];

/// Prepares the namespaces from inside: private folders, own `/sys` with the cgroup controllers
/// seen from the corner's own group, loopback, and one interface with a default route.
const SETUP: &str = r#"
set -e
mount --make-rprivate /
for dir in $PRIVATE; do
  # A server of the machine may have left mounts of pods there, which would be counted as the corner's.
  grep -o " $dir/[^ ]*" /proc/self/mounts | tac | while read -r below; do umount -l "$below" || true; done
  mkdir -p "$dir"; mount -t tmpfs tmpfs "$dir"
done
mkdir -p /run/lock
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /sys/fs/cgroup
for c in $CONTROLLERS; do mkdir -p /sys/fs/cgroup/$c; mount -t cgroup -o $c cgroup /sys/fs/cgroup/$c; done
if [ -n "$UNIFIED" ]; then mkdir -p /sys/fs/cgroup/unified; mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified; fi
if [ -n "$PURE_V2" ]; then umount /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; fi
hostname "$NAME"
# A new network namespace takes over what a server switched on for the machine.
echo 0 > /proc/sys/net/ipv4/ip_forward
for link in all default lo; do
  for setting in route_localnet rp_filter proxy_arp arp_notify; do echo 0 > /proc/sys/net/ipv4/conf/$link/$setting; done
done
ip link set lo up
ip link add eth0 type veth peer name uplink
ip link set uplink up
ip addr add 192.0.2.10/24 dev eth0
ip link set eth0 up
ip route add default via 192.0.2.1 dev eth0
touch "$READY"
# Process 1 must reap what is orphaned; a shell that waits does.
while :; do sleep 3600 & wait $!; done
"#;

/// One corner. Dropping it ends everything in it.
#[derive(Debug)]
pub struct Corner {
    name: String,
    holder: Option<Background>,
    /// The holder's id in the host's process namespace; it is process 1 inside.
    target: u32,
    cgroups: Vec<PathBuf>,
    /// Seen from outside and inside alike.
    dir: tempfile::TempDir,
}

impl Corner {
    /// Makes a corner.
    ///
    /// # Errors
    /// When not root, or the kernel refuses a namespace.
    pub fn new() -> Result<Self> {
        let hierarchies = Hierarchies::find()?;
        // A run that was killed may have had the same process id and left its cgroups.
        let name = (0..LEFT_BEHIND)
            .map(|_| {
                let number = NEXT.fetch_add(1, Ordering::Relaxed);
                format!("k3s-test-{}-{number}", std::process::id())
            })
            .find(|name| hierarchies.has_no_group(name))
            .context(
                "cgroups of earlier runs have every name; remove /sys/fs/cgroup/*/k3s-test-*",
            )?;
        let dir = tempfile::Builder::new()
            .prefix(&name)
            .tempdir_in("/var/tmp")?;
        let cgroups = hierarchies.make_groups(&name)?;
        let mut corner = Self {
            name,
            holder: None,
            target: 0,
            cgroups,
            dir,
        };
        corner.start_holder(&hierarchies)?;
        Ok(corner)
    }

    fn start_holder(&mut self, hierarchies: &Hierarchies) -> Result<()> {
        let ready = self.dir.path().join("ready");
        let setup = self.dir.path().join("setup.sh");
        fs::write(&setup, SETUP)?;
        let mut join = String::from("set -e\n");
        for group in &self.cgroups {
            join += &format!("echo $$ > {}/cgroup.procs\n", group.display());
        }
        join += "exec unshare --cgroup --mount --net --uts --ipc --pid --fork --kill-child --mount-proc sh \"$SETUP\"\n";
        let log = fs::File::create(self.dir.path().join("holder.log"))?;
        let mut command = Command::new("sh");
        command
            .args(["-c", &join])
            .env("SETUP", &setup)
            .env("READY", &ready)
            .env("NAME", &self.name);
        command
            .env("PRIVATE", PRIVATE.join(" "))
            .env("CONTROLLERS", hierarchies.controllers.join(" "));
        command.env("UNIFIED", if hierarchies.hybrid { "1" } else { "" });
        command.env("PURE_V2", if hierarchies.pure_v2 { "1" } else { "" });
        let holder = self.holder.insert(Background::start(&mut command, log)?);
        let unshare = holder.id();
        let log = self.dir.path().join("holder.log");
        until("the corner's namespaces", Duration::from_secs(10), || {
            if ready.exists() {
                return Ok(());
            }
            bail!("{}", fs::read_to_string(&log).unwrap_or_default())
        })?;
        // `unshare --fork` stays outside; its only child is process 1 inside.
        let children = fs::read_to_string(format!("/proc/{unshare}/task/{unshare}/children"))?;
        self.target = children
            .split_whitespace()
            .next()
            .context("the holder has no child")?
            .parse()?;
        Ok(())
    }

    /// A folder that is the same inside and outside.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The corner's name, which is also its host name and its cgroup.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that runs inside.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.args([
            "--target",
            &self.target.to_string(),
            "--mount",
            "--net",
            "--uts",
            "--ipc",
            "--pid",
            "--cgroup",
            "--",
        ]);
        command.arg(program).current_dir("/");
        // What the caller's shell sets for a server or client of the machine is not meant for this one.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let is_settings = text.starts_with("K3S_") && !text.starts_with("K3S_TEST_");
            if is_settings || ["KUBECONFIG", "RUST_LOG", "NOTIFY_SOCKET"].contains(&&*text) {
                command.env_remove(&name);
            }
        }
        command
    }

    /// Runs a shell line inside.
    ///
    /// # Errors
    /// When it does not end within a minute.
    pub fn sh(&self, line: &str) -> Result<Output> {
        run(
            self.command("sh").args(["-c", line]),
            None,
            Duration::from_secs(60),
        )
    }

    /// Starts a shell line inside that runs until dropped.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn background(&self, line: &str, log: &str) -> Result<Background> {
        let log = fs::File::create(self.dir.path().join(log))?;
        Background::start(self.command("sh").args(["-c", line]), log)
    }

    /// The cgroups below the corner's own, as paths inside each hierarchy: empty when every pod's
    /// group was removed.
    #[must_use]
    pub fn cgroups_below(&self) -> Vec<PathBuf> {
        let below = |group: &PathBuf| {
            walk(group)
                .into_iter()
                .skip(1)
                .map(|p| p.strip_prefix(group).unwrap_or(&p).to_owned())
                .collect::<Vec<_>>()
        };
        let mut all: Vec<_> = self.cgroups.iter().flat_map(below).collect();
        all.sort();
        all.dedup();
        all
    }
}

impl Drop for Corner {
    fn drop(&mut self) {
        if self.target != 0 {
            let _ = Command::new("kill")
                .args(["-9", &self.target.to_string()])
                .stderr(Stdio::null())
                .status();
        }
        self.holder = None;
        for group in &self.cgroups {
            let _ = until(
                "the corner's cgroups are empty",
                Duration::from_secs(10),
                || remove_tree(group),
            );
        }
        if std::env::var_os("K3S_TEST_KEEP").is_some() || std::thread::panicking() {
            let kept = std::mem::replace(
                &mut self.dir,
                tempfile::TempDir::new_in("/var/tmp").unwrap_or_else(|_| std::process::abort()),
            );
            eprintln_kept(&kept.keep());
        }
    }
}

#[allow(
    clippy::print_stderr,
    reason = "a failed test must say where its logs are"
)]
fn eprintln_kept(dir: &Path) {
    eprintln!("logs of the failed cluster are kept in {}", dir.display());
}

/// `dir` and every folder below, parents first.
fn walk(dir: &Path) -> Vec<PathBuf> {
    let mut all = vec![dir.to_owned()];
    let entries = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|e| e.path());
    for path in entries.filter(|p| p.is_dir()) {
        all.extend(walk(&path));
    }
    all
}

fn remove_tree(group: &Path) -> Result<()> {
    for dir in walk(group).iter().rev() {
        match fs::remove_dir(dir) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(e).with_context(|| dir.display().to_string());
            }
            _ => {}
        }
    }
    Ok(())
}

/// The cgroup hierarchies of this machine.
struct Hierarchies {
    /// cgroup v1 controllers, by folder name below `/sys/fs/cgroup`.
    controllers: Vec<String>,
    /// v1 with a v2 mount beside it.
    hybrid: bool,
    /// v2 only.
    pure_v2: bool,
}

const V1: &[&str] = &[
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "devices",
    "freezer",
    "blkio",
    "pids",
    "cpu,cpuacct",
    "net_cls",
    "hugetlb",
];

impl Hierarchies {
    fn find() -> Result<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let pure_v2 = root.join("cgroup.controllers").exists();
        let has = |c: &&&str| {
            mounts.lines().any(|l| {
                l.split(' ').nth(1) == Some(&format!("/sys/fs/cgroup/{c}"))
                    && l.contains(" cgroup ")
            })
        };
        let controllers: Vec<String> = V1.iter().filter(has).map(|c| (*c).to_owned()).collect();
        let hybrid = mounts.contains(" /sys/fs/cgroup/unified cgroup2 ");
        if controllers.is_empty() && !pure_v2 {
            bail!("no cgroups are mounted below /sys/fs/cgroup")
        }
        Ok(Self {
            controllers,
            hybrid,
            pure_v2,
        })
    }

    /// The top of every hierarchy.
    fn bases(&self) -> Vec<PathBuf> {
        let root = Path::new("/sys/fs/cgroup");
        let mut bases: Vec<PathBuf> = self.controllers.iter().map(|c| root.join(c)).collect();
        if self.hybrid {
            bases.push(root.join("unified"))
        }
        if self.pure_v2 {
            bases.push(root.to_owned())
        }
        bases
    }

    fn has_no_group(&self, name: &str) -> bool {
        !self.bases().iter().any(|base| base.join(name).exists())
    }

    fn make_groups(&self, name: &str) -> Result<Vec<PathBuf>> {
        let mut groups = Vec::new();
        for base in self.bases() {
            let group = base.join(name);
            fs::create_dir(&group)
                .with_context(|| format!("cgroup {} (are you root?)", group.display()))?;
            for file in ["cpuset.cpus", "cpuset.mems"]
                .iter()
                .filter(|_| base.ends_with("cpuset"))
            {
                fs::write(group.join(file), fs::read(base.join(file))?)?;
            }
            groups.push(group);
        }
        Ok(groups)
    }
}
