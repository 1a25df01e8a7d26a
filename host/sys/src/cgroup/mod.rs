//! Control groups, version 1 (also hybrid) and 2, behind one type.
//!
//! A group is named by its path below the hierarchy root, the same in every hierarchy of version 1
//! (`/kubepods/burstable/podUID/CONTAINER`). Where version 1 controllers are mounted they are used
//! and an additional empty version 2 hierarchy is not, as in every hybrid set-up.

mod devices;
mod limits;
mod v1;
mod v2;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use limits::{DeviceKind, DeviceRule, Limits};

/// The version of the interface that the kernel's controllers are under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy per controller.
    V1,
    /// One hierarchy.
    V2,
}

/// The controllers of version 1 that a container's groups are made in; others stay untouched.
const CONTROLLERS: [&str; 10] = [
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "devices",
    "freezer",
    "blkio",
    "pids",
    "hugetlb",
    "perf_event",
];

/// Where the hierarchies are mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroups {
    version: Version,
    /// Controller → mount point; for version 2 one entry with an empty name.
    mounts: BTreeMap<String, PathBuf>,
}

impl Cgroups {
    /// Reads the mount table.
    ///
    /// # Errors
    /// When no control group hierarchy is mounted.
    pub fn detect() -> io::Result<Self> {
        let mut mounts = BTreeMap::new();
        let mut unified = None;
        for mount in super::mount::table()? {
            match mount.kind.as_str() {
                "cgroup" => {
                    let named = mount
                        .super_options
                        .split(',')
                        .filter(|option| CONTROLLERS.contains(option));
                    mounts.extend(
                        named.map(|controller| (controller.to_owned(), mount.target.clone())),
                    );
                }
                "cgroup2" => unified = unified.or(Some(mount.target)),
                _ => {}
            }
        }
        match (
            mounts.contains_key("memory") || mounts.contains_key("cpu"),
            unified,
        ) {
            (true, _) => Ok(Self {
                version: Version::V1,
                mounts,
            }),
            (false, Some(target)) => Ok(Self {
                version: Version::V2,
                mounts: BTreeMap::from([(String::new(), target)]),
            }),
            (false, None) => Err(io::Error::new(
                io::ErrorKind::NotFound,
                "no cgroup hierarchy with controllers is mounted",
            )),
        }
    }

    /// Version 1 or 2.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Mount points by controller (version 2: one, with an empty name).
    #[must_use]
    pub fn mounts(&self) -> &BTreeMap<String, PathBuf> {
        &self.mounts
    }

    /// The group with the path `path`; it is not created yet.
    #[must_use]
    pub fn group(&self, path: &str) -> Cgroup {
        let relative = path.trim_start_matches('/');
        let dirs = self
            .mounts
            .iter()
            .map(|(controller, mount)| (controller.clone(), mount.join(relative)))
            .collect();
        Cgroup {
            version: self.version,
            dirs,
            roots: self.mounts.clone(),
        }
    }
}

/// One control group: a directory in each hierarchy.
#[derive(Clone, Debug)]
pub struct Cgroup {
    version: Version,
    dirs: BTreeMap<String, PathBuf>,
    roots: BTreeMap<String, PathBuf>,
}

/// The use of resources by a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time since the group was made.
    pub cpu_nanoseconds: u64,
    /// Memory charged now, with page cache.
    pub memory_bytes: u64,
    /// Memory without page cache that could be dropped at once: what `kubectl top` shows.
    pub working_set_bytes: u64,
    /// Anonymous memory.
    pub rss_bytes: u64,
    /// Minor and major page faults.
    pub page_faults: u64,
    /// Major page faults.
    pub major_page_faults: u64,
    /// The memory limit; none when there is none.
    pub memory_limit_bytes: Option<u64>,
    /// Tasks now.
    pub pids: u64,
}

