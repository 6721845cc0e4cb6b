//! Readers who come, come back, fall behind and leave.

use std::collections::BTreeSet;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::http::{Router, Server, ServerConfig};

const PATIENCE: Duration = Duration::from_secs(60);

fn subscription(request: &Request) -> Subscription {
    let kinds: BTreeSet<String> = request.query.all("kind").map(str::to_owned).collect();
    Subscription {
        wants: Box::new(move |kind| kinds.is_empty() || kinds.contains(kind)),
        greeting: vec![("attached".to_owned(), "{}".to_owned())],
        on_gap: Some(("gap".to_owned(), "{}".to_owned())),
        on_end: None,
    }
}

async fn start(bus: &EventBus) -> Server {
    let router = Router::new(bus.clone()).get("/events", |bus: EventBus, request| async move {
        bus.subscribe(&request, subscription(&request)).1
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Server::start(listener, None, ServerConfig::default(), Arc::new(router)).unwrap()
}

fn bus(max_events: usize, max_outstanding: u64) -> EventBus {
    let config = EventBusConfig {
        max_events,
        max_outstanding,
        heartbeat: Duration::from_millis(20),
        ..EventBusConfig::default()
    };
    EventBus::new("b1", config)
}

struct Listener {
    stream: TcpStream,
    text: String,
}

impl Listener {
    async fn open(server: &Server, query: &str, last: &str) -> Self {
        let mut stream = TcpStream::connect(server.local_addr()).await.unwrap();
        let last = match last {
            "" => String::new(),
            last => format!("Last-Event-ID: {last}\r\n"),
        };
        let text = format!("GET /events{query} HTTP/1.1\r\nHost: x\r\n{last}\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let text = String::new();
        let mut listener = Self { stream, text };
        listener.until("event: attached\n").await;
        listener
    }

    /// Reads until something has come.
    async fn until(&mut self, wanted: &str) {
        let reading = async {
            let mut buffer = vec![0; 1 << 16];
            while !self.text.contains(wanted) {
                let count = self.stream.read(&mut buffer).await.unwrap();
                assert!(count > 0, "it ended: {}", self.text);
                let new = String::from_utf8_lossy(&buffer[..count]);
                self.text.push_str(&new);
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.unwrap();
    }

    fn ids(&self) -> Vec<u64> {
        let ids = self
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("id: b1-"));
        ids.map(|id| id.parse().unwrap()).collect()
    }
}

#[tokio::test]
async fn a_reader_hears_what_it_wants_from_now_on() {
    let bus = bus(100, 100);
    let server = start(&bus).await;
    bus.publish("deployed", "{\"n\":0}");
    let mut all = Listener::open(&server, "", "").await;
    let mut some = Listener::open(&server, "?kind=deployed", "").await;
    assert_eq!(bus.readers(), 2);
    bus.publish("changed", "{\"n\":1}");
    bus.publish("deployed", "{\"n\":2}");
    all.until("data: {\"n\":2}\n\n").await;
    some.until("data: {\"n\":2}\n\n").await;
    assert_eq!((all.ids(), some.ids()), (vec![1, 2], vec![2]));
    let frame = "id: b1-2\nevent: deployed\ndata: {\"n\":2}\n\n";
    assert!(some.text.contains(frame), "{}", some.text);
    assert!(
        some.text
            .to_lowercase()
            .contains("content-type: text/event-stream\r\n")
    );
    // It hears that the server is there, too.
    some.text.clear();
    some.until("\r\n\r\n").await;
    drop((all, some));
    let gone = async {
        while bus.readers() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
}

#[tokio::test]
async fn a_reader_that_comes_back_goes_on_where_it_was() {
    let bus = bus(10, 8);
    let server = start(&bus).await;
    for number in 0..6 {
        bus.publish("e", &number.to_string());
    }
    let mut back = Listener::open(&server, "", "b1-2").await;
    back.until("data: 5\n").await;
    assert_eq!(back.ids(), [3, 4, 5]);
    assert!(!back.text.contains("event: gap"));
    let mut current = Listener::open(&server, "", "b1-5").await;
    for number in 6..20 {
        bus.publish("e", &number.to_string());
        current.until(&format!("data: {number}\n")).await;
    }
    assert_eq!(current.ids(), (6..20).collect::<Vec<_>>());
    // Too long away, another leader's reader, and nonsense.
    for last in ["b1-5", "b0-19", "nonsense", "b1-99"] {
        let mut late = Listener::open(&server, "", last).await;
        late.until("event: gap\n").await;
        bus.publish("e", "next");
        late.until("data: next\n").await;
    }
}

#[tokio::test]
async fn a_reader_that_reads_nothing_is_cut_off_and_costs_nothing() {
    let bus = bus(64, 16);
    let server = start(&bus).await;
    let lazy = Listener::open(&server, "", "").await;
    let mut diligent = Listener::open(&server, "", "").await;
    let data = "x".repeat(100_000);
    // Sockets hold some megabytes.
    let publishing = async {
        while bus.readers() > 1 {
            bus.publish("e", &data);
            let wanted = format!("id: b1-{}\n", bus.0.ring().next() - 1);
            diligent.until(&wanted).await;
            diligent.until("xxx\n\n").await;
            diligent.text.clear();
        }
    };
    tokio::time::timeout(PATIENCE, publishing).await.unwrap();
    assert!(bus.0.ring().events.len() <= 64);
    let mut stream = lazy.stream;
    let mut rest = Vec::new();
    // Cut in the middle, whatever was on its way.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest))
        .await
        .unwrap();
    bus.publish("last", "1");
    diligent.until("event: last\n").await;
}

#[test]
fn the_ring_is_bounded_in_bytes_too() {
    let config = EventBusConfig {
        max_bytes: 1000,
        ..EventBusConfig::default()
    };
    let bus = EventBus::new("a leader's", config);
    for _ in 0..100 {
        bus.publish("e", &"x".repeat(300));
    }
    assert!(bus.0.ring().bytes <= 1000);
    bus.publish("e", &"x".repeat(3000));
    assert_eq!(bus.0.ring().events.len(), 1);
    assert_eq!(bus.0.name, "aleaders");
}

#[test]
fn data_of_several_lines_stays_one_event() {
    assert_eq!(frame(None, "e", "a\nb"), "event: e\ndata: a\ndata: b\n\n");
}
