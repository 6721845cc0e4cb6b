//! Who judges Marathon by what can be seen from outside: what it was told, which
//! calls it made, what runs, and what it answered. It knows nothing of how
//! Marathon comes to its decisions.
//!
//! - **Minimum**: no kill of a healthy instance leaves fewer healthy ones than
//!   `minimumHealthCapacity` of what is wanted, unless somebody asked for it.
//! - **Maximum**: no launch makes more instances than `maximumOverCapacity`
//!   allows while an app is replaced, nor more than are wanted otherwise.
//! - **Constraints** hold when an instance is launched.
//! - **Twice**: no instance has two tasks.
//! - **Answers**: what was answered is shown, and still shown after a failover;
//!   nothing changes that nobody asked to be changed.
//! - **Reasons**: no healthy instance is killed for nothing, and not every
//!   instance because Marathon's own network is cut.
//! - **In the end** what runs is what is wanted.

mod answers;
mod kills;
mod launches;

use std::collections::{BTreeMap, BTreeSet};

use marathon::timestamp::Timestamp;
use mesos_local::simulation::Sight;
use mesos_sdk::v1::scheduler::Call;
use mesos_sdk::v1::{self, TaskState};

use crate::client::{Running, Wanted};
use crate::process::launched;
use crate::view::{Shown, View};

type Marks = BTreeMap<String, Wanted>;

/// A task that Marathon launched.
#[derive(Clone, Debug)]
struct Task {
    app: String,
    instance: String,
    mark: String,
    version: i64,
    /// The first version that is as this one but for the number.
    config: i64,
    host: String,
    told: Told,
    /// It was once said to be out of reach.
    was_lost: bool,
    /// When it last was.
    lost_at: i64,
    /// Its end was asked for.
    is_killed: bool,
    /// Somebody wanted it to end.
    is_unwanted: bool,
    /// What the last health check found, of which Marathon heard.
    is_well: Option<bool>,
    /// Since which time that Marathon's own network was cut it is not reached, by
    /// their number.
    silent_in: Option<u64>,
}

/// What Marathon was last told of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Running,
    Lost,
    Over,
}

impl Task {
    /// As it is launched.
    fn of(info: &v1::TaskInfo, configs: &BTreeMap<(String, i64), i64>) -> Self {
        let variable = |name: &str| {
            let command = info.command.as_ref();
            let environment = command.and_then(|command| command.environment.as_ref());
            let mut variables = environment.iter().flat_map(|it| &it.variables);
            let found = variables.find(|variable| variable.name == name);
            found.and_then(|it| it.value.clone()).unwrap_or_default()
        };
        let app = variable("MARATHON_APP_ID");
        let version: Result<Timestamp, _> = variable("MARATHON_APP_VERSION").parse();
        let version = version.map_or(0, Timestamp::as_millis);
        let key = (app, version);
        let config = configs.get(&key).copied().unwrap_or(version);
        Self {
            app: key.0,
            instance: instance_of(&info.task_id.value).to_owned(),
            mark: variable("MARK"),
            version,
            config,
            host: variable("HOST"),
            told: Told::Nothing,
            was_lost: false,
            lost_at: 0,
            is_killed: false,
            is_unwanted: false,
            is_well: None,
            silent_in: None,
        }
    }

    fn may_run(&self) -> bool {
        matches!(self.told, Told::Nothing | Told::Running)
    }

    fn is_healthy(&self, marks: &Marks) -> bool {
        let is_well = !marks[&self.mark].is_checked || self.is_well == Some(true);
        self.told == Told::Running && is_well
    }
}

/// A process that runs.
#[derive(Clone, Copy, Debug)]
struct Process {
    /// From when on it fails its health checks.
    sick_from: Option<i64>,
}

