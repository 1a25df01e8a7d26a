//! The cgroups above containers: `kubepods`, one per QoS class, one per pod, on cgroup v1 and v2.
//! The runtime makes the containers' own below the pod's. Names as upstream's cgroupfs driver.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;

use crate::config::KubeletConfig;
use crate::container::resources::{PERIOD_US, quota, shares, weight};
use crate::model;
use crate::qos::{self, QosClass};

/// Controllers a pod needs below its parent (v2).
const CONTROLLERS: [&str; 5] = ["cpu", "memory", "pids", "cpuset", "io"];

const CLASSES: [QosClass; 3] = [
    QosClass::Guaranteed,
    QosClass::Burstable,
    QosClass::BestEffort,
];

/// The hierarchies, found once.
#[derive(Clone, Debug)]
pub(crate) struct Cgroups {
    /// One directory per v1 hierarchy, or the single v2 one.
    hierarchies: Vec<PathBuf>,
    unified: bool,
    root: String,
    pids_limit: Option<i64>,
}

/// From here on a version 1 memory limit means none: the largest number that is a multiple of a page.
const UNLIMITED_BYTES: i64 = 0x7fff_ffff_ffff_f000;

/// What a pod as a whole may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PodBounds {
    pub(crate) milli_cpu_request: i64,
    /// `None` where nothing bounds the pod.
    pub(crate) cpu_quota_us: Option<i64>,
    /// The same.
    pub(crate) memory_bytes: Option<i64>,
}

impl PodBounds {
    pub(crate) fn of(pod: &Pod) -> Self {
        let (milli_cpu, memory_bytes) = qos::pod_limits(pod);
        Self {
            milli_cpu_request: qos::pod_requests(pod).milli_cpu,
            cpu_quota_us: milli_cpu.map(quota),
            memory_bytes,
        }
    }
}

/// Path of the pod's cgroup below every hierarchy.
pub(crate) fn pod_path(config: &KubeletConfig, pod: &Pod) -> String {
    class_path(&config.cgroup_root, qos::qos_class(pod)) + "/pod" + model::uid(pod)
}

fn class_path(root: &str, class: QosClass) -> String {
    let base = format!("{}/kubepods", root.trim_end_matches('/'));
    match class {
        QosClass::Guaranteed => base,
        QosClass::Burstable => base + "/burstable",
        QosClass::BestEffort => base + "/besteffort",
    }
}

