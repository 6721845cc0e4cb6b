//! Stands between schedulers and a master, passes everything on as it is, and
//! notes which updates it delivers and which acknowledgements the master takes.
//! An acknowledgement that a scheduler has sent
//! is answered, also when the scheduler is killed before it hears of it; but by
//! then the master may know that its subscription is over, and refuse it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use mesos_proto::json;
use mesos_sdk::recordio::Decoder;
use mesos_sdk::v1::TaskStatus;
use mesos_sdk::v1::scheduler::{Call, Event};
use prost::{Message, Name};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::fixture::PATIENCE;

/// An update that wants to be acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Update {
    /// Of which task.
    pub task: String,
    /// Which update.
    pub uuid: Bytes,
}

/// How often each update was on the wire.
#[derive(Debug, Clone, Default)]
struct Notes {
    delivered: BTreeMap<Update, usize>,
    acknowledged: BTreeMap<Update, usize>,
}

/// A tapped line to a master.
#[derive(Debug)]
pub struct Wiretap {
    address: SocketAddr,
    noted: Arc<watch::Sender<Notes>>,
}

impl Wiretap {
    /// Taps the line to a master, for as long as the runtime lives.
    ///
    /// # Panics
    ///
    /// When there is no port to be had.
    pub async fn of(master: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let noted = Arc::new(watch::Sender::new(Notes::default()));
        let notes = Arc::clone(&noted);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, master, Arc::clone(&notes)));
            }
        });
        Self { address, noted }
    }

    /// Where schedulers are to call, as `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The updates whose acknowledgement the master has taken.
    #[must_use]
    pub fn acknowledged(&self) -> BTreeSet<Update> {
        self.noted.borrow().acknowledged.keys().cloned().collect()
    }

    /// Waits until so many updates were acknowledged.
    ///
    /// # Panics
    ///
    /// When they are not in time.
    pub async fn wait_for(&self, count: usize) {
        let mut noted = self.noted.subscribe();
        let enough = noted.wait_for(|noted| noted.acknowledged.len() >= count);
        let in_time = tokio::time::timeout(PATIENCE, enough).await.is_ok();
        assert!(
            in_time,
            "{count} acknowledgements do not come: {:#?}",
            self.noted.borrow()
        );
    }

    /// No update was acknowledged more often than it was delivered: an agent may
    /// send one again while its acknowledgement is under way.
    ///
    /// # Panics
    ///
    /// When one was.
    pub fn assert_once(&self) {
        let noted = self.noted.borrow();
        for (update, times) in &noted.acknowledged {
            let delivered = noted.delivered.get(update).unwrap_or(&0);
            assert!(times <= delivered, "{update:?}: {times} for {delivered}");
        }
    }
}

async fn relay(client: TcpStream, master: SocketAddr, noted: Arc<watch::Sender<Notes>>) {
    let Ok(upstream) = TcpStream::connect(master).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_master, mut to_master) = upstream.into_split();
    // What each request that is not answered yet acknowledges.
    let (ask, asked) = std::sync::mpsc::channel();
    let (answer, mut answered) = watch::channel(0);
    let answers = tokio::spawn(async move {
        let mut answers = Answers::default();
        let mut chunk = vec![0; 64 << 10];
        let mut is_there = true;
        while let Ok(length @ 1..) = from_master.read(&mut chunk).await {
            answers.unread.extend_from_slice(&chunk[..length]);
            while let Some(said) = answers.next_said() {
                match said {
                    Said::Status(status) => {
                        // Every answer has a request.
                        if let (Ok(Some(update)), "202") = (asked.try_recv(), &*status) {
                            noted.send_modify(|noted| {
                                *noted.acknowledged.entry(update).or_default() += 1;
                            });
                        }
                        answer.send_modify(|answered| *answered += 1);
                    }
                    Said::Event(event) => {
                        let status = event.update.map(|update| update.status);
                        if let Some(update) = status.and_then(update_of) {
                            noted.send_modify(|noted| {
                                *noted.delivered.entry(update).or_default() += 1;
                            });
                        }
                    }
                }
            }
            is_there = is_there && to_client.write_all(&chunk[..length]).await.is_ok();
        }
    });
    let mut requests = Requests::default();
    let mut count = 0;
    let mut is_stream = false;
    let mut chunk = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from_client.read(&mut chunk).await {
        requests.unread.extend_from_slice(&chunk[..length]);
        while let Some(body) = requests.next_body() {
            count += 1;
            let call: Call = read(&body);
            is_stream |= call.subscribe.is_some();
            let update = call.acknowledge.map(|acknowledge| Update {
                task: acknowledge.task_id.value,
                uuid: acknowledge.uuid,
            });
            if ask.send(update).is_err() {
                return;
            }
        }
        if to_master.write_all(&chunk[..length]).await.is_err() {
            break;
        }
    }
    if !is_stream {
        // The master has hung up, or answers what it was asked last.
        let _ = answered.wait_for(|answered| *answered >= count).await;
    }
    answers.abort();
}

