//! Container logs on disk: their paths, their format and their removal. The runtime writes the files,
//! in the CRI format (`time stream tag content`).

pub(crate) mod read;
pub(crate) mod rotate;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Pod;

use crate::config::KubeletConfig;
use crate::model::{self, ContainerRecord};

/// `/var/log/pods/NAMESPACE_NAME_UID`.
pub(crate) fn pod_log_dir(base: &Path, pod: &Pod) -> PathBuf {
    base.join(format!(
        "{}_{}_{}",
        model::namespace(pod),
        model::name(pod),
        model::uid(pod)
    ))
}

/// The pod's directories below the kubelet's root and the log directory.
pub(crate) fn prepare_pod_dir(config: &KubeletConfig, pod: &Pod) -> io::Result<()> {
    let dir = config.pod_dir(model::uid(pod));
    for sub in ["volumes", "containers"] {
        std::fs::create_dir_all(dir.join(sub))?;
    }
    std::fs::create_dir_all(pod_log_dir(&config.pod_log_dir, pod))
}

/// The directory of one container's logs.
pub(crate) fn prepare_container_dir(
    config: &KubeletConfig,
    pod: &Pod,
    container: &str,
) -> io::Result<()> {
    std::fs::create_dir_all(pod_log_dir(&config.pod_log_dir, pod).join(container))
}

fn link_path(config: &KubeletConfig, pod: &Pod, container: &str, id: &str) -> PathBuf {
    config.container_log_dir.join(format!(
        "{}_{}_{container}-{id}.log",
        model::name(pod),
        model::namespace(pod)
    ))
}

/// The link that log collectors follow. Nothing else needs it, so a failure is only logged.
pub(crate) fn link(config: &KubeletConfig, pod: &Pod, container: &str, id: &str, attempt: u32) {
    let target = pod_log_dir(&config.pod_log_dir, pod)
        .join(container)
        .join(format!("{attempt}.log"));
    let link = link_path(config, pod, container, id);
    let made = std::fs::create_dir_all(&config.container_log_dir)
        .and_then(|()| std::os::unix::fs::symlink(target, &link));
    if let Err(error) = made.or_else(|e| {
        if e.kind() == io::ErrorKind::AlreadyExists {
            Ok(())
        } else {
            Err(e)
        }
    }) {
        tracing::debug!(%error, link = %link.display(), "container log not linked");
    }
}

/// The log files of one attempt, rotated ones too, and its link.
pub(crate) fn remove_container_log(config: &KubeletConfig, pod: &Pod, record: &ContainerRecord) {
    let dir = pod_log_dir(&config.pod_log_dir, pod).join(&record.name);
    let own = format!("{}.log", record.attempt);
    let rotated = format!("{own}.");
    let entries = std::fs::read_dir(&dir).into_iter().flatten();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name == own || name.starts_with(&rotated) {
            forget(&entry.path());
        }
    }
    let link = link_path(config, pod, &record.name, &record.id);
    forget(&link);
}

fn forget(path: &Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::debug!(%error, path = %path.display(), "log file not removed");
        }
        _ => {}
    }
}

/// The pod's log directory.
pub(crate) fn remove_pod_dir(config: &KubeletConfig, pod: &Pod) {
    let dir = pod_log_dir(&config.pod_log_dir, pod);
    if let Err(error) = k3s_sys::fs::remove_all(&dir) {
        tracing::debug!(%error, dir = %dir.display(), "pod log directory not removed");
    }
}

/// Removes the log directories of unknown pods, and links whose log does not exist any more.
pub(crate) fn remove_orphans(config: &KubeletConfig, known: &HashSet<String>) {
    for entry in std::fs::read_dir(&config.pod_log_dir)
        .into_iter()
        .flatten()
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        let ours = name.split('_').count() == 3;
        if ours
            && !name
                .rsplit('_')
                .next()
                .is_some_and(|uid| known.contains(uid))
        {
            let _gone_meanwhile = k3s_sys::fs::remove_all(&entry.path());
        }
    }
    for entry in std::fs::read_dir(&config.container_log_dir)
        .into_iter()
        .flatten()
        .flatten()
    {
        let path = entry.path();
        let dangling = path
            .symlink_metadata()
            .is_ok_and(|m| m.file_type().is_symlink())
            && !path.exists();
        let ours =
            std::fs::read_link(&path).is_ok_and(|target| target.starts_with(&config.pod_log_dir));
        if dangling && ours {
            forget(&path);
        }
    }
}

/// One line in the CRI format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) time: &'a str,
    pub(crate) stream: &'a str,
    /// The next line continues the content.
    pub(crate) partial: bool,
    pub(crate) content: &'a [u8],
}

impl<'a> Line<'a> {
    /// Reads a line without its newline; `None` for a line of another format.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let mut parts = line.splitn(4, |b| *b == b' ');
        let time = std::str::from_utf8(parts.next()?).ok()?;
        let stream = std::str::from_utf8(parts.next()?).ok()?;
        let tags = parts.next()?;
        let content = parts.next().unwrap_or_default();
        let first_tag = tags.split(|byte| *byte == b':').next();
        let is_known = matches!(stream, "stdout" | "stderr");
        if !is_known {
            return None;
        }
        Some(Self {
            time,
            stream,
            partial: first_tag == Some(b"P"),
            content,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_parsed() {
        let line = Line::parse(b"2026-01-01T00:00:00.1Z stderr P a b").unwrap();
        assert_eq!(
            (line.stream, line.partial, line.content),
            ("stderr", true, b"a b".as_slice())
        );
        assert_eq!(
            Line::parse(b"2026-01-01T00:00:00.1Z stdout F ")
                .unwrap()
                .content,
            b""
        );
        assert_eq!(Line::parse(b"garbage"), None);
    }
}