impl Cgroups {
    /// Finds the hierarchies and makes the class cgroups.
    pub(crate) fn prepare(config: &KubeletConfig) -> io::Result<Self> {
        let mount = &config.cgroup_mount;
        let unified = mount.join("cgroup.controllers").exists();
        let hierarchies = if unified {
            vec![mount.clone()]
        } else {
            v1_hierarchies(mount)?
        };
        if hierarchies.is_empty() {
            let message = format!("no cgroup hierarchy is mounted at {}", mount.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        }
        let this = Self {
            hierarchies,
            unified,
            root: config.cgroup_root.clone(),
            pids_limit: config.pod_pids_limit,
        };
        for class in CLASSES {
            this.make(&class_path(&this.root, class))?;
        }
        this.set_shares(&class_path(&this.root, QosClass::BestEffort), 0);
        Ok(this)
    }

    /// Makes the pod's cgroup and sets its limits. Those of one that exists are changed by a resize only, which
    /// keeps an order. Returns whether it is new.
    pub(crate) fn create_pod(&self, config: &KubeletConfig, pod: &Pod) -> io::Result<bool> {
        let path = pod_path(config, pod);
        if self.exists(&path) {
            return Ok(false);
        }
        self.make(&path)?;
        let bounds = PodBounds::of(pod);
        self.set_shares(&path, bounds.milli_cpu_request);
        if let Some(quota_us) = bounds.cpu_quota_us {
            self.set_quota(&path, quota_us)?;
        }
        if let Some(bytes) = bounds.memory_bytes {
            self.set_memory(&path, bytes)?;
        }
        if let Some(limit) = self.pids_limit.filter(|l| *l > 0) {
            self.write(&path, "pids", "pids.max", &limit.to_string())?;
        }
        Ok(true)
    }

    fn exists(&self, path: &str) -> bool {
        let mut hierarchies = self.hierarchies.iter();
        hierarchies.all(|hierarchy| below(hierarchy, path).exists())
    }

    /// CPU quota and memory limit that the cgroup has now; `None` where there is none.
    pub(crate) fn bounds(&self, path: &str) -> io::Result<(Option<i64>, Option<i64>)> {
        let (cpu, memory) = if self.unified {
            ("cpu.max", "memory.max")
        } else {
            ("cpu.cfs_quota_us", "memory.limit_in_bytes")
        };
        let quota = first_number(&self.read(path, "cpu", cpu)?).filter(|quota| *quota > 0);
        let memory = first_number(&self.read(path, "memory", memory)?);
        Ok((quota, memory.filter(|bytes| *bytes < UNLIMITED_BYTES)))
    }

    /// Memory charged to the cgroup now, with page cache.
    pub(crate) fn memory_usage(&self, path: &str) -> io::Result<i64> {
        let file = if self.unified {
            "memory.current"
        } else {
            "memory.usage_in_bytes"
        };
        let text = self.read(path, "memory", file)?;
        first_number(&text).ok_or_else(|| io::Error::other(format!("{file} is not a number")))
    }

    /// Bounds the memory of a cgroup.
    pub(crate) fn set_memory(&self, path: &str, bytes: i64) -> io::Result<()> {
        let file = if self.unified {
            "memory.max"
        } else {
            "memory.limit_in_bytes"
        };
        self.write(path, "memory", file, &bytes.to_string())
    }

    /// Removes the pod's cgroup and what is left below it, in whichever class it is.
    pub(crate) fn remove_pod(&self, uid: &str) -> io::Result<()> {
        for class in CLASSES {
            let path = class_path(&self.root, class) + "/pod" + uid;
            for hierarchy in &self.hierarchies {
                remove_tree(&below(hierarchy, &path))?;
            }
        }
        Ok(())
    }

    /// Uids of pods that have a cgroup: orphans among them are removed.
    pub(crate) fn pod_uids(&self) -> Vec<String> {
        let mut uids = Vec::new();
        for class in CLASSES {
            for hierarchy in &self.hierarchies {
                let Ok(entries) = fs::read_dir(below(hierarchy, &class_path(&self.root, class)))
                else {
                    continue;
                };
                let names = entries
                    .flatten()
                    .filter_map(|e| e.file_name().into_string().ok());
                uids.extend(names.filter_map(|n| n.strip_prefix("pod").map(str::to_owned)));
            }
        }
        uids.sort();
        uids.dedup();
        uids
    }

    /// Processes and threads of a pod now; 0 where the kernel does not count them.
    pub(crate) fn pod_processes(&self, uid: &str) -> u64 {
        let files = CLASSES.into_iter().flat_map(|class| {
            let pod = format!("{}/pod{uid}/pids.current", class_path(&self.root, class));
            self.hierarchies
                .iter()
                .map(move |hierarchy| below(hierarchy, &pod))
        });
        let mut counts =
            files.filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
        counts.next().unwrap_or(0)
    }

    /// Gives the burstable class the sum of its pods' requests.
    pub(crate) fn set_burstable_shares(&self, milli_cpu: i64) {
        self.set_shares(&class_path(&self.root, QosClass::Burstable), milli_cpu);
    }

    fn make(&self, path: &str) -> io::Result<()> {
        for hierarchy in &self.hierarchies {
            let mut walked = hierarchy.clone();
            for part in path.split('/').filter(|p| !p.is_empty()) {
                if self.unified {
                    delegate(&walked);
                }
                walked.push(part);
                match fs::create_dir(&walked) {
                    Ok(()) => inherit_cpuset(&walked)?,
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(error),
                }
            }
            if self.unified {
                delegate(&walked);
            }
        }
        Ok(())
    }

    /// Shares only make the CPU's use fairer, so a kernel without the controller is tolerated.
    pub(crate) fn set_shares(&self, path: &str, milli_cpu: i64) {
        let value = shares(milli_cpu);
        let (file, value) = if self.unified {
            ("cpu.weight", weight(value))
        } else {
            ("cpu.shares", value)
        };
        if let Err(error) = self.write(path, "cpu", file, &value.to_string()) {
            tracing::debug!(%error, path, "cpu shares not set");
        }
    }

    /// Bounds the processor time of a cgroup.
    pub(crate) fn set_quota(&self, path: &str, quota_us: i64) -> io::Result<()> {
        if self.unified {
            return self.write(path, "cpu", "cpu.max", &format!("{quota_us} {PERIOD_US}"));
        }
        self.write(path, "cpu", "cpu.cfs_period_us", &PERIOD_US.to_string())?;
        self.write(path, "cpu", "cpu.cfs_quota_us", &quota_us.to_string())
    }

    fn write(&self, path: &str, controller: &str, file: &str, value: &str) -> io::Result<()> {
        fs::write(self.file(path, controller, file)?, value)
    }

    fn read(&self, path: &str, controller: &str, file: &str) -> io::Result<String> {
        fs::read_to_string(self.file(path, controller, file)?)
    }

    fn file(&self, path: &str, controller: &str, file: &str) -> io::Result<PathBuf> {
        let serves = |h: &&PathBuf| self.unified || has_controller(h, controller);
        let Some(hierarchy) = self.hierarchies.iter().find(serves) else {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("no {controller} cgroup controller"),
            ));
        };
        Ok(below(hierarchy, path).join(file))
    }
}

