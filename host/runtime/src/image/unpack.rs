//! Unpacking of one layer, in a process of its own: the executable run again under the name [`ARGV0`],
//! with little memory, few descriptors and a mount namespace that ends with it. What a layer does to it is
//! an error of one pull.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus, Stdio};

use k3s_lifecycle::Tasks;
use k3s_sys::fs::SocketDir;
use k3s_sys::namespace::{self, Kind};
use k3s_sys::process::Limits;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use super::error::ImageError;
use super::layer;
use super::tarball::Cancelled;
use crate::shim::protocol::RemoteError;

/// `argv[0]` of the process.
pub(crate) const ARGV0: &str = "k3s-unpack";
/// A request names some hundred layers, an answer a digest or an error.
const MESSAGE_LIMIT_BYTES: u64 = 1 << 20;
/// Address space: the executable, a decompressor's window of at most 128 MiB, and what is remembered of a
/// layer of four million entries.
const MEMORY_LIMIT_BYTES: u64 = 2 << 30;
/// Removal of a tree in an overlay may hold one for each of 600 levels.
const DESCRIPTORS_LIMIT: u64 = 1024;
/// A layer of 50 GiB takes less on the slowest machines.
const CPU_LIMIT_SECONDS: u64 = 3600;

/// A layer, and where to unpack it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct UnpackRequest {
    /// The archive.
    pub(crate) layer: PathBuf,
    /// The folder that `parents` are in.
    pub(crate) layers_dir: PathBuf,
    /// The layers below, lowest first.
    pub(crate) parents: Vec<String>,
    /// An empty folder for everything that is made; the layer becomes [`UnpackRequest::target`].
    pub(crate) dir: PathBuf,
}

impl UnpackRequest {
    /// The folder of the unpacked layer.
    pub(crate) fn target(&self) -> PathBuf {
        self.dir.join("fs")
    }
}

/// What the process says at its end: the digest of the uncompressed archive.
type Answer = Result<String, RemoteError>;

/// Starts the processes.
#[derive(Clone, Debug)]
pub(crate) struct Unpacker {
    executable: PathBuf,
    pub(super) tasks: Tasks,
}

impl Unpacker {
    pub(crate) fn new(executable: PathBuf, tasks: Tasks) -> Self {
        Self { executable, tasks }
    }

    /// Unpacks a layer and returns the digest of its content; ends at once when the other side of
    /// `wanted` is dropped, or the group stops.
    pub(super) async fn unpack<T>(
        &self,
        request: &UnpackRequest,
        wanted: &mut oneshot::Sender<T>,
    ) -> Result<String, ImageError> {
        let mut child = Command::from(k3s_sys::process::command(&self.executable))
            .arg0(ARGV0)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let stopping = self.tasks.stopping();
        let answer = tokio::select! {
            answer = exchange(&mut child, request) => answer,
            () = wanted.closed() => Err(ImageError::Cancelled),
            () = stopping.cancelled() => Err(ImageError::Cancelled),
        };
        if answer.is_err() {
            // Its folder is removed next.
            let _ = child.kill().await;
        }
        answer
    }
}

async fn exchange(child: &mut Child, request: &UnpackRequest) -> Result<String, ImageError> {
    let bytes = serde_json::to_vec(request).map_err(io::Error::other)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A process that has ended says why with its status.
        let _ = stdin.write_all(&bytes).await;
    }
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout
            .take(MESSAGE_LIMIT_BYTES)
            .read_to_end(&mut answer)
            .await?;
    }
    let status = child.wait().await?;
    match serde_json::from_slice::<Answer>(&answer) {
        Ok(answer) => answer.map_err(ImageError::Layer),
        Err(_) => Err(ImageError::Unpacker(ended(status))),
    }
}

/// How a process ended that said nothing.
fn ended(status: ExitStatus) -> String {
    use nix::libc::{SIGABRT, SIGKILL, SIGXCPU};
    match status.signal() {
        Some(SIGABRT) => "it needs more memory than a layer may".to_owned(),
        Some(SIGXCPU) => "it takes more time than a layer may".to_owned(),
        Some(SIGKILL) => "it was killed, perhaps for want of memory".to_owned(),
        _ => status.to_string(),
    }
}

