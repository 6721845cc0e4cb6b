//! Numbers about requests and answers.

use std::time::Instant;

use http::Method;

use super::Response;

/// One request, until it is answered.
pub(super) struct Measured {
    begun: Instant,
    method: &'static str,
}

impl Measured {
    pub(super) fn begin(method: &Method, body_bytes: usize) -> Self {
        metrics::gauge!("http.requests.active.gauge").increment(1.0);
        metrics::counter!("http.requests.size.counter.bytes").increment(body_bytes as u64);
        let method = match method.as_str() {
            "GET" => "get",
            "POST" => "post",
            "PUT" => "put",
            "DELETE" => "delete",
            "PATCH" => "patch",
            "HEAD" => "head",
            "OPTIONS" => "options",
            _ => "other",
        };
        Self {
            begun: Instant::now(),
            method,
        }
    }

    pub(super) fn end(&self, response: &Response, is_packed: bool) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let method = self.method;
        metrics::histogram!("http.requests.duration.timer.seconds").record(seconds);
        let name = format!("http.requests.{method}.duration.timer.seconds");
        metrics::histogram!(name).record(seconds);
        let class = response.status.as_u16() / 100;
        metrics::counter!(format!("http.responses.{class}xx.rate.meter")).increment(1);
        let bytes = response.body.as_full().map_or(0, |body| body.len() as u64);
        metrics::counter!("http.responses.size.counter.bytes").increment(bytes);
        if is_packed {
            metrics::counter!("http.responses.size.gzipped.counter.bytes").increment(bytes);
        }
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        metrics::gauge!("http.requests.active.gauge").decrement(1.0);
    }
}
