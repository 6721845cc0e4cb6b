//! All that is outside of Marathon's process and outlives it: the disk, whoever
//! asks for changes, the instances as health checks find them, and the judge.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use marathon::effects::{Event, Notice, Probe, ProbeKind};
use marathon::probes::{Outcome, Response};
use marathon::request::{Reply, Request};
use mesos_local::simulation::{Dice, Judge as Judging, Now, Sight};
use mesos_sdk::v1::{TaskInfo, TaskStatus};
use mesos_service::store::{Batch, EmbeddedStore, Entities, SimulatedDisk};

use crate::client::Client;
use crate::judge::Judge;
use crate::view::View;

/// What processes, scripts and the simulation share.
pub(crate) type Shared = Rc<RefCell<Outside>>;

/// How processes ended, over all worlds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ends {
    /// How many processes ended.
    pub(crate) all: u64,
    /// While a batch was being saved, and it was not there afterwards.
    pub(crate) torn: u64,
    /// The same, and it was there.
    pub(crate) whole: u64,
    /// With a request on its way that nobody answered.
    pub(crate) unanswered: u64,
    /// With deployments under way.
    pub(crate) deploying: u64,
    /// Requests that were answered with a deployment, refused, and deployments
    /// that ended well or did not.
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
    /// Deployments that were rolled back by themselves.
    pub(crate) undone: u64,
    /// Unhealthy instances that were kept until others had taken their places.
    pub(crate) kept: u64,
}

/// What a world is like.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scene {
    /// Whether what is stored goes to a disk that may lose power.
    pub(crate) has_disk: bool,
    /// Whether people say how long deployments may take, and that others are to be
    /// started before the unhealthy are killed. Marathon's own network is never
    /// cut then: whoever was kept is killed when its time is over all the same.
    pub(crate) is_patient: bool,
}

/// What is outside.
pub(crate) struct Outside {
    dice: Dice,
    now_ms: i64,
    pub(crate) is_healed: bool,
    pub(crate) client: Client,
    pub(crate) judge: Judge,
    /// What probes find, and when that is known.
    probes: BTreeMap<(i64, u64), (Probe, Outcome, bool)>,
    /// Whether that happens at all that Marathon itself reaches nobody.
    is_cut_off: bool,
    /// Until when nothing that Marathon itself asks is reached.
    cut_until: i64,
    next: u64,
    /// What was written to the disk, with the disk.
    disk: Option<SimulatedDisk>,
    written: Rc<Entities>,
    ends: Rc<Cell<Ends>>,
}

impl Outside {
    pub(crate) fn new(mut dice: Dice, scene: Scene, ends: Rc<Cell<Ends>>) -> Self {
        let patience = scene.is_patient.then(|| Dice::new(dice.draw()));
        Self {
            client: Client::new(Dice::new(dice.draw()), patience),
            is_cut_off: !scene.is_patient,
            judge: Judge::default(),
            dice,
            now_ms: 0,
            is_healed: false,
            probes: BTreeMap::new(),
            cut_until: 0,
            next: 0,
            disk: scene.has_disk.then(SimulatedDisk::new),
            written: Rc::default(),
            ends,
        }
    }

    fn count(&self, count: impl FnOnce(&mut Ends)) {
        let mut ends = self.ends.get();
        count(&mut ends);
        self.ends.set(ends);
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.dice.draw()
    }

    /// When the process has something to hear of.
    pub(crate) fn wake_at_ms(&self) -> Option<i64> {
        let probe = self.probes.keys().next().map(|(at, _)| *at);
        probe.into_iter().chain(self.client.asks_at()).min()
    }

    // What the process does and hears.

    /// The store as a process finds it that begins with these entities.
    pub(crate) fn reopen(&mut self, expected: &Rc<Entities>) -> Rc<Entities> {
        let Some(disk) = self.disk.clone() else {
            return Rc::clone(expected);
        };
        self.write(&disk, expected);
        let disk = disk.after_crash(|_| true);
        let store = EmbeddedStore::open_simulated(&disk).expect("a disk that was synced");
        let found = store.read("").expect("a store that opens");
        assert_eq!(found, **expected, "the store holds what was saved");
        self.disk = Some(disk);
        Rc::new(found)
    }

    /// Brings the disk to where the entities are.
    fn write(&mut self, disk: &SimulatedDisk, entities: &Rc<Entities>) {
        let batch = Batch::between(&self.written, entities);
        if !batch.is_empty() {
            let store = EmbeddedStore::open_simulated(disk).expect("a disk with power");
            store.write(&batch).expect("room on the disk");
        }
        self.written = Rc::clone(entities);
    }

    /// The power goes while a batch is written. Says whether the batch is there
    /// when it comes back.
    pub(crate) fn is_there_after_power_loss(
        &mut self,
        before: &Rc<Entities>,
        batch: &Batch,
        dice: &mut Dice,
    ) -> bool {
        let Some(disk) = self.disk.clone() else {
            self.judge.was_saved = dice.permille(500);
            return self.judge.was_saved;
        };
        self.write(&disk, before);
        let bytes: usize = batch
            .iter()
            .map(|(_, value)| value.map_or(0, bytes::Bytes::len))
            .sum();
        // The database writes a multiple of it, and a few pages besides.
        let most = 3 * bytes as u64 + 40_000;
        if let Ok(store) = EmbeddedStore::open_simulated(&disk) {
            disk.lose_power_after(dice.below(most));
            let _ = store.write(batch);
        }
        let after = disk.after_crash(|_| dice.permille(500));
        let store = EmbeddedStore::open_simulated(&after).expect("a store that was torn opens");
        let found = store.read("").expect("a store that opens");
        let mut whole = Entities::clone(before);
        batch.apply(&mut whole);
        let is_there = found == whole;
        assert!(is_there || found == **before, "a batch is there or not");
        drop(store);
        self.count(|ends| match is_there {
            true => ends.whole += 1,
            false => ends.torn += 1,
        });
        self.disk = Some(after);
        self.written = Rc::new(found);
        self.judge.was_saved = is_there;
        is_there
    }

