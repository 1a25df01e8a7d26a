//! Container output as CRI log files: `<RFC 3339 time> stdout|stderr F|P <text>`
//! (kubernetes `pkg/kubelet/kuberuntime/logs`).

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;

use k3s_base::Clock;

/// A longer line is cut into pieces marked `P`; containerd's default.
const LINE_LIMIT_BYTES: usize = 16 << 10;

/// The output of a process that a line is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// One container's log. Without a path it discards everything.
#[derive(Debug)]
pub(super) struct Log {
    path: Option<PathBuf>,
    file: Option<File>,
    /// Text without a newline yet, by stream; at most [`LINE_LIMIT_BYTES`] each.
    pending: [Vec<u8>; 2],
}

impl Log {
    pub(super) fn open(path: Option<PathBuf>) -> io::Result<Self> {
        let file = path.as_ref().map(append_to).transpose()?;
        Ok(Self {
            path,
            file,
            pending: [Vec::new(), Vec::new()],
        })
    }

    /// Goes on in a new file under the old name, after the old one was renamed.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        self.file = self.path.as_ref().map(append_to).transpose()?;
        Ok(())
    }

    /// Appends output. A full disk loses lines but never stops the container.
    pub(super) fn write(&mut self, stream: Stream, data: &[u8], clock: &Clock) {
        let Some(file) = &mut self.file else { return };
        let [stdout, stderr] = &mut self.pending;
        let pending = if stream == Stream::Stdout {
            stdout
        } else {
            stderr
        };
        let records = records(pending, stream, data, &stamp(clock));
        let _ = file.write_all(&records);
    }

    /// Writes what has no newline, as a partial line.
    pub(super) fn finish(&mut self, stream: Stream, clock: &Clock) {
        let [stdout, stderr] = &mut self.pending;
        let pending = if stream == Stream::Stdout {
            stdout
        } else {
            stderr
        };
        let rest = std::mem::take(pending);
        if let (Some(file), false) = (&mut self.file, rest.is_empty()) {
            let mut out = Vec::new();
            record(&mut out, &stamp(clock), stream, b'P', &rest);
            let _ = file.write_all(&out);
        }
    }
}

/// containerd's.
const LOG_MODE: u32 = 0o640;

fn append_to(path: &PathBuf) -> io::Result<File> {
    if let Some(parent) = path.parent() {
        k3s_sys::fs::create_dirs(parent, 0o755)?;
    }
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(LOG_MODE)
        .open(path)?;
    // Collectors of logs read it, whatever the shim's umask.
    file.set_permissions(Permissions::from_mode(LOG_MODE))?;
    Ok(file)
}

/// Nine digits of fraction, as Go's `RFC3339Nano` parses.
fn stamp(clock: &Clock) -> String {
    clock.now().strftime("%Y-%m-%dT%H:%M:%S.%9fZ").to_string()
}

/// The records that `data` completes, given what was pending; updates what is pending.
fn records(pending: &mut Vec<u8>, stream: Stream, data: &[u8], stamp: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 64);
    for piece in data.split_inclusive(|&octet| octet == b'\n') {
        let (text, whole) = piece
            .strip_suffix(b"\n")
            .map_or((piece, false), |text| (text, true));
        pending.extend_from_slice(text);
        while pending.len() > LINE_LIMIT_BYTES {
            let rest = pending.split_off(LINE_LIMIT_BYTES);
            record(&mut out, stamp, stream, b'P', pending);
            *pending = rest;
        }
        if whole {
            record(&mut out, stamp, stream, b'F', pending);
            pending.clear();
        }
    }
    out
}

fn record(out: &mut Vec<u8>, stamp: &str, stream: Stream, tag: u8, text: &[u8]) {
    out.extend_from_slice(stamp.as_bytes());
    out.push(b' ');
    out.extend_from_slice(stream.name().as_bytes());
    out.extend_from_slice(&[b' ', tag, b' ']);
    out.extend_from_slice(text);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_or_marked_partial() {
        let mut pending = Vec::new();
        assert_eq!(
            records(&mut pending, Stream::Stdout, b"one\ntw", "T"),
            b"T stdout F one\n"
        );
        assert_eq!(
            records(&mut pending, Stream::Stdout, b"o\n\n", "T"),
            b"T stdout F two\nT stdout F \n"
        );
        let long = vec![b'x'; LINE_LIMIT_BYTES + 1];
        let out = records(
            &mut pending,
            Stream::Stderr,
            &[&long[..], b"\n"].concat(),
            "T",
        );
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("T stderr P xxx"));
        assert!(text.ends_with("\nT stderr F x\n"));
        assert!(pending.is_empty());
    }

    #[test]
    fn rotation_goes_on_in_the_new_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pod/c/0.log");
        let clock = Clock::system();
        let mut log = Log::open(Some(path.clone())).unwrap();
        log.write(Stream::Stdout, b"before\n", &clock);
        std::fs::rename(&path, dir.path().join("old.log")).unwrap();
        log.reopen().unwrap();
        log.write(Stream::Stderr, b"after", &clock);
        log.finish(Stream::Stderr, &clock);
        assert!(
            std::fs::read_to_string(dir.path().join("old.log"))
                .unwrap()
                .ends_with(" stdout F before\n")
        );
        assert!(
            std::fs::read_to_string(&path)
                .unwrap()
                .ends_with(" stderr P after\n")
        );
    }
}
