//! The handle through which the store and its own tasks write: it checks sizes, queues the write for
//! the sequencer and waits for the answer.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::error::WriteError;
use crate::model::{Attachment, Committed, Op, Write};
use crate::options::StoreOptions;
use crate::shared::Shared;

/// A write on its way to the sequencer.
pub(crate) struct Request {
    pub(crate) write: Write,
    pub(crate) attachment: Attachment,
    pub(crate) reply: oneshot::Sender<Result<Committed, WriteError>>,
    /// How often another server changed the key before this write could be committed.
    pub(crate) tries: u32,
}

/// Sends writes to the sequencer. Clones feed the same queue.
#[derive(Clone)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Request>,
}

impl Writer {
    /// A writer and the end of the queue that the sequencer reads.
    pub(crate) fn new(shared: Arc<Shared>) -> (Self, mpsc::Receiver<Request>) {
        let (queue, requests) = mpsc::channel(shared.options.queue_writes.max(1));
        (Self { shared, queue }, requests)
    }

    /// See [`crate::Store::write`].
    pub(crate) async fn write(&self, write: Write) -> Result<Committed, WriteError> {
        let options = &self.shared.options;
        check_sizes(&write, options)?;
        let attachment = match &write.op {
            Op::Put { value, .. } => options.extract.of(&write.key, value),
            Op::Delete => Arc::new(()),
        };
        let (reply, result) = oneshot::channel();
        let request = Request {
            write,
            attachment,
            reply,
            tries: 0,
        };
        let sent = self.queue.send(request).await;
        sent.map_err(|_| WriteError::Closed)?;
        result.await.unwrap_or(Err(WriteError::Closed))
    }

    /// How many writes wait for the sequencer.
    pub(crate) fn queued(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }
}

/// Refuses a key or value that is above its limit.
fn check_sizes(write: &Write, options: &StoreOptions) -> Result<(), WriteError> {
    check_size("key", write.key.len(), options.key_limit_bytes)?;
    if let Op::Put { value, .. } = &write.op {
        check_size("value", value.len(), options.value_limit_bytes)?;
    }
    Ok(())
}

fn check_size(what: &'static str, bytes: usize, limit_bytes: usize) -> Result<(), WriteError> {
    if bytes <= limit_bytes {
        return Ok(());
    }
    Err(WriteError::TooLarge {
        what,
        bytes,
        limit_bytes,
    })
}