fn update_of(status: TaskStatus) -> Option<Update> {
    let task = status.task_id.value;
    status.uuid.map(|uuid| Update { task, uuid })
}

/// What a master says on one connection.
#[derive(Default)]
struct Answers {
    unread: Vec<u8>,
    /// The events of a stream, once it has begun.
    events: Option<Decoder>,
}

enum Said {
    /// The status of an answer.
    Status(String),
    Event(Box<Event>),
}

impl Answers {
    fn next_said(&mut self) -> Option<Said> {
        let Some(events) = &mut self.events else {
            let (lines, body) = head(&self.unread)?;
            let status = lines
                .split_whitespace()
                .nth(1)
                .unwrap_or_default()
                .to_owned();
            let length = if lines.contains("transfer-encoding: chunked") {
                self.events = Some(Decoder::default());
                0
            } else {
                content_length(&lines)
            };
            if self.unread.len() < body + length {
                return None;
            }
            self.unread.drain(..body + length);
            return Some(Said::Status(status));
        };
        loop {
            if let Ok(Some(record)) = events.next_record() {
                return Some(Said::Event(Box::new(read(&record))));
            }
            let line = self.unread.windows(2).position(|bytes| bytes == b"\r\n")?;
            let length = std::str::from_utf8(&self.unread[..line]).ok()?;
            let length = usize::from_str_radix(length, 16).ok()?;
            let data = line + 2;
            if self.unread.len() < data + length + 2 {
                return None;
            }
            events.push(Bytes::copy_from_slice(&self.unread[data..data + length]));
            self.unread.drain(..data + length + 2);
        }
    }
}

/// The lines of a message before its body, small letters alone, and where the
/// body begins.
fn head(unread: &[u8]) -> Option<(String, usize)> {
    let end = unread.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let lines = String::from_utf8_lossy(&unread[..end]).to_lowercase();
    Some((lines, end + 4))
}

fn content_length(lines: &str) -> usize {
    let mut lines = lines.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length:"));
    length.map_or(0, |length| length.trim().parse().expect("a length"))
}

/// A message in either encoding; an empty one, when it is another.
fn read<M: Message + Name + Default>(body: &[u8]) -> M {
    if body.starts_with(b"{") {
        json::from_slice(body).unwrap_or_default()
    } else {
        M::decode(body).unwrap_or_default()
    }
}

/// The requests of one connection, each with the length of its body.
#[derive(Default)]
struct Requests {
    unread: Vec<u8>,
}

impl Requests {
    fn next_body(&mut self) -> Option<Vec<u8>> {
        let (lines, body) = head(&self.unread)?;
        let end = body + content_length(&lines);
        if self.unread.len() < end {
            return None;
        }
        let request: Vec<u8> = self.unread.drain(..end).collect();
        Some(request[body..].to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_wherever_they_are_cut() {
        let text =
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nnoHTTP/1.1 202 Accepted\r\n\r\n\
            HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
            c\r\n20\n{\"type\":\"\r\nb\r\nHEARTBEAT\"}\r\n";
        let mut answers = Answers::default();
        let mut said = Vec::new();
        for byte in text {
            answers.unread.push(*byte);
            while let Some(next) = answers.next_said() {
                said.push(match next {
                    Said::Status(status) => status,
                    Said::Event(event) => event.r#type().as_str_name().to_owned(),
                });
            }
        }
        assert_eq!(said, ["403", "202", "200", "HEARTBEAT"]);
    }

    #[test]
    fn requests_are_told_apart_wherever_they_are_cut() {
        let text = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n";
        let mut requests = Requests::default();
        let mut bodies = Vec::new();
        for byte in text {
            requests.unread.push(*byte);
            bodies.extend(requests.next_body());
        }
        assert_eq!(bodies, [b"abc".to_vec(), Vec::new()]);
    }
}
