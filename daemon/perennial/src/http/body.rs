use std::{
    error::Error,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes};
use futures::StreamExt as _;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::{
    sync::watch,
    time::{Sleep, sleep},
};

use super::ApiError;

/// A body took longer than `http.body_seconds`.
#[derive(Debug, thiserror::Error)]
#[error("the body did not arrive within http.body_seconds = {0}")]
struct Late(u64);

/// A request's body while it arrives: it must be whole within its time, and tells when it is.
pub(super) struct Arriving {
    incoming: Incoming,
    late: Pin<Box<Sleep>>,
    seconds: u64,
    whole: Arc<watch::Sender<bool>>,
}

impl Arriving {
    pub(super) fn new(incoming: Incoming, seconds: u64, whole: Arc<watch::Sender<bool>>) -> Self {
        whole.send_replace(incoming.is_end_stream());
        Self { incoming, late: Box::pin(sleep(Duration::from_secs(seconds))), seconds, whole }
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        // Asked first: a body that drips never lets the inner one wait for long.
        if self.late.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Some(Err(Late(self.seconds).into())));
        }
        let frame = std::task::ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        if frame.is_none() || self.incoming.is_end_stream() {
            self.whole.send_replace(true);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// All of a short body.
pub(super) async fn collect(body: Body, bytes_max: usize) -> Result<Vec<u8>, ApiError> {
    let (mut stream, mut bytes) = (body.into_data_stream(), Vec::new());
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(broken)?;
        if bytes.len() + chunk.len() > bytes_max {
            return Err(ApiError::too_large(format!("the body is longer than {bytes_max} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Why a body came to no end.
pub(super) fn broken(error: axum::Error) -> ApiError {
    let error = error.into_inner();
    match error.downcast_ref::<Late>() {
        Some(late) => ApiError::timed_out(late.to_string()),
        None => ApiError::bad_request(format!("the body broke off: {error}")),
    }
}
