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
pub(crate) struct Keeper(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    body: Option<Body>,
    /// Reading it failed: the client broke off, or wrote what is not HTTP.
    failed: bool,
}

/// The body of one attempt.
#[derive(Debug)]
pub(crate) struct Outgoing {
    keeper: Keeper,
    taken: Option<Body>,
}

impl Keeper {
    pub(crate) fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(State {
            body: Some(body),
            failed: false,
        })))
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
        self.0.lock().body.is_some()
    }

    /// The client is to blame for a request that was not sent whole.
    pub(crate) fn failed(&self) -> bool {
        self.0.lock().failed
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
            let body = self.keeper.0.lock().body.take();
            self.taken = body;
        }
        let Some(body) = &mut self.taken else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(body).poll_frame(cx);
        if let Poll::Ready(Some(Err(_))) = &polled {
            self.keeper.0.lock().failed = true;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.taken {
            Some(body) => body.is_end_stream(),
            None => self
                .keeper
                .0
                .lock()
                .body
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
                .body
                .as_ref()
                .map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint),
        }
    }
}
