//! The client of one shim: a connection per request.

use std::path::{Path, PathBuf};
use std::time::Duration;

use k3s_sys::fs::SocketDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::error::{Context, Error, Result, ShimFailure};
use crate::shim::protocol::{
    FRAME_HEADER_BYTES, Kind, Request, Response, SOCKET, frame, message, parse_header,
};

/// A shim works on one request at a time, and each is short; a shim that does not answer within this
/// is stuck.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// One frame.
pub(crate) type Frame = (Kind, Vec<u8>);

/// The shim whose socket is in a folder.
#[derive(Clone, Debug)]
pub(crate) struct ShimClient {
    dir: PathBuf,
}

/// A connection that became a stream.
#[derive(Debug)]
pub(crate) struct ShimStream {
    pub(crate) reader: FrameReader,
    pub(crate) writer: FrameWriter,
}

#[derive(Debug)]
pub(crate) struct FrameReader(OwnedReadHalf);

#[derive(Debug)]
pub(crate) struct FrameWriter(OwnedWriteHalf);

impl ShimClient {
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_path_buf(),
        }
    }

    async fn connect(&self, request: &Request) -> Result<ShimStream> {
        let connect = || "connect to the shim".to_owned();
        let dir = SocketDir::open(&self.dir).context(connect)?;
        let stream = UnixStream::connect(dir.path(SOCKET))
            .await
            .context(connect)?;
        let (reader, mut writer) = stream.into_split();
        writer.write_all(&message(request)).await.context(connect)?;
        Ok(ShimStream {
            reader: FrameReader(reader),
            writer: FrameWriter(writer),
        })
    }

    /// Sends a request and waits until it is done.
    pub(crate) async fn call(&self, request: &Request) -> Result<()> {
        self.open(request).await.map(drop)
    }

    /// Sends a request that turns the connection into a stream.
    pub(crate) async fn open(&self, request: &Request) -> Result<ShimStream> {
        let mut stream = self.connect(request).await?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, stream.reader.response()).await;
        match answer.map_err(|_| Error::Timeout("the shim".into()))?? {
            Some(Response::Failed(error)) => Err(ShimFailure::Refused(error).into()),
            Some(_) => Ok(stream),
            None => Err(ShimFailure::Closed.into()),
        }
    }

    /// The states of its containers, now and at each change.
    pub(crate) async fn subscribe(&self) -> Result<FrameReader> {
        self.connect(&Request::Subscribe).await.map(|stream| {
            // The shim sees an end of input as the client leaving, so this half must stay open.
            let ShimStream { reader, writer } = stream;
            writer.0.forget();
            reader
        })
    }
}

impl FrameReader {
    /// The next frame; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>> {
        let read = || "read from the shim".to_owned();
        let mut header = [0; FRAME_HEADER_BYTES];
        match self.0.read_exact(&mut header).await {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other.context(read)?,
        };
        let Some((length, kind)) = parse_header(&header).map_err(ShimFailure::Frame)? else {
            return Ok(None);
        };
        let mut payload = vec![0; length];
        self.0.read_exact(&mut payload).await.context(read)?;
        Ok(Some((kind, payload)))
    }

    /// The next message; none at the end.
    pub(crate) async fn response(&mut self) -> Result<Option<Response>> {
        let Some((_, payload)) = self.next().await? else {
            return Ok(None);
        };
        let response = serde_json::from_slice(&payload).map_err(ShimFailure::Answer)?;
        Ok(Some(response))
    }
}

impl FrameWriter {
    pub(crate) async fn send(&mut self, kind: Kind, payload: &[u8]) -> Result<()> {
        self.0
            .write_all(&frame(kind, payload))
            .await
            .context(|| "write to the shim".into())
    }
}
