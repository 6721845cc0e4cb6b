//! Plays a scene: opens the streams, makes the calls, breaks what was broken.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use mesos_local::Cluster;
use mesos_sdk::address::HostAddress;
use mesos_sdk::transport::{Response, Transport, TransportConfig};
use mesos_tests::compare;
use mesos_tests::fixture::PATIENCE;
use mesos_tests::framework::{Opened, Records, SCHEDULER, open};
use mesos_tests::scenes::Difference;
use serde_json::{Value, json};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use crate::cast::{Cast, summary};
use crate::review;
use crate::scene::{ALLOCATION_INTERVAL, Action, Scene};
use crate::stalls::Stalls;

/// How much earlier than recorded batches of the allocator come.
const EARLIER: Duration = Duration::from_millis(10);

/// How much later than recorded things may come where time is not all.
const LATENESS: Duration = Duration::from_secs(5);

/// What came of a scene.
pub(crate) struct Played {
    /// What the streams heard, by their labels, and whether they ended.
    pub(crate) heard: BTreeMap<String, (Vec<Value>, bool)>,
    /// What requests were answered otherwise.
    pub(crate) complaints: Vec<String>,
    /// The machine was so slow that something may have come after a batch of the
    /// allocator that it came before: another scene was played.
    pub(crate) is_another: bool,
}

pub(crate) struct Player<'a> {
    pub(crate) scene: &'a Scene,
    differences: &'a [Difference],
    pub(crate) cluster: Cluster,
    pub(crate) master: HostAddress,
    pub(crate) transport: Transport,
    pub(crate) streams: BTreeMap<String, Playing>,
    cast: Cast,
    /// Whether updates are acknowledged as they come.
    pub(crate) acknowledges: watch::Sender<bool>,
    complaints: Vec<String>,
    pub(crate) master_died: Option<Instant>,
}

pub(crate) struct Playing {
    records: Records,
    stream_id: String,
    pub(crate) framework_id: Option<String>,
    /// Dropped when the client hangs up.
    pub(crate) opened: Option<Opened>,
}

/// Plays a scene to its end.
pub(crate) async fn play(scene: &Scene, differences: &[Difference]) -> Result<Played, String> {
    let (cluster, started) = {
        // One after the other, so that none starts slowly.
        static STARTING: Mutex<()> = Mutex::const_new(());
        let _turn = STARTING.lock().await;
        (scene.cluster().await, Instant::now())
    };
    // Batches of the allocator come a little before the times they came at
    // then: the first is due one interval after the master has started.
    let start = started + ALLOCATION_INTERVAL + EARLIER - scene.batch_phase();
    let address = cluster.master_address();
    let mut player = Player {
        scene,
        differences,
        master: HostAddress::http(address.ip().to_string(), address.port()),
        cluster,
        transport: Transport::new(TransportConfig::default()),
        streams: BTreeMap::new(),
        cast: Cast::default(),
        acknowledges: watch::Sender::new(true),
        complaints: Vec::new(),
        master_died: None,
    };
    let batch = |at: Instant| {
        let since = at.saturating_duration_since(started);
        since.as_nanos() / ALLOCATION_INTERVAL.as_nanos()
    };
    let stalls = Stalls::watch();
    let mut is_another = false;
    for action in scene.actions() {
        tokio::time::sleep_until(start + action.at).await;
        player.catch_up(action.heard_until()).await?;
        player
            .act(&action)
            .await
            .map_err(|why| format!("{:.1?} {}: {why}", action.at, action.what))?;
        is_another |= scene.is_about_offers() && batch(Instant::now()) != batch(start + action.at);
    }
    player.catch_up(Duration::MAX).await?;
    let heard = player.streams.iter();
    let heard = heard
        .map(|(label, playing)| {
            let told = (playing.records.all(), playing.records.is_closed());
            (label.clone(), told)
        })
        .collect();
    is_another |= scene.is_about_offers() && stalls.longest() >= EARLIER;
    Ok(Played {
        heard,
        complaints: player.complaints,
        is_another,
    })
}

