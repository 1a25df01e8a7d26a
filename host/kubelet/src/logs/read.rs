//! Reading a container's log for a client: the last lines, since a time, following across rotation
//! (`pkg/kubelet/kuberuntime/logs`).

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use inotify::{EventStream, Inotify, WatchMask};
use jiff::Timestamp;
use k3s_serve::body::BodySender;
use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, BufReader, SeekFrom};

use super::Line;

/// A follower reads the file this often even without a notice: one may be lost on rotation.
const FOLLOW_LIMIT: Duration = Duration::from_secs(1);
/// A single line longer than this is cut into pieces: the runtime splits at 16 KiB itself.
const CHUNK_BYTES: u64 = 64 << 10;

/// What the client asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) follow: bool,
    pub(crate) timestamps: bool,
    pub(crate) tail: Option<u64>,
    pub(crate) since: Option<Timestamp>,
    pub(crate) limit_bytes: Option<u64>,
    /// `stdout` or `stderr` only.
    pub(crate) stream: Option<String>,
}

/// Turns lines of the file into what the client sees.
pub(crate) struct Shaper {
    options: Options,
    left: Option<u64>,
    in_line: bool,
}

impl Shaper {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            left: options.limit_bytes,
            options,
            in_line: false,
        }
    }

    /// What one line adds; `None` once the byte limit is reached.
    pub(crate) fn shape(&mut self, raw: &[u8]) -> Option<Vec<u8>> {
        if self.left == Some(0) {
            return None;
        }
        let Some(line) = Line::parse(raw) else {
            return Some(Vec::new());
        };
        let wanted = self
            .options
            .stream
            .as_deref()
            .is_none_or(|s| s == line.stream);
        let early = self
            .options
            .since
            .is_some_and(|since| line.time.parse::<Timestamp>().is_ok_and(|t| t < since));
        if !wanted || early {
            return Some(Vec::new());
        }
        let mut out = Vec::with_capacity(line.content.len() + 40);
        if self.options.timestamps && !self.in_line {
            out.extend_from_slice(line.time.as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(line.content);
        if !line.partial {
            out.push(b'\n');
        }
        self.in_line = line.partial;
        if let Some(left) = &mut self.left {
            let fits = usize::try_from(*left).unwrap_or(usize::MAX);
            out.truncate(fits);
            *left = left.saturating_sub(out.len() as u64);
        }
        Some(out)
    }
}

/// Sends the log to `sender` until its end; a follower continues until `running` says no or the
/// client leaves.
pub(crate) async fn send<F, Fut>(
    path: PathBuf,
    options: Options,
    sender: BodySender,
    running: F,
) -> std::io::Result<()>
where
    F: Fn() -> Fut + Send,
    Fut: Future<Output = bool> + Send,
{
    let mut file = File::open(&path).await?;
    if let Some(lines) = options.tail {
        let start = tail_start(&mut file, lines).await?;
        file.seek(SeekFrom::Start(start)).await?;
    }
    let mut notices = if options.follow { notices(&path) } else { None };
    let follow = options.follow;
    let mut shaper = Shaper::new(options);
    let mut reader = BufReader::new(file);
    loop {
        // Asked before reading, so that nothing a container wrote before its end is missed.
        let alive = follow && running().await;
        if !drain(&mut reader, &mut shaper, &sender).await? {
            return Ok(());
        }
        if rotated(reader.get_ref(), &path).await {
            reader = BufReader::new(File::open(&path).await?);
            continue;
        }
        if !alive {
            return Ok(());
        }
        tokio::select! {
            () = wait(&mut notices) => {}
            () = sender.closed() => return Ok(()),
        }
    }
}

/// Sends all complete lines; false when the client has left or has all it asked for.
async fn drain(
    reader: &mut BufReader<File>,
    shaper: &mut Shaper,
    sender: &BodySender,
) -> std::io::Result<bool> {
    let mut batch = Vec::new();
    loop {
        let mut line = Vec::new();
        let read = (&mut *reader)
            .take(CHUNK_BYTES)
            .read_until(b'\n', &mut line)
            .await?;
        if line.last() != Some(&b'\n') {
            // The file ends within a line, which is read again once it is complete.
            if read > 0 && (read as u64) < CHUNK_BYTES {
                reader
                    .seek(SeekFrom::Current(-i64::try_from(read).unwrap_or(0)))
                    .await?;
            }
            return Ok(batch.is_empty() || sender.send(batch).await);
        }
        line.pop();
        match shaper.shape(&line) {
            Some(out) => batch.extend(out),
            None => {
                sender.send(batch).await;
                return Ok(false);
            }
        }
        if batch.len() as u64 >= CHUNK_BYTES && !sender.send(std::mem::take(&mut batch)).await {
            return Ok(false);
        }
    }
}

/// Where the last `lines` lines begin: read backwards block by block.
async fn tail_start(file: &mut File, lines: u64) -> std::io::Result<u64> {
    const BLOCK: u64 = 16 << 10;
    let mut end = file.metadata().await?.len();
    if lines == 0 {
        return Ok(end);
    }
    let size = end;
    let mut seen = 0;
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(start)).await?;
        let mut block = vec![0; usize::try_from(end - start).unwrap_or(0)];
        file.read_exact(&mut block).await?;
        for (at, _) in block.iter().enumerate().rev().filter(|(_, b)| **b == b'\n') {
            let position = start + at as u64 + 1;
            // The newline at the very end closes the last line.
            if position == size {
                continue;
            }
            seen += 1;
            if seen == lines {
                return Ok(position);
            }
        }
        end = start;
    }
    Ok(0)
}

