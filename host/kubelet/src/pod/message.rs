//! A container's termination message: what it wrote to its termination message file, or the end of its log
//! (`pkg/kubelet/kuberuntime/kuberuntime_container.go`, `getTerminationMessage`).

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use k8s_openapi::api::core::v1::Pod;

use crate::config::KubeletConfig;
use crate::container::request::message_file;
use crate::logs::Line;
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
        return log_tail(&read_end(Path::new(&record.log_path)).unwrap_or_default());
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

/// The end of what a container said, as it said it: output without a newline gets none.
fn log_tail(log: &str) -> String {
    let lines: Vec<Line<'_>> = log
        .split_terminator('\n')
        .filter_map(|line| Line::parse(line.as_bytes()))
        .collect();
    let start = lines.len().saturating_sub(LOG_LIMIT_LINES);
    let mut tail = Vec::new();
    for line in lines.iter().skip(start) {
        tail.extend_from_slice(line.content);
        if !line.partial {
            tail.push(b'\n');
        }
    }
    let excess = tail.len().saturating_sub(LOG_LIMIT_BYTES);
    let tail = tail.get(excess..).unwrap_or_default();
    // A character that the limit cuts is no character.
    let whole = tail.iter().position(|byte| byte & 0xC0 != 0x80);
    let tail = tail.get(whole.unwrap_or(0)..).unwrap_or_default();
    String::from_utf8_lossy(tail).into_owned()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn line(tag: &str, content: &str) -> String {
        format!("2026-01-01T00:00:00.1Z stdout {tag} {content}\n")
    }

    #[test]
    fn the_end_of_a_log_is_what_the_container_said() {
        let (whole, open) = (line("F", "a"), line("P", "b"));
        for (log, expected) in [
            (open.clone(), "b"),
            (whole.clone(), "a\n"),
            (format!("{whole}{open}{whole}"), "a\nba\n"),
            (format!("cut off\n{whole}"), "a\n"),
            (String::new(), ""),
        ] {
            assert_eq!(log_tail(&log), expected, "{log}");
        }
    }

    #[test]
    fn the_end_of_a_log_has_bounds() {
        let many = line("F", "x").repeat(LOG_LIMIT_LINES + 1);
        assert_eq!(log_tail(&many), "x\n".repeat(LOG_LIMIT_LINES));
        let long = line("P", &format!("{}z", "\u{e9}".repeat(LOG_LIMIT_BYTES)));
        let expected = format!("{}z", "\u{e9}".repeat(LOG_LIMIT_BYTES / 2 - 1));
        assert_eq!(log_tail(&long), expected);
    }
}