#[derive(Default)]
pub(crate) struct Judge {
    /// What was last shown of what is saved.
    pub(crate) view: View,
    /// What is shown when the step under way is saved.
    next: Option<View>,
    tasks: BTreeMap<String, Task>,
    processes: BTreeMap<String, Process>,
    /// What each app was to be since it last was as it was to be.
    in_force: BTreeMap<String, Vec<Shown>>,
    /// Apps whose change was given up half way because somebody wanted it.
    pub(crate) loose: BTreeSet<String>,
    /// Deployments that were answered and have not ended.
    owed: BTreeSet<String>,
    /// A task as it was before what the process is being told.
    doubt: Option<(String, Task)>,
    /// Healthy instances that were killed since Marathon's network is cut.
    killed_in_cut: usize,
    is_cut: bool,
    /// How many times it was.
    cuts: u64,
    /// Whether what the process was about to save is saved, though it ended.
    pub(crate) was_saved: bool,
    /// What is killed when the step under way is saved.
    kills: Vec<String>,
    /// What is launched then.
    launching: Vec<v1::TaskInfo>,
    /// What is to be launched, and that is saved, and has not left yet.
    decided: BTreeSet<String>,
    /// Of each version of an app, the one that it is alike.
    configs: BTreeMap<(String, i64), i64>,
    fault: Option<String>,
}

impl Judge {
    fn blame(&mut self, what: String) {
        self.fault.get_or_insert(what);
    }

    pub(crate) fn see(&mut self, now_ms: i64, sight: Sight<'_>, chance: u64) -> Result<(), String> {
        match sight {
            Sight::Called(call) => self.called(call),
            Sight::Ended => self.ended(now_ms),
            Sight::TaskStarted { task, .. } => self.task_started(now_ms, task, chance),
            Sight::TaskEnded { task } => {
                self.processes.remove(task);
            }
            _ => {}
        }
        self.fault.take().map_or(Ok(()), Err)
    }

    pub(crate) fn runs(&self, task: &str) -> bool {
        self.processes.contains_key(task)
    }

    pub(crate) fn is_sick(&self, task: &str, now_ms: i64) -> bool {
        let process = self.processes.get(task);
        let sick_from = process.and_then(|process| process.sick_from);
        sick_from.is_some_and(|from| from <= now_ms)
    }

    pub(crate) fn running(&self) -> Vec<Running> {
        let running = self
            .tasks
            .iter()
            .filter(|(_, task)| task.told == Told::Running);
        running
            .map(|(id, task)| (id.clone(), task.app.clone(), task.host.clone()))
            .collect()
    }

    /// Marathon's process has ended. The next one knows what was saved.
    fn ended(&mut self, now_ms: i64) {
        self.killed_in_cut = 0;
        // They may be decided, and nobody saw it.
        for id in std::mem::take(&mut self.kills) {
            self.want_gone(&id);
        }
        let was_saved = std::mem::take(&mut self.was_saved);
        let launching = std::mem::take(&mut self.launching);
        for info in launching.iter().filter(|_| was_saved) {
            let (id, task) = (&info.task_id.value, Task::of(info, &self.configs));
            self.tasks.insert(id.clone(), task);
            self.decided.insert(id.clone());
        }
        // The next one takes these to be on their way until it hears better.
        for id in std::mem::take(&mut self.decided) {
            if let Some(task) = self.tasks.get_mut(&id) {
                (task.told, task.was_lost, task.lost_at) = (Told::Lost, true, now_ms);
            }
        }
        // What it was being told the next one does not know.
        if let Some((id, task)) = self.doubt.take()
            && !was_saved
        {
            self.tasks.insert(id, task);
        }
    }

    /// Somebody wants it to end.
    pub(crate) fn want_gone(&mut self, id: &str) {
        if let Some(task) = self.tasks.get_mut(id) {
            task.is_unwanted = true;
        }
    }

    // The cluster.

    fn task_started(&mut self, now_ms: i64, id: &str, chance: u64) {
        let instance = instance_of(id);
        // It may be that one was said to be over, or out of reach.
        let is_excused = |id: &str| {
            let task = self.tasks.get(id);
            task.is_none_or(|task| task.was_lost || !task.may_run())
        };
        let twin = self
            .processes
            .keys()
            .find(|other| instance_of(other) == instance && !is_excused(other) && !is_excused(id));
        if let Some(twin) = twin.cloned() {
            self.blame(format!("{id} runs while {twin} of the same instance does"));
        }
        let from = i64::try_from(chance % 900_000).unwrap_or_default();
        let sick_from = chance.is_multiple_of(11).then_some(now_ms + from);
        self.processes.insert(id.to_owned(), Process { sick_from });
    }