impl Player<'_> {
    /// Waits until everything that was heard before a time is heard now.
    async fn catch_up(&self, time: Duration) -> Result<(), String> {
        for label in self.streams.keys() {
            self.hear(label, time).await?;
        }
        Ok(())
    }

    /// The same for one stream.
    async fn hear(&self, label: &str, time: Duration) -> Result<(), String> {
        let playing = &self.streams[label];
        let recorded = self.scene.stream(label).unwrap();
        let mut wanted = review::counts(recorded.before(time));
        wanted.retain(|what, _| {
            let line = format!("{label}: {what}");
            !self.differences.iter().any(|(part, _)| line.contains(part))
        });
        let is_last = time == Duration::MAX;
        let is_ended = is_last && recorded.is_ended();
        let offers = if is_last && self.scene.is_about_offers() {
            review::offered(recorded.records()).len()
        } else {
            0
        };
        let done = playing.records.until(|records, is_closed| {
            let heard = review::counts(records.iter());
            let has = |(what, count): (&String, &usize)| heard.get(what) >= Some(count);
            let is_all = wanted.iter().all(has) && (is_closed || !is_ended);
            (is_all && review::offered(records.iter()).len() >= offers).then_some(())
        });
        if tokio::time::timeout(PATIENCE, done).await.is_err() {
            let heard = review::counts(playing.records.all().iter());
            let lacking: Vec<_> = wanted
                .iter()
                .filter(|(what, count)| heard.get(*what) < Some(count))
                .collect();
            return Err(format!(
                "{label} does not hear by {time:.1?}: {lacking:#?} (ended: {is_ended}, OFFERS: {offers}); it heard {heard:#?}"
            ));
        }
        Ok(())
    }

    async fn act(&mut self, action: &Action<'_>) -> Result<(), String> {
        let what = action.what;
        if what.ends_with("tried without pause") && action.response["status"] == 200 {
            // The try that a master took that had just started.
            return self.subscribe("patient-first-try").await;
        }
        if what.contains("without pause") {
            // How a master answers before it is one is not played: here it is
            // one as soon as it listens.
            return Ok(());
        }
        if let Some(label) = what.strip_prefix("an operator subscribes (") {
            return self.subscribe(label.trim_end_matches(')')).await;
        }
        if let Some((label, _)) = what.split_once(" subscribes")
            && self.scene.stream(label).is_some()
        {
            return self.subscribe(label).await;
        }
        if let Some((label, _)) = what.split_once(" sends ") {
            return self.send(label, action).await;
        }
        if let Some(label) = what.strip_suffix(" closes its connection") {
            // It heard no more after that.
            self.hear(label, Duration::MAX).await?;
            return self.hang_up(label).await;
        }
        if let Some((label, offered)) = what.split_once(" was offered ") {
            self.was_offered(label, offered)?;
            // What follows was recorded without a word: a TEARDOWN.
            if !self.streams[label].records.is_closed() {
                let torn_down = self.call(label, json!({"type": "TEARDOWN"})).await;
                torn_down.map_err(|error| error.to_string())?;
            }
            return Ok(());
        }
        if action.request.is_object() {
            return self.request(action).await;
        }
        self.fault(what).await
    }

    async fn subscribe(&mut self, label: &str) -> Result<(), String> {
        let recorded = self.scene.stream(label).ok_or("no such stream")?;
        let call = self.cast.translate(&recorded.request["body"]);
        let path = recorded.request["path"].as_str().unwrap();
        let headers = headers(&recorded.request["headers"]);
        let body = Bytes::from(call.to_string());
        let opened = open(&self.transport, &self.master, path, headers, body).await;
        let expected = recorded.response["status"].as_u64().unwrap();
        if u64::from(opened.status) != expected {
            return Err(format!("status {} for {expected}", opened.status));
        }
        let stream_id = opened.headers.get("Mesos-Stream-Id");
        let stream_id = stream_id.map_or("", |id| id.to_str().unwrap()).to_owned();
        let records = opened.records.clone();
        let first = recorded.records().find_map(framework_id);
        let mut playing = Playing {
            records: records.clone(),
            stream_id,
            framework_id: None,
            opened: Some(opened),
        };
        if let Some(recorded_id) = first {
            let id = records.wait("SUBSCRIBED", framework_id).await;
            self.cast.bind(&recorded_id, &id);
            playing.framework_id = Some(id.clone());
            let call = Acknowledging {
                transport: self.transport.clone(),
                master: self.master.clone(),
                stream_id: playing.stream_id.clone(),
                framework_id: id,
                when: self.acknowledges.subscribe(),
            };
            tokio::spawn(call.run(records));
        }
        self.streams.insert(label.to_owned(), playing);
        Ok(())
    }

    async fn send(&mut self, label: &str, action: &Action<'_>) -> Result<(), String> {
        for id in Cast::ids(action.request) {
            self.resolve(&id, action.at).await?;
        }
        let mut call = self.cast.translate(action.request);
        if self.scene.name.starts_with("check-health") {
            call = with_quick_servers(&call);
        }
        with_our_executors(&mut call);
        self.recent_uuid(label, &mut call).await;
        match self.call(label, call).await {
            Ok(response) => self.check(action, &response),
            // Then there was no answer either.
            Err(_) if action.response.is_object() && action.response["status"].is_null() => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Recorded uuids mean nothing today: the update they belong to does.
    async fn recent_uuid(&self, label: &str, call: &mut Value) {
        let Some(uuid) = call["acknowledge"]["uuid"].as_str() else {
            return;
        };
        let status = |record: &Value| record["update"]["status"].clone();
        let recorded = self.scene.stream(label).unwrap();
        let told = recorded.records().map(status).find(|s| s["uuid"] == uuid);
        let Some(told) = told else { return };
        let same = |record: &Value| {
            let status = status(record);
            (status["task_id"] == told["task_id"] && status["state"] == told["state"])
                .then(|| status["uuid"].clone())
        };
        let records = &self.streams[label].records;
        call["acknowledge"]["uuid"] = records.wait("the update", same).await;
    }

    async fn call(
        &self,
        label: &str,
        mut call: Value,
    ) -> Result<Response, mesos_sdk::transport::Error> {
        let playing = &self.streams[label];
        if call["framework_id"].is_null() {
            call["framework_id"] = json!({"value": playing.framework_id});
        }
        let mut headers = headers(&json!({"Content-Type": "application/json"}));
        headers.insert("Mesos-Stream-Id", playing.stream_id.parse().unwrap());
        let body = Bytes::from(call.to_string());
        let transport = &self.transport;
        transport.post(&self.master, SCHEDULER, headers, body).await
    }

    async fn request(&mut self, action: &Action<'_>) -> Result<(), String> {
        let request = self.cast.translate(action.request);
        let address = match action.what {
            what if what.starts_with("the agent lists") => {
                let agent = self.cluster.agent_addresses()[0];
                HostAddress::http(agent.ip().to_string(), agent.port())
            }
            _ => self.master.clone(),
        };
        let path = request["path"].as_str().unwrap();
        let mut headers = headers(&request["headers"]);
        let is_get = request["method"] == "GET";
        if !is_get && !headers.contains_key("content-type") {
            headers.insert("content-type", "application/json".parse().unwrap());
            headers.insert("accept", "application/json".parse().unwrap());
        }
        let kind = request["body"]["type"].as_str().unwrap_or_default();
        let is_read = is_get || kind.starts_with("GET_");
        let deadline = Instant::now() + LATENESS;
        loop {
            let (path, headers) = (path, headers.clone());
            let response = if is_get {
                self.transport.get(&address, path, headers).await
            } else {
                let body = Bytes::from(request["body"].to_string());
                self.transport.post(&address, path, headers, body).await
            };
            let complaint = complaint(action, &response.map_err(|error| error.to_string())?)?;
            let Some(complaint) = complaint else {
                return Ok(());
            };
            let complaint = format!("{:.1?} {}: {complaint}", action.at, action.what);
            let is_known = self
                .differences
                .iter()
                .any(|(part, _)| complaint.contains(part));
            // What is read may be true a little later than it was then.
            let may_come = is_read && !is_known && !self.scene.is_about_offers();
            if !may_come || Instant::now() > deadline {
                self.complaints.push(complaint);
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn check(&mut self, action: &Action<'_>, response: &Response) -> Result<(), String> {
        if let Some(complaint) = complaint(action, response)? {
            self.complaints
                .push(format!("{:.1?} {}: {complaint}", action.at, action.what));
        }
        Ok(())
    }

    fn was_offered(&mut self, label: &str, offered: &str) -> Result<(), String> {
        let records = self.streams[label].records.all();
        let mut hosts: Vec<_> = offers(&records)
            .map(|offer| offer["hostname"].as_str().unwrap().to_owned())
            .collect();
        hosts.sort();
        hosts.dedup();
        let got = format!("{hosts:?}").replace('"', "'");
        if !offered.starts_with("nothing") && got != offered {
            return Err(format!("was offered {got}"));
        }
        Ok(())
    }

    /// Finds who stands for a recorded id.
    async fn resolve(&mut self, id: &str, at: Duration) -> Result<(), String> {
        if self.cast.of(id).is_some() {
            return Ok(());
        }
        let recorded = self.scene.offers();
        let Some((label, offer)) = recorded.get(id) else {
            return Ok(());
        };
        let agent = offer["agent_id"]["value"].as_str().unwrap();
        let Some(playing) = self.streams.get(*label) else {
            return Ok(());
        };
        let recorded: Vec<_> = self
            .scene
            .stream(label)
            .unwrap()
            .before(at)
            .cloned()
            .collect();
        let was_rescinded = is_rescinded(&recorded, id);
        let fitting = |records: &[Value], on_any_agent: bool| {
            let fits = |live: &&Value| {
                let id = live["id"]["value"].as_str().unwrap();
                let on = live["agent_id"]["value"].as_str().unwrap();
                !self.cast.is_taken(id)
                    && summary(live) == summary(offer)
                    && was_rescinded == is_rescinded(records, id)
                    && (on_any_agent
                        || (live["hostname"] == offer["hostname"] && self.cast.may_be(agent, on)))
            };
            offers(records).find(fits).cloned()
        };
        // Which of several agents an offer is of may be chance.
        let found = playing
            .records
            .until(|records, _| fitting(records, false).or_else(|| fitting(records, true)));
        // Where it is not about offers, tasks may have ended sooner or later.
        let any = |records: &[Value]| {
            let is_free = |live: &&Value| {
                let id = live["id"]["value"].as_str().unwrap();
                !self.cast.is_taken(id) && !is_rescinded(records, id)
            };
            offers(records).filter(is_free).last().cloned()
        };
        let is_exact = self.scene.is_about_offers();
        let patience = if is_exact { PATIENCE } else { LATENESS };
        let found = match tokio::time::timeout(patience, found).await {
            Ok(live) => Some(live),
            Err(_) if is_exact => None,
            Err(_) => any(&playing.records.all()),
        };
        let Some(live) = found else {
            let records = playing.records.all();
            let all: Vec<_> = offers(&records).map(summary).collect();
            return Err(format!(
                "no offer like {id} ({}) of {all:#?}",
                summary(offer)
            ));
        };
        self.cast.bind(id, live["id"]["value"].as_str().unwrap());
        self.cast
            .bind(agent, live["agent_id"]["value"].as_str().unwrap());
        Ok(())
    }
}

/// What a response is otherwise than it was.
fn complaint(action: &Action<'_>, response: &Response) -> Result<Option<String>, String> {
    let Some(expected) = action.response["status"].as_u64() else {
        return Ok(None);
    };
    let got = u64::from(response.status.as_u16());
    if got != expected {
        return Err(format!("status {got} for {expected}: {}", response.text()));
    }
    Ok(match &action.response["body"] {
        Value::Null => None,
        Value::String(text) => {
            let got = response.text();
            (compare::text(&got) != compare::text(text)).then(|| format!("{got} for {text}"))
        }
        recorded if action.what.ends_with("resources in use and offered") => {
            let got = serde_json::from_slice(&response.body).unwrap_or_default();
            let (got, recorded) = (review::held(&got), review::held(recorded));
            (got != recorded).then(|| format!("{got} for {recorded}"))
        }
        recorded if action.what == "the agent lists its tasks" => {
            let got = serde_json::from_slice(&response.body).unwrap_or_default();
            let (got, recorded) = (review::listed(&got), review::listed(recorded));
            (got != recorded).then(|| format!("{got:?} for {recorded:?}"))
        }
        // Some answers were recorded in words of their own.
        Value::Array(_) => None,
        recorded => {
            let got = serde_json::from_slice(&response.body).unwrap_or_default();
            review::lacks(recorded, &got)
        }
    })
}

/// The recorded tasks served HTTP with Python, which is slow to start on a busy
/// machine: checks that begin after a second would not find it.
fn with_quick_servers(call: &Value) -> Value {
    let slow = "python3 -m http.server --bind 127.0.0.1";
    let text = call
        .to_string()
        .replace(slow, env!("CARGO_BIN_EXE_http_server"));
    serde_json::from_str(&text).unwrap()
}

/// The recorded executors were programs in Python; ours does the same.
fn with_our_executors(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(with_our_executors),
        Value::Object(fields) => {
            let executor = &fields.get("executor_id").unwrap_or(&Value::Null)["value"];
            if let (Some(mode), true) = (
                executor.as_str(),
                fields.get("type") == Some(&json!("CUSTOM")),
            ) {
                let program = env!("CARGO_BIN_EXE_test-executor");
                let often = json!({"name": "MESOS_SUBSCRIPTION_BACKOFF_MAX", "value": "500ms"});
                let command = json!({
                    "shell": true,
                    "value": format!("exec '{program}' {mode}"),
                    "environment": {"variables": [often]},
                });
                fields.insert("command".to_owned(), command);
            }
            fields.values_mut().for_each(with_our_executors);
        }
        _ => {}
    }
}

fn is_rescinded(records: &[Value], id: &str) -> bool {
    let rescinds = |record: &Value| record["rescind"]["offer_id"]["value"] == id;
    records.iter().any(rescinds)
}

fn offers(records: &[Value]) -> impl Iterator<Item = &Value> {
    let lists = records
        .iter()
        .map(|record| record["offers"]["offers"].as_array());
    lists.flatten().flatten()
}

fn framework_id(record: &Value) -> Option<String> {
    let id = &record["subscribed"]["framework_id"]["value"];
    id.as_str().map(str::to_owned)
}

pub(crate) fn headers(fields: &Value) -> HeaderMap {
    let fields = fields.as_object().into_iter().flatten();
    fields
        .map(|(name, value)| {
            let name: http::HeaderName = name.parse().unwrap();
            (name, value.as_str().unwrap().parse().unwrap())
        })
        .collect()
}

/// Acknowledges what a stream hears, as the recorded schedulers did.
struct Acknowledging {
    transport: Transport,
    master: HostAddress,
    stream_id: String,
    framework_id: String,
    when: watch::Receiver<bool>,
}

impl Acknowledging {
    async fn run(mut self, records: Records) {
        let mut seen = 0;
        loop {
            // Only as many as there are now: what comes later is later's.
            if self.when.wait_for(|may| *may).await.is_err() {
                return;
            }
            let Some(new) = records.after(seen).await else {
                return;
            };
            if !*self.when.borrow() {
                continue;
            }
            seen += new.len();
            for record in new {
                self.acknowledge(&record["update"]["status"]).await;
            }
        }
    }

    async fn acknowledge(&self, status: &Value) {
        if status["uuid"].is_null() {
            return;
        }
        let call = json!({
            "type": "ACKNOWLEDGE",
            "framework_id": {"value": self.framework_id},
            "acknowledge": {
                "agent_id": status["agent_id"],
                "task_id": status["task_id"],
                "uuid": status["uuid"],
            },
        });
        let mut headers = headers(&json!({"Content-Type": "application/json"}));
        headers.insert("Mesos-Stream-Id", self.stream_id.parse().unwrap());
        let body = Bytes::from(call.to_string());
        let post = self.transport.post(&self.master, SCHEDULER, headers, body);
        // A stream that has ended acknowledges nothing more.
        let _ = post.await;
    }
}