/// The first number of a cgroup's file; `max` is none.
fn first_number(text: &str) -> Option<i64> {
    text.split_whitespace().next()?.parse().ok()
}

fn below(hierarchy: &Path, path: &str) -> PathBuf {
    hierarchy.join(path.trim_start_matches('/'))
}

/// `cpu,cpuacct` and `cpu` both hold the cpu controller.
fn has_controller(hierarchy: &Path, controller: &str) -> bool {
    let name = hierarchy
        .file_name()
        .and_then(|n| n.to_str())
        .unwrap_or_default();
    name.split(',').any(|part| part == controller)
}

/// Mounted v1 hierarchies; a link (`cpu` to `cpu,cpuacct`) is the same one, and a v2 mount beside
/// them (`unified`) belongs to systemd.
fn v1_hierarchies(mount: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(mount)? {
        let entry = entry?;
        let path = entry.path();
        let real = entry.file_type()?.is_dir();
        if real && path.join("cgroup.procs").exists() && !path.join("cgroup.controllers").exists() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Lets children use the controllers that this level has.
fn delegate(dir: &Path) {
    let available = fs::read_to_string(dir.join("cgroup.controllers")).unwrap_or_default();
    for controller in CONTROLLERS
        .iter()
        .filter(|c| available.split_whitespace().any(|a| a == **c))
    {
        if let Err(error) = fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}"))
        {
            tracing::debug!(%error, dir = %dir.display(), controller, "controller not delegated");
        }
    }
}

/// A new v1 cpuset is empty, and no process can join an empty one.
fn inherit_cpuset(dir: &Path) -> io::Result<()> {
    let Some(parent) = dir.parent() else {
        return Ok(());
    };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if dir.join(file).exists()
            && parent.join(file).exists()
            && !dir.join("cgroup.controllers").exists()
        {
            fs::write(dir.join(file), fs::read(parent.join(file))?)?;
        }
    }
    Ok(())
}

/// `rmdir` from the leaves up; the kernel removes a cgroup's files with it.
fn remove_tree(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_follow_the_class() {
        let config = KubeletConfig::new("n", "v");
        let pod: Pod = serde_json::from_value(serde_json::json!({"metadata": {"uid": "u1"},
            "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]}}))
        .unwrap();
        assert_eq!(pod_path(&config, &pod), "/kubepods/burstable/podu1");
        assert_eq!(
            class_path("/k3s-test", QosClass::Guaranteed),
            "/k3s-test/kubepods"
        );
        assert!(has_controller(
            Path::new("/sys/fs/cgroup/cpu,cpuacct"),
            "cpu"
        ));
    }
}
