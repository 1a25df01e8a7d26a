//! A container's termination message: what it wrote to its termination message file, or the end of its log
//! (`pkg/kubelet/kuberuntime/kuberuntime_container.go`, `getTerminationMessage`).

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use k8s_openapi::api::core::v1::Pod;

use crate::config::KubeletConfig;
use crate::container::request::message_file;
use crate::logs;
use crate::model::{self, ContainerRecord, Observed, State, every_container};

/// `MaxContainerTerminationMessageLength`.
const MESSAGE_LIMIT_BYTES: u64 = 4096;
/// `MaxContainerTerminationMessageLogLength` and `...LogLines`.
const LOG_LIMIT_BYTES: usize = 2048;
const LOG_LIMIT_LINES: usize = 80;

/// Messages of ended containers by id. A file is read once, since the container cannot write to it
/// any more.
#[derive(Debug, Default)]
pub(crate) struct TerminationMessages(HashMap<String, String>);

impl TerminationMessages {
    /// Adds the messages to the records of ended containers, and drops containers that no longer exist.
    pub(crate) fn fill(&mut self, config: &KubeletConfig, pod: &Pod, observed: &mut Observed) {
        let records = &mut observed.containers;
        let exists = |id: &String| records.iter().any(|record| record.id == *id);
        self.0.retain(|id, _| exists(id));
        for record in records {
            if record.state != State::Exited {
                continue;
            }
            let known = self.0.entry(record.id.clone());
            let message = known.or_insert_with(|| termination_message(config, pod, record));
            if !message.is_empty() {
                record.message.clone_from(message);
            }
        }
    }
}

/// The message to show for an ended container.
fn termination_message(config: &KubeletConfig, pod: &Pod, record: &ContainerRecord) -> String {
    let mut containers = pod.spec.iter().flat_map(every_container);
    let found = containers.find(|(_, container)| container.name == record.name);
    let Some((_, container)) = found else {
        return String::new();
    };
    let uid = model::uid(pod);
    let file = message_file(config, uid, &record.name, record.attempt);
    let message = read_start(&file).unwrap_or_default();
    if !message.is_empty() {
        return message;
    }
    let policy = container.termination_message_policy.as_deref();
    let from_logs = policy == Some("FallbackToLogsOnError");
    if from_logs && record.exit_code != 0 {
        return log_tail(Path::new(&record.log_path));
    }
    record.message.clone()
}

/// A missing file is a container that said nothing.
fn read_start(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    let mut start = file.take(MESSAGE_LIMIT_BYTES);
    start.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    Some(text.into_owned())
}

fn log_tail(path: &Path) -> String {
    let text = read_end(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter_map(logs::content).collect();
    let start = lines.len().saturating_sub(LOG_LIMIT_LINES);
    let mut tail = String::new();
    for line in lines.iter().skip(start) {
        tail.push_str(line);
        tail.push('\n');
    }
    let excess = tail.len().saturating_sub(LOG_LIMIT_BYTES);
    let mut positions = excess..tail.len();
    let cut = positions.find(|at| tail.is_char_boundary(*at));
    let tail = tail.get(cut.unwrap_or(0)..);
    tail.unwrap_or_default().to_owned()
}

/// The end of a log. Every line carries a header; twice the limit is enough to fill it with content.
fn read_end(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let size = file.metadata().ok()?.len();
    let start = size.saturating_sub(4 * LOG_LIMIT_BYTES as u64);
    file.seek(SeekFrom::Start(start)).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    Some(text.into_owned())
}
