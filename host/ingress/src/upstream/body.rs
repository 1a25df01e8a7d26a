//! A request's body on its way to a server, which stays ours until somebody reads from it: a request
//! whose body nobody touched can be sent to another server.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use k3s_serve::{Body, BoxError};
use parking_lot::Mutex;

/// Holds a body between attempts.
#[derive(Clone, Debug)]
pub(crate) struct Keeper(Arc<Mutex<Option<Body>>>);

/// The body of one attempt.
#[derive(Debug)]
pub(crate) struct Outgoing {
    keeper: Keeper,
    taken: Option<Body>,
}

impl Keeper {
    pub(crate) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(Some(body))))
    }

    /// A body for the next attempt; none once bytes of it were read.
    pub(crate) fn attempt(&self) -> Option<Outgoing> {
        self.is_whole().then(|| Outgoing {
            keeper: self.clone(),
            taken: None,
        })
    }

    /// A body that is the rest of what there is.
    pub(crate) fn whole(&self) -> Outgoing {
        Outgoing {
            keeper: self.clone(),
            taken: None,
        }
    }

    /// Nothing was read yet.
    pub(crate) fn is_whole(&self) -> bool {
        self.0.lock().is_some()
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.taken.is_none() {
            let body = self.keeper.0.lock().take();
            self.taken = body;
        }
        match &mut self.taken {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.taken {
            Some(body) => body.is_end_stream(),
            None => self
                .keeper
                .0
                .lock()
                .as_ref()
                .is_none_or(HttpBody::is_end_stream),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.taken {
            Some(body) => body.size_hint(),
            None => self
                .keeper
                .0
                .lock()
                .as_ref()
                .map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint),
        }
    }
}