    /// A process has begun with what was saved.
    pub(crate) fn restored(&mut self, view: View) {
        self.probes.clear();
        self.client.forget_what_was_not_answered();
        self.judge.restored(view);
    }

    /// The process takes this in now.
    pub(crate) fn told(&mut self, now_ms: i64, status: &TaskStatus) {
        self.judge.told(now_ms, status);
    }

    pub(crate) fn about_to_save(
        &mut self,
        view: Option<View>,
        kills: Vec<String>,
        launching: Vec<TaskInfo>,
    ) {
        self.judge.about_to_save(view, kills, launching);
    }

    /// What a step said is said.
    pub(crate) fn heard(
        &mut self,
        replies: Vec<(u64, Box<Reply>)>,
        events: &[Event],
        view: Option<View>,
    ) {
        self.count(|ends| {
            for (_, reply) in &replies {
                match &**reply {
                    Reply::Refused(_) => ends.refused += 1,
                    Reply::Deployed(_) => ends.accepted += 1,
                    _ => {}
                }
            }
            for event in events {
                match event.kind {
                    "deployment_success" => ends.succeeded += 1,
                    "deployment_failed" => {
                        ends.failed += 1;
                        ends.undone += u64::from(is_undone(event));
                    }
                    _ => {}
                }
            }
        });
        let asked = self.client.answered();
        self.judge.heard(
            self.now_ms,
            asked,
            replies,
            events,
            view,
            &self.client.wanted,
        );
    }

    /// The log has told something.
    pub(crate) fn logged(&mut self, notice: &Notice) {
        if let Notice::Info(text) = notice
            && text.contains("another is started before it is killed")
        {
            self.count(|ends| ends.kept += 1);
        }
    }

    /// The next request, if it is time for one.
    pub(crate) fn ask(&mut self, now_ms: i64) -> Option<(u64, Box<Request>)> {
        let running = self.judge.running();
        self.client.ask(
            now_ms,
            self.is_healed,
            &self.judge.view,
            &self.judge.loose,
            &running,
        )
    }

    // Health checks that Marathon makes itself.

    pub(crate) fn asked_how_it_is(&mut self, now_ms: i64, probe: Probe) {
        let may_be_cut = self.is_cut_off && self.cut_until == 0 && !self.is_healed;
        if may_be_cut && self.dice.permille(2) {
            let lasts = 60_000 + i64::try_from(self.dice.below(600_000)).unwrap_or_default();
            self.cut_until = now_ms + lasts;
        }
        let is_cut = now_ms < self.cut_until && !self.is_healed;
        if now_ms >= self.cut_until {
            self.cut_until = 0;
        }
        self.judge.note_cut(is_cut);
        let task = format!("{}._app.{}", probe.instance, probe.incarnation);
        let outcome = if is_cut {
            Outcome::Failure("no route to host".to_owned())
        } else if !self.judge.runs(&task) {
            Outcome::Failure("connection refused".to_owned())
        } else {
            let is_sick = !self.is_healed && self.judge.is_sick(&task, now_ms);
            Outcome::Answer(Response {
                status: if is_sick { 500 } else { 200 },
                content_type: "text/plain".to_owned(),
                body: String::new(),
            })
        };
        self.next += 1;
        let delay = i64::try_from(10 + self.dice.below(400)).unwrap_or_default();
        let at = (now_ms + delay, self.next);
        self.probes.insert(at, (probe, outcome, is_cut));
    }

    pub(crate) fn probed(&mut self, now_ms: i64) -> Option<(Probe, Outcome)> {
        let first = self.probes.first_entry()?;
        if first.key().0 > now_ms {
            return None;
        }
        let (probe, outcome, is_cut) = first.remove();
        let task = format!("{}._app.{}", probe.instance, probe.incarnation);
        let is_well = matches!(&outcome, Outcome::Answer(answer) if answer.status == 200);
        if matches!(probe.kind, ProbeKind::Health(_)) {
            self.judge.told_health(&task, is_well, is_cut);
        }
        Some((probe, outcome))
    }
}

/// Whether a deployment failed because its time was over.
pub(crate) fn is_undone(event: &Event) -> bool {
    let reason = event.data["reason"].as_str();
    event.kind == "deployment_failed"
        && reason.is_some_and(|it| it.contains("deploymentTimeoutSeconds"))
}

/// The simulation's way to what is outside.
pub(crate) struct Watch(pub(crate) Shared);

impl Judging for Watch {
    fn see(&mut self, now: Now, sight: Sight<'_>) -> Result<(), String> {
        let outside = &mut *self.0.borrow_mut();
        outside.now_ms = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        match sight {
            Sight::Healed => outside.is_healed = true,
            Sight::Ended => {
                // It is done, and the answer never came.
                for id in outside.client.unanswered_kills() {
                    if outside.judge.was_saved {
                        outside.judge.want_gone(&id);
                    }
                }
                let is_deploying = !outside.judge.view.deployments.is_empty();
                outside.count(|ends| {
                    ends.all += 1;
                    ends.unanswered += u64::from(outside.client.is_waiting());
                    ends.deploying += u64::from(is_deploying);
                });
            }
            _ => {}
        }
        let sick_from = outside.dice.draw();
        outside.judge.see(outside.now_ms, sight, sick_from)
    }

    fn unmet(&self) -> Option<String> {
        let outside = self.0.borrow();
        outside.client.unmet().or_else(|| outside.judge.unmet())
    }
}