/// The process: reads a request, unpacks, answers.
pub(crate) fn child_main() -> ExitCode {
    let answer: Answer = serve().map_err(|error| RemoteError::new(&error));
    let written = serde_json::to_vec(&answer)
        .map_err(io::Error::other)
        .and_then(|bytes| io::stdout().write_all(&bytes));
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve() -> Result<String, ImageError> {
    let cancelled = Cancelled::when_orphaned();
    k3s_sys::process::limit(&Limits {
        memory_bytes: MEMORY_LIMIT_BYTES,
        descriptors: DESCRIPTORS_LIMIT,
        cpu_seconds: CPU_LIMIT_SECONDS,
    })?;
    let mut bytes = Vec::new();
    io::stdin()
        .take(MESSAGE_LIMIT_BYTES)
        .read_to_end(&mut bytes)?;
    let request: UnpackRequest = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
    namespace::leave(&[Kind::Mount])?;
    k3s_sys::mount::make_private()?;
    unpack(&request, &cancelled)
}

/// Unpacks into the request's target, and writes it to disk.
fn unpack(request: &UnpackRequest, cancelled: &Cancelled) -> Result<String, ImageError> {
    let target = request.target();
    // The root of a container, which its users must enter.
    k3s_sys::fs::create_dirs(&target, 0o755)?;
    let file = File::open(&request.layer)?;
    let digest = if request.parents.is_empty() {
        layer::apply(file, &target, cancelled)?
    } else {
        unpack_over_parents(request, file, cancelled)?
    };
    layer::sync(&target)?;
    Ok(digest)
}

fn unpack_over_parents(
    request: &UnpackRequest,
    file: File,
    cancelled: &Cancelled,
) -> Result<String, ImageError> {
    let (work, root) = (request.dir.join("work"), request.dir.join("root"));
    for dir in [&work, &root] {
        k3s_sys::fs::create_dirs(dir, 0o700)?;
    }
    let short = SocketDir::open(&request.layers_dir)?;
    let parents = request.parents.iter().rev();
    let lowers: Vec<_> = parents.map(|name| short.path(name)).collect();
    k3s_sys::mount::overlay(&lowers, &request.target(), &work, &root)?;
    let applied = layer::apply(file, &root, cancelled);
    k3s_sys::mount::detach(&root)?;
    applied
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn header(kind: tar::EntryType) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        header
    }

    /// Directories `steps` levels below `deep`, and so many again below each of `links` links, each to
    /// the end of what the one before reached. Without the end of the archive.
    fn deep_layer(steps: usize, links: usize) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut directory = header(tar::EntryType::Directory);
        let mut symlink = header(tar::EntryType::Symlink);
        let steps = "/x".repeat(steps);
        let mut end = format!("deep{steps}");
        tar.append_data(&mut directory, &end, io::empty()).unwrap();
        for link in 0..links {
            let name = format!("l{link}");
            tar.append_link(&mut symlink, &name, format!("/{end}"))
                .unwrap();
            end = format!("{name}{steps}");
            tar.append_data(&mut directory, &end, io::empty()).unwrap();
        }
        let mut layer = tar.into_inner().unwrap();
        layer.truncate(layer.len() - 1024);
        layer
    }

    fn unpack_in(dir: &Path, layer: &[u8]) -> Result<PathBuf, ImageError> {
        let request = UnpackRequest {
            layer: dir.join("layer"),
            layers_dir: dir.to_path_buf(),
            parents: Vec::new(),
            dir: dir.join("new"),
        };
        std::fs::write(&request.layer, layer).unwrap();
        unpack(&request, &Cancelled::default())?;
        Ok(request.target())
    }

    #[test]
    fn a_layer_that_is_too_deep_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        unpack_in(dir.path(), &deep_layer(200, 0)).unwrap();
        // By its own path, and through links that make each path short.
        for (steps, links) in [(600, 0), (900, 33), (200, 33)] {
            let dir = tempfile::tempdir().unwrap();
            let error = unpack_in(dir.path(), &deep_layer(steps, links)).unwrap_err();
            let text = k3s_base::error::chain(&error);
            assert!(text.contains("nested too deeply"), "{text}");
        }
    }

    #[test]
    fn a_deep_directory_gives_way_to_a_file() {
        let mut tar = tar::Builder::new(deep_layer(200, 1));
        let mut file = header(tar::EntryType::Regular);
        tar.append_data(&mut file, "deep", io::empty()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let fs = unpack_in(dir.path(), &tar.into_inner().unwrap()).unwrap();
        assert!(fs.join("deep").is_file());
    }

    #[test]
    fn what_is_no_file_is_not_opened_for_its_attributes() {
        let mut tar = tar::Builder::new(Vec::new());
        tar.append_pax_extensions([("SCHILY.xattr.user.a", &b"b"[..])])
            .unwrap();
        let mut fifo = header(tar::EntryType::Fifo);
        tar.append_data(&mut fifo, "fifo", io::empty()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let fs = unpack_in(dir.path(), &tar.into_inner().unwrap()).unwrap();
        assert!(fs.join("fifo").exists());
    }

    #[test]
    fn an_opaque_mark_hides_nothing_of_its_own_layer() {
        let mut tar = tar::Builder::new(Vec::new());
        for name in ["d/own", "d/.wh..wh..opq"] {
            let mut file = header(tar::EntryType::Regular);
            tar.append_data(&mut file, name, io::empty()).unwrap();
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("new/fs/d")).unwrap();
        std::fs::write(dir.path().join("new/fs/d/old"), "x").unwrap();
        let fs = unpack_in(dir.path(), &tar.into_inner().unwrap()).unwrap();
        let names: Vec<_> = std::fs::read_dir(fs.join("d"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["own"]);
    }
}