impl Cgroup {
    /// Creates the directories, and enables the controllers in their ancestors.
    ///
    /// # Errors
    /// When a hierarchy cannot be written.
    pub fn create(&self) -> io::Result<()> {
        for (controller, dir) in &self.dirs {
            let root = self
                .roots
                .get(controller)
                .map_or(Path::new("/"), PathBuf::as_path);
            match self.version {
                Version::V1 => v1::create(controller, root, dir)?,
                Version::V2 => v2::create(root, dir)?,
            }
        }
        Ok(())
    }

    /// True while its directory is there (in the first hierarchy).
    #[must_use]
    pub fn exists(&self) -> bool {
        self.dirs.values().next().is_some_and(|dir| dir.is_dir())
    }

    /// The directory of `controller`; for version 2 the one there is.
    #[must_use]
    pub fn dir(&self, controller: &str) -> Option<&Path> {
        self.dirs
            .get(controller)
            .or_else(|| self.dirs.get(""))
            .map(PathBuf::as_path)
    }

    /// Directories by mount-point name: what a container sees below `/sys/fs/cgroup`.
    pub fn dirs(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.dirs
            .iter()
            .map(|(controller, dir)| (controller.as_str(), dir.as_path()))
    }

    /// Moves a process into the group.
    ///
    /// # Errors
    /// When the group or the process is missing.
    pub fn add(&self, pid: i32) -> io::Result<()> {
        self.dirs
            .values()
            .try_for_each(|dir| write(dir, "cgroup.procs", &pid.to_string()))
    }

    /// Sets limits; what is none stays as it is.
    ///
    /// # Errors
    /// Also when the kernel lacks the controller a limit needs: a limit is never dropped.
    pub fn apply(&self, limits: &Limits) -> io::Result<()> {
        match self.version {
            Version::V1 => v1::apply(&self.dirs, limits),
            Version::V2 => v2::apply(self.dir("").unwrap_or(Path::new("/")), limits),
        }
    }

    /// The processes in it and in the groups below it.
    ///
    /// # Errors
    /// When the group cannot be read; a group that is gone has none.
    pub fn pids(&self) -> io::Result<Vec<i32>> {
        let mut pids = Vec::new();
        for dir in self.dirs.values() {
            collect_pids(dir, &mut pids)?;
        }
        pids.sort_unstable();
        pids.dedup();
        Ok(pids)
    }

    /// Sends SIGKILL to every process in it, new ones too, until there is none or `attempts` are
    /// used up. Returns whether it is empty; without waiting for more than some milliseconds.
    ///
    /// # Errors
    /// When the group cannot be read.
    pub fn kill(&self) -> io::Result<bool> {
        /// Each attempt waits 2 ms: 50 are enough for the kernel to end killed processes.
        const ATTEMPTS: u32 = 50;
        if self.version == Version::V2
            && self
                .dir("")
                .is_some_and(|dir| dir.join("cgroup.kill").exists())
        {
            self.dirs
                .values()
                .try_for_each(|dir| write(dir, "cgroup.kill", "1"))?;
        }
        for _ in 0..ATTEMPTS {
            let pids = self.pids()?;
            if pids.is_empty() {
                return Ok(true);
            }
            pids.iter()
                .try_for_each(|&pid| super::process::kill(pid, libc::SIGKILL))?;
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(self.pids()?.is_empty())
    }

    /// Removes the group and the groups below it; absence is success.
    ///
    /// # Errors
    /// When a process is still in it after some attempts.
    pub fn remove(&self) -> io::Result<()> {
        self.dirs.values().try_for_each(|dir| remove_dir(dir))
    }

    /// How often the kernel killed a process of this group because memory was short.
    ///
    /// # Errors
    /// When the group is gone.
    pub fn oom_kills(&self) -> io::Result<u64> {
        let Some(dir) = self.dir("memory") else {
            return Ok(0);
        };
        let file = if self.version == Version::V1 {
            "memory.oom_control"
        } else {
            "memory.events"
        };
        Ok(keyed(&read(dir, file)?, "oom_kill").unwrap_or(0))
    }

    /// The use of resources now.
    ///
    /// # Errors
    /// When the group is gone.
    pub fn usage(&self) -> io::Result<Usage> {
        match self.version {
            Version::V1 => v1::usage(&self.dirs),
            Version::V2 => v2::usage(self.dir("").unwrap_or(Path::new("/"))),
        }
    }
}

fn collect_pids(dir: &Path, pids: &mut Vec<i32>) -> io::Result<()> {
    let text = match read(dir, "cgroup.procs") {
        Ok(text) => text,
        Err(error)
            if error.kind() == io::ErrorKind::NotFound
                || error.raw_os_error() == Some(libc::ENODEV) =>
        {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect_pids(&entry.path(), pids)?;
        }
    }
    Ok(())
}

fn remove_dir(dir: &Path) -> io::Result<()> {
    /// The kernel frees a group a moment after its last process: 100 attempts, 5 ms apart.
    const ATTEMPTS: u32 = 100;
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_dir(&entry.path())?;
        }
    }
    let mut last = Ok(());
    for _ in 0..ATTEMPTS {
        match std::fs::remove_dir(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                last = Err(error);
                std::thread::sleep(Duration::from_millis(5));
            }
            other => return other,
        }
    }
    last
}

