//! One stream that a client opened.

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::frame::{CANCEL, Outgoing};
use crate::header::Headers;

/// Data goes out in frames of this size at most.
const FRAME_BYTES: usize = 32 * 1024;

/// A stream: headers, what the client sends, and a way to answer. Dropping it resets the stream
/// unless it was finished.
#[derive(Debug)]
pub struct Stream {
    headers: Headers,
    data: mpsc::Receiver<Bytes>,
    writer: StreamWriter,
}

/// The server's half of a stream. Dropping it without [`StreamWriter::finish`] resets the stream.
#[derive(Debug)]
pub struct StreamWriter {
    id: u32,
    out: mpsc::Sender<Outgoing>,
    finished: bool,
}

impl Stream {
    pub(crate) fn new(
        id: u32,
        headers: Headers,
        data: mpsc::Receiver<Bytes>,
        out: mpsc::Sender<Outgoing>,
    ) -> Self {
        Self {
            headers,
            data,
            writer: StreamWriter {
                id,
                out,
                finished: false,
            },
        }
    }

    /// What the client opened it with.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The next data; none once the client finished or the connection ended.
    pub async fn read(&mut self) -> Option<Bytes> {
        self.data.recv().await
    }

    /// Both halves, to be used by different tasks.
    #[must_use]
    pub fn split(self) -> (mpsc::Receiver<Bytes>, StreamWriter) {
        (self.data, self.writer)
    }

    /// The half that answers.
    pub fn writer(&mut self) -> &mut StreamWriter {
        &mut self.writer
    }
}

impl StreamWriter {
    /// Sends data; false when the connection is gone.
    pub async fn write(&mut self, mut data: Bytes) -> bool {
        while !data.is_empty() {
            let piece = data.split_to(data.len().min(FRAME_BYTES));
            if self
                .out
                .send(Outgoing::Data {
                    id: self.id,
                    data: piece,
                    fin: false,
                })
                .await
                .is_err()
            {
                return false;
            }
        }
        true
    }

    /// Resolves when the connection is gone.
    pub async fn closed(&self) {
        self.out.closed().await;
    }

    /// Ends the stream's data towards the client.
    pub async fn finish(&mut self) {
        if !std::mem::replace(&mut self.finished, true) {
            // A connection that is gone needs no final frame.
            let _gone = self
                .out
                .send(Outgoing::Data {
                    id: self.id,
                    data: Bytes::new(),
                    fin: true,
                })
                .await;
        }
    }
}

impl Drop for StreamWriter {
    fn drop(&mut self) {
        if !self.finished {
            // If the queue is full, the end of the connection resets the stream too.
            let _full = self.out.try_send(Outgoing::Reset {
                id: self.id,
                status: CANCEL,
            });
        }
    }
}
