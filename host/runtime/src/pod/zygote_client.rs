//! The process that shims are forked from: started when first needed, and again when it died.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use k3s_lifecycle::Tasks;
use k3s_sys::cgroup::Cgroups;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::oneshot;

use crate::error::{Context, Error, Result, ShimFailure};
use crate::shim::protocol::{
    ARGV0, RemoteError, ShimPids, ShimStarted, StartShim, decode_frame, message,
};

/// Making namespaces may wait for the kernel to end others; more than this is a fault.
const START_TIMEOUT: Duration = Duration::from_secs(60);

type Waiting =
    Arc<Mutex<HashMap<String, oneshot::Sender<std::result::Result<ShimPids, RemoteError>>>>>;

/// Starts shims.
pub(crate) struct Zygote {
    executable: PathBuf,
    cgroup: String,
    tasks: Tasks,
    writer: tokio::sync::Mutex<Option<OwnedWriteHalf>>,
    waiting: Waiting,
}

impl Zygote {
    pub(crate) fn new(executable: PathBuf, cgroup: String, tasks: Tasks) -> Self {
        Self {
            executable,
            cgroup,
            tasks,
            writer: tokio::sync::Mutex::new(None),
            waiting: Waiting::default(),
        }
    }

    /// Forks a shim and waits until it serves.
    pub(crate) async fn start(&self, request: &StartShim) -> Result<ShimPids> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().insert(request.sandbox.clone(), sender);
        let sent = self.send(&message(request)).await;
        let answer = match sent {
            Ok(()) => tokio::time::timeout(START_TIMEOUT, receiver).await,
            Err(error) => {
                self.waiting.lock().remove(&request.sandbox);
                return Err(error);
            }
        };
        self.waiting.lock().remove(&request.sandbox);
        match answer {
            Ok(Ok(result)) => Ok(result.map_err(ShimFailure::StartShim)?),
            Ok(Err(_)) => Err(ShimFailure::ParentEnded.into()),
            Err(_) => Err(Error::Timeout("the start of the shim".into())),
        }
    }

    /// Sends to the zygote; a new one is started when it is not there or gone.
    async fn send(&self, bytes: &[u8]) -> Result<()> {
        let mut writer = self.writer.lock().await;
        if let Some(open) = writer.as_mut()
            && open.write_all(bytes).await.is_ok()
        {
            return Ok(());
        }
        let fresh = writer.insert(self.spawn()?);
        fresh
            .write_all(bytes)
            .await
            .context(|| "start the shim's parent".into())
    }

    fn spawn(&self) -> Result<OwnedWriteHalf> {
        let context = || format!("run {} as {ARGV0}", self.executable.display());
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().context(context)?;
        ours.set_nonblocking(true).context(context)?;
        let command = k3s_sys::process::command(&self.executable);
        let mut child = tokio::process::Command::from(command)
            .arg0(ARGV0)
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context(context)?;
        // Children stay in their parent's group: this moves all shims out of the server's.
        let cgroup = Cgroups::detect().context(context)?.group(&self.cgroup);
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.ok_or(ShimFailure::ParentEnded)?;
        cgroup
            .create()
            .and_then(|()| cgroup.add(pid))
            .context(|| format!("move shims to the control group {}", self.cgroup))?;
        let (reader, writer) = UnixStream::from_std(ours).context(context)?.into_split();
        let waiting = self.waiting.clone();
        self.tasks.spawn_until_stopped("zygote", async move {
            dispatch(reader, &waiting).await;
            waiting.lock().clear();
            let _ = child.wait().await;
        });
        Ok(writer)
    }
}

/// Hands the zygote's answers to the calls that wait for them, until the zygote is gone.
async fn dispatch(mut reader: OwnedReadHalf, waiting: &Waiting) {
    let mut buffer = Vec::new();
    let mut chunk = vec![0; 4096];
    while let Ok(count @ 1..) = reader.read(&mut chunk).await {
        buffer.extend_from_slice(chunk.get(..count).unwrap_or_default());
        loop {
            match decode_frame(&mut buffer) {
                Ok(Some((_, payload))) => deliver(&payload, waiting),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

fn deliver(payload: &[u8], waiting: &Waiting) {
    let Ok(started) = serde_json::from_slice::<ShimStarted>(payload) else {
        return;
    };
    let waiter = waiting.lock().remove(&started.sandbox);
    if let Some(waiter) = waiter {
        // The call may have timed out meanwhile.
        let _ = waiter.send(started.result);
    }
}