/// Writes one control file, naming it in the error: `EINVAL` alone explains nothing.
fn write(dir: &Path, file: &str, value: &str) -> io::Result<()> {
    let path = dir.join(file);
    std::fs::write(&path, value).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("write {value:?} to {}: {error}", path.display()),
        )
    })
}

fn read(dir: &Path, file: &str) -> io::Result<String> {
    std::fs::read_to_string(dir.join(file))
}

/// A limit as the files have it; a negative one means no limit.
fn or_max(value: i64) -> String {
    if value < 0 {
        "max".to_owned()
    } else {
        value.to_string()
    }
}

/// The number after `key` in lines of `key value`.
fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        line.strip_prefix(key)?
            .strip_prefix(' ')?
            .trim()
            .parse()
            .ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(name: &str) -> Cgroup {
        let group = Cgroups::detect()
            .unwrap()
            .group(&format!("/k3s-sys-test-{name}-{}", std::process::id()));
        group.remove().unwrap();
        group.create().unwrap();
        group
    }

    #[test]
    fn a_group_holds_limits_and_processes_and_goes() {
        let group = group("limits");
        let limits = Limits {
            cpu_shares: Some(512),
            cpu_quota_us: Some(20_000),
            cpu_period_us: Some(100_000),
            memory_bytes: Some(64 << 20),
            pids: Some(50),
            devices: Some(vec![DeviceRule::allow(DeviceKind::Char, 1, 3, "rwm")]),
            ..Limits::default()
        };
        group.apply(&limits).unwrap();
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        group.add(pid).unwrap();
        assert_eq!(group.pids().unwrap(), [pid]);
        let usage = group.usage().unwrap();
        assert_eq!(usage.memory_limit_bytes, Some(64 << 20));
        assert_eq!(group.oom_kills().unwrap(), 0);
        let reaper = std::thread::spawn(move || child.wait().unwrap());
        assert!(group.kill().unwrap());
        reaper.join().unwrap();
        group.remove().unwrap();
        assert!(!group.exists());
    }

    #[test]
    fn memory_can_be_raised_and_lowered() {
        let group = group("resize");
        for bytes in [64_i64 << 20, 128 << 20, 32 << 20] {
            group
                .apply(&Limits {
                    memory_bytes: Some(bytes),
                    memory_swap_bytes: Some(bytes),
                    ..Limits::default()
                })
                .unwrap();
            assert_eq!(
                group.usage().unwrap().memory_limit_bytes,
                Some(bytes.unsigned_abs())
            );
        }
        group.remove().unwrap();
    }
}