    /// What Marathon takes in now; it may have lain there for a while.
    pub(crate) fn told(&mut self, now_ms: i64, status: &v1::TaskStatus) {
        let id = &status.task_id.value;
        let is_over = mesos_sdk::status::is_terminal(status.state())
            || status.state() == TaskState::TaskUnknown;
        let Some(task) = self.tasks.get_mut(id) else {
            // Nobody knows what runs on an agent that is out of reach.
            if !is_over && status.state() != TaskState::TaskUnreachable {
                self.blame(format!("nobody launched {id}"));
            }
            return; // A process ended before it launched it.
        };
        self.doubt = Some((id.clone(), task.clone()));
        let was_told = task.told;
        let state = status.state();
        task.told = match state {
            TaskState::TaskStaging | TaskState::TaskStarting => Told::Nothing,
            TaskState::TaskRunning => Told::Running,
            // It serves nobody any more, and is not gone.
            TaskState::TaskKilling => Told::Nothing,
            TaskState::TaskUnreachable => Told::Lost,
            TaskState::TaskLost if is_out_of_reach(status) => Told::Lost,
            _ => Told::Over,
        };
        if task.told == Told::Lost && was_told != Told::Lost {
            task.lost_at = now_ms;
        }
        // One that is heard of after its end was given up for a good reason.
        task.was_lost |=
            task.told == Told::Lost || (was_told == Told::Over && task.told != Told::Over);
    }

    /// These never left.
    pub(crate) fn not_launched(&mut self, tasks: &[String]) {
        for id in tasks {
            if let Some(task) = self.tasks.get_mut(id) {
                task.told = Told::Over;
            }
        }
    }

    pub(crate) fn told_health(&mut self, id: &str, is_well: bool, is_cut: bool) {
        if let Some(task) = self.tasks.get_mut(id) {
            task.is_well = Some(is_well);
            task.silent_in = match is_cut {
                true => task.silent_in.or(Some(self.cuts)),
                false => None,
            };
        }
    }

    /// Whether Marathon reaches no instance at present.
    pub(crate) fn note_cut(&mut self, is_cut: bool) {
        if is_cut && !self.is_cut {
            self.killed_in_cut = 0;
            self.cuts += 1;
        }
        self.is_cut = is_cut;
    }

    fn called(&mut self, call: &Call) {
        for info in launched(call) {
            self.decided.remove(&info.task_id.value);
        }
    }

    /// Whether all instances of an app are being replaced though they are as they
    /// are to be: somebody asked for it.
    fn is_restarted(&self, app: &str) -> bool {
        let Some([.., from, to]) = self.in_force.get(app).map(Vec::as_slice) else {
            return false;
        };
        let is_same = from.mark == to.mark && from.instances == to.instances;
        self.view.is_replaced(app) && is_same && from.scaled_at != to.scaled_at
    }

    /// Whether another instance counts beside this one: one of an older
    /// configuration does not, and neither does one that is being replaced.
    fn is_like(&self, task: &Task, other: &Task) -> bool {
        if self.is_restarted(&task.app) {
            return other.version == task.version;
        }
        match self.view.is_replaced(&task.app) {
            true => other.config == task.config,
            false => other.config >= task.config,
        }
    }
}

/// As Marathon takes it: the task may be back with its agent.
fn is_out_of_reach(status: &v1::TaskStatus) -> bool {
    use v1::task_status::Reason;
    matches!(
        status.reason(),
        Reason::Reconciliation | Reason::AgentDisconnected | Reason::AgentRemoved
    )
}

fn instance_of(task: &str) -> &str {
    task.split("._app.").next().unwrap_or(task)
}

/// How many are healthy at least and there at most.
fn bounds(instances: usize, wanted: &Wanted) -> (usize, usize) {
    let mut least = 0;
    while least * 100 < instances * hundredths(wanted.min) {
        least += 1;
    }
    let most = instances + room(instances, wanted);
    // With no room at all there is room for one.
    (least, if least == most { most + 1 } else { most })
}

/// How many more than wanted there may be.
fn room(instances: usize, wanted: &Wanted) -> usize {
    instances * hundredths(wanted.over) / 100
}

/// Whole numbers of hundredths: no share of a share is lost to rounding.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "shares from 0 to 1"
)]
fn hundredths(share: f64) -> usize {
    (share * 100.0).round() as usize
}
