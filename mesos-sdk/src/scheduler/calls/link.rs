//! How a call is sent under its subscription, and what its answer means.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::StatusCode;
use http::header::HeaderMap;
use mesos_proto::v1;
use mesos_proto::v1::scheduler::Call;
use tokio::sync::Notify;

use crate::address::HostAddress;
use crate::client::{Encoding, PATH};
use crate::error::{CallError, call_name};
use crate::reconciler::Reconciler;
use crate::transport::Transport;

/// How long calls under way are waited for when their subscription has ended: a
/// master that is gone does not answer, one that took a TEARDOWN does.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Link {
    pub(super) transport: Transport,
    pub(super) server: HostAddress,
    pub(super) headers: HeaderMap,
    pub(super) framework_id: v1::FrameworkId,
    pub(super) encoding: Encoding,
    pub(super) is_over: AtomicBool,
    pub(super) ended: Notify,
    pub(super) tracker: Mutex<Option<Tracked>>,
}

/// Those that want to know what is launched.
#[derive(Debug)]
pub(crate) struct Tracked {
    pub(crate) tasks: Arc<Mutex<Reconciler>>,
    pub(crate) operations: Arc<Mutex<Reconciler>>,
}

impl Link {
    pub(super) async fn send(&self, mut call: Call) -> Result<(), CallError> {
        let name = call_name(&call);
        let begun = Instant::now();
        let result = self.try_send(name, &mut call).await;
        let outcome = if result.is_ok() { "accepted" } else { "failed" };
        metrics::counter!("mesos_sdk_calls_total", "type" => name, "outcome" => outcome)
            .increment(1);
        metrics::histogram!("mesos_sdk_call_seconds", "type" => name).record(begun.elapsed());
        if let Err(error) = &result {
            tracing::debug!(call = name, %error, "call failed");
        }
        result
    }

    async fn try_send(&self, name: &'static str, call: &mut Call) -> Result<(), CallError> {
        let lost = Err(CallError::SessionLost { call: name });
        let ended = self.ended.notified();
        tokio::pin!(ended);
        // From here on no end is missed.
        ended.as_mut().enable();
        if self.is_over.load(Ordering::Acquire) {
            return lost;
        }
        call.framework_id = Some(self.framework_id.clone());
        let body = self.encoding.encode(call);
        let sent = self
            .transport
            .post(&self.server, PATH, self.headers.clone(), body);
        tokio::pin!(sent);
        let answer = tokio::select! {
            biased;
            answer = &mut sent => answer,
            () = ended => match tokio::time::timeout(LAST_ANSWERS, sent).await {
                Ok(answer) => answer,
                Err(_) => {
                    return Err(CallError::Unknown {
                        call: name,
                        reason: "its subscription ended before the answer came".to_owned(),
                    });
                }
            },
        };
        let response = answer.map_err(|error| {
            let reason = error.to_string();
            if error.is_unsent() {
                CallError::Unsent { call: name, reason }
            } else {
                CallError::Unknown { call: name, reason }
            }
        })?;
        let is_other_stream = match response.status {
            StatusCode::OK | StatusCode::ACCEPTED => return Ok(()),
            StatusCode::FORBIDDEN => response.body.starts_with(b"Framework is not subscribed"),
            StatusCode::BAD_REQUEST => {
                response.body.starts_with(b"The stream ID")
                    || response.body.starts_with(b"Framework cannot be found")
            }
            status => status.is_redirection() || status.is_server_error(),
        };
        if is_other_stream {
            return lost;
        }
        Err(CallError::Refused {
            call: name,
            status: response.status.as_u16(),
            message: response.text(),
        })
    }

    pub(super) fn with_reconcilers(&self, change: impl FnOnce(&mut Reconciler, &mut Reconciler)) {
        let tracker = self.tracker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Tracked { tasks, operations }) = tracker.as_ref() {
            let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
            let mut operations = operations.lock().unwrap_or_else(PoisonError::into_inner);
            change(&mut tasks, &mut operations);
        }
    }
}