async fn rotated(open: &File, path: &Path) -> bool {
    match (open.metadata().await, tokio::fs::metadata(path).await) {
        (Ok(open), Ok(now)) => open.ino() != now.ino(),
        _ => false,
    }
}

fn notices(path: &Path) -> Option<EventStream<[u8; 1024]>> {
    let inotify = Inotify::init().ok()?;
    inotify
        .watches()
        .add(
            path.parent()?,
            WatchMask::MODIFY | WatchMask::CREATE | WatchMask::MOVED_FROM,
        )
        .ok()?;
    inotify.into_event_stream([0; 1024]).ok()
}

async fn wait(notices: &mut Option<EventStream<[u8; 1024]>>) {
    let limit = tokio::time::sleep(FOLLOW_LIMIT);
    match notices {
        Some(events) => {
            tokio::select! {
                _ = events.next() => {}
                () = limit => {}
            }
        }
        None => limit.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(text: &str, options: Options) -> String {
        let path =
            std::env::temp_dir().join(format!("k3s-log-{}-{:p}", std::process::id(), &options));
        std::fs::write(&path, text).unwrap();
        let (sender, body) = k3s_serve::body::channel(100);
        send(path.clone(), options, sender, || async { false })
            .await
            .unwrap();
        std::fs::remove_file(path).unwrap();
        String::from_utf8(k3s_serve::body::read(body, 1 << 20).await.unwrap().to_vec()).unwrap()
    }

    const LOG: &str = "2026-01-01T00:00:01Z stdout F one\n2026-01-01T00:00:02Z stderr P tw\n2026-01-01T00:00:02Z stderr F o\n2026-01-01T00:00:03Z stdout F three\n";

    #[tokio::test]
    async fn options_select_and_shape() {
        let plain = Options::default();
        assert_eq!(read(LOG, plain.clone()).await, "one\ntwo\nthree\n");
        assert_eq!(
            read(
                LOG,
                Options {
                    tail: Some(1),
                    ..plain.clone()
                }
            )
            .await,
            "three\n"
        );
        assert_eq!(
            read(
                LOG,
                Options {
                    tail: Some(0),
                    ..plain.clone()
                }
            )
            .await,
            ""
        );
        assert_eq!(
            read(
                LOG,
                Options {
                    limit_bytes: Some(5),
                    ..plain.clone()
                }
            )
            .await,
            "one\nt"
        );
        assert_eq!(
            read(
                LOG,
                Options {
                    stream: Some("stderr".into()),
                    ..plain.clone()
                }
            )
            .await,
            "two\n"
        );
        let since = Some("2026-01-01T00:00:03Z".parse().unwrap());
        assert_eq!(
            read(
                LOG,
                Options {
                    since,
                    timestamps: true,
                    ..plain
                }
            )
            .await,
            "2026-01-01T00:00:03Z three\n"
        );
    }

    #[tokio::test]
    async fn a_follower_sees_what_comes_and_a_rotated_file() {
        let dir = std::env::temp_dir().join(format!("k3s-follow-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("0.log");
        std::fs::write(&path, "2026-01-01T00:00:01Z stdout F one\n").unwrap();
        let alive = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
        let flag = alive.clone();
        let (sender, body) = k3s_serve::body::channel(100);
        let options = Options {
            follow: true,
            ..Options::default()
        };
        let task = tokio::spawn(send(path.clone(), options, sender, move || {
            let flag = flag.clone();
            async move { flag.load(std::sync::atomic::Ordering::SeqCst) }
        }));
        tokio::time::sleep(Duration::from_millis(50)).await;
        std::fs::rename(&path, dir.join("0.log.1")).unwrap();
        std::fs::write(&path, "2026-01-01T00:00:02Z stdout F two\n").unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        alive.store(false, std::sync::atomic::Ordering::SeqCst);
        task.await.unwrap().unwrap();
        assert_eq!(
            k3s_serve::body::read(body, 1000).await.unwrap(),
            "one\ntwo\n"
        );
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
