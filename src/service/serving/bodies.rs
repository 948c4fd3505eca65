//! The body of a request and the body of an answer: they tell when they have ended.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::places::BodyAccount;
use super::progress::Progress;

/// The body of a request, gathered into one piece. A client may send each byte by itself; as a list of pieces they would take thirty times
/// the memory.
pub(super) struct RequestBody {
    incoming: Incoming,
    progress: Progress,
    account: BodyAccount,
    gathered: Vec<u8>,
    limit_bytes: usize,
}

impl RequestBody {
    pub(super) fn new(
        incoming: Incoming,
        progress: Progress,
        account: BodyAccount,
        limit_bytes: usize,
    ) -> Self {
        Self { incoming, progress, account, gathered: Vec::new(), limit_bytes }
    }

    fn take_in(&mut self, piece: &[u8]) {
        if self.gathered.capacity() == 0 {
            // What is promised, at once: growing by and by leaves pieces of memory behind.
            let promised = self.incoming.size_hint().exact().map_or(0, |left| left as usize);
            self.gathered.reserve_exact(promised.saturating_add(piece.len()).min(self.limit_bytes));
        }
        self.gathered.extend_from_slice(piece);
        self.account.add(piece.len());
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        loop {
            match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    // Trailers say nothing that anybody here reads.
                    let Ok(data) = frame.into_data() else { continue };
                    self.take_in(&data);
                    // Too much for every handler: whoever reads it refuses it now.
                    if self.gathered.len() > self.limit_bytes {
                        break;
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    self.progress.body_came();
                    break;
                }
            }
        }
        let gathered = std::mem::take(&mut self.gathered);
        Poll::Ready((!gathered.is_empty()).then(|| Ok(Frame::data(gathered.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream() && self.gathered.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        self.progress.body_came();
    }
}

/// The body of an answer.
pub(super) struct AnswerBody {
    body: Body,
    progress: Progress,
}

impl AnswerBody {
    pub(super) fn new(body: Body, progress: Progress) -> Self {
        Self { body, progress }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.progress.answered();
    }
}
