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

use std::collections::{BTreeMap, BTreeSet};

use marathon::effects::Event;
use marathon::request::Reply;
use mesos_local::simulation::{Input, Sight};
use mesos_sdk::v1::scheduler::Call;
use mesos_sdk::v1::{self, TaskState};

use crate::client::{Asked, Expects, Running, Wanted};
use crate::view::{Shown, View};

type Marks = BTreeMap<String, Wanted>;

/// A task that Marathon launched.
#[derive(Clone, Debug)]
struct Task {
    app: String,
    instance: String,
    mark: String,
    version: String,
    host: String,
    told: Told,
    /// It was once said to be out of reach.
    was_lost: bool,
    /// Its end was asked for.
    is_killed: bool,
    /// Somebody wanted it to end.
    is_unwanted: bool,
    /// What the last health check found, of which Marathon heard.
    is_well: Option<bool>,
    /// The same came of Marathon's own network being cut.
    is_cut: bool,
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
    /// Whether what the process was about to save is saved, though it ended.
    pub(crate) was_saved: bool,
    /// What is being launched together.
    grouped: Vec<String>,
    /// What is killed when the step under way is saved.
    kills: Vec<String>,
    fault: Option<String>,
}

impl Judge {
    fn blame(&mut self, what: String) {
        self.fault.get_or_insert(what);
    }

    pub(crate) fn see(
        &mut self,
        now_ms: i64,
        sight: Sight<'_>,
        chance: u64,
        marks: &Marks,
    ) -> Result<(), String> {
        if !matches!(sight, Sight::Called(_)) {
            self.look_at_groups(marks);
        }
        match sight {
            Sight::Told(Input::Update(update)) => self.told(&update.status),
            Sight::Told(_) => self.doubt = None,
            Sight::Called(call) => self.called(call, marks),
            Sight::Ended => {
                self.killed_in_cut = 0;
                // They may be decided, and nobody saw it.
                for id in std::mem::take(&mut self.kills) {
                    if let Some(task) = self.tasks.get_mut(&id) {
                        task.is_unwanted = true;
                    }
                }
                // What it was being told the next one does not know.
                let was_saved = std::mem::take(&mut self.was_saved);
                if let Some((id, task)) = self.doubt.take()
                    && !was_saved
                {
                    self.tasks.insert(id, task);
                }
            }
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

    // The cluster.

    fn task_started(&mut self, now_ms: i64, id: &str, chance: u64) {
        let instance = instance_of(id);
        let twin = self.processes.keys().find(|other| {
            let is_excused = self
                .tasks
                .get(*other)
                .is_none_or(|task| task.was_lost || !task.may_run());
            instance_of(other) == instance && !is_excused
        });
        if let Some(twin) = twin.cloned() {
            self.blame(format!("{id} runs while {twin} of the same instance does"));
        }
        let from = i64::try_from(chance % 900_000).unwrap_or_default();
        let sick_from = chance.is_multiple_of(11).then_some(now_ms + from);
        self.processes.insert(id.to_owned(), Process { sick_from });
    }

    fn told(&mut self, status: &v1::TaskStatus) {
        let id = &status.task_id.value;
        let is_over = mesos_sdk::status::is_terminal(status.state())
            || status.state() == TaskState::TaskUnknown;
        let Some(task) = self.tasks.get_mut(id) else {
            if !is_over {
                self.blame(format!("nobody launched {id}"));
            }
            return; // A process ended before it launched it.
        };
        self.doubt = Some((id.clone(), task.clone()));
        let was_over = task.told == Told::Over;
        let state = status.state();
        task.told = match state {
            TaskState::TaskStaging | TaskState::TaskStarting => Told::Nothing,
            TaskState::TaskRunning => Told::Running,
            // It serves nobody any more, and is not gone.
            TaskState::TaskKilling => Told::Nothing,
            TaskState::TaskUnreachable => Told::Lost,
            _ => Told::Over,
        };
        // One that is heard of after its end was given up for a good reason.
        task.was_lost |= task.told == Told::Lost || (was_over && task.told != Told::Over);
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
            task.is_cut = is_cut;
        }
    }

    /// Whether Marathon reaches no instance at present.
    pub(crate) fn note_cut(&mut self, is_cut: bool) {
        if is_cut && !self.is_cut {
            self.killed_in_cut = 0;
        }
        self.is_cut = is_cut;
    }

    fn called(&mut self, call: &Call, marks: &Marks) {
        let operations = call.accept.iter().flat_map(|accept| &accept.operations);
        let launches = operations.filter_map(|operation| operation.launch.as_ref());
        for info in launches.flat_map(|launch| &launch.task_infos) {
            self.launches(info, marks);
        }
    }

    /// Where launches of one step are done, groups are even.
    fn look_at_groups(&mut self, marks: &Marks) {
        for id in std::mem::take(&mut self.grouped) {
            let task = &self.tasks[&id];
            let is_replaced = self.view.is_replaced(&task.app);
            let siblings = self.tasks.values().filter(|other| {
                other.app == task.app && other.mark == task.mark && other.told != Told::Over
            });
            let siblings: Vec<&Task> = siblings
                .filter(|other| !is_replaced || other.version == task.version)
                .collect();
            // Whoever is out of reach may count or not.
            if siblings.iter().any(|other| other.was_lost) {
                continue;
            }
            let has = marks[&task.mark]
                .constraints
                .iter()
                .any(|it| it[1] == "GROUP_BY");
            let with = |rack: &str| {
                siblings
                    .iter()
                    .filter(|it| value_of(it, "rack") == rack)
                    .count()
            };
            let (own, least) = (with(&value_of(task, "rack")), with("r0").min(with("r1")));
            if has && own > least + 1 {
                let host = &task.host;
                self.fault = Some(format!(
                    "launch of {id}: GROUP_BY does not hold on {host}: {own} and {least}"
                ));
                return;
            }
        }
    }

    fn launches(&mut self, info: &v1::TaskInfo, marks: &Marks) {
        let id = info.task_id.value.clone();
        let variable = |name: &str| {
            let command = info.command.as_ref();
            let environment = command.and_then(|command| command.environment.as_ref());
            let mut variables = environment.iter().flat_map(|it| &it.variables);
            let found = variables.find(|variable| variable.name == name);
            found.and_then(|it| it.value.clone()).unwrap_or_default()
        };
        let task = Task {
            app: variable("MARATHON_APP_ID"),
            instance: instance_of(&id).to_owned(),
            mark: variable("MARK"),
            version: variable("MARATHON_APP_VERSION"),
            host: variable("HOST"),
            told: Told::Nothing,
            was_lost: false,
            is_killed: false,
            is_unwanted: false,
            is_well: None,
            is_cut: false,
        };
        let siblings = self.tasks.values().filter(|other| other.app == task.app);
        let siblings: Vec<&Task> = siblings.filter(|other| other.told != Told::Over).collect();
        let is_replaced = self.view.is_replaced(&task.app);
        let found = within_bounds(
            &task,
            &siblings,
            self.in_force.get(&task.app),
            is_replaced,
            marks,
        )
        .and_then(|()| within_constraints(&task, &siblings, is_replaced, marks));
        let twin = siblings
            .iter()
            .find(|other| other.instance == task.instance && !other.was_lost);
        let twin = twin.map(|_| format!("{id} is launched though its instance has a task"));
        if let Some(what) = twin.or(found.err()) {
            self.blame(format!("launch of {id}: {what}"));
        }
        self.grouped.push(id.clone());
        self.tasks.insert(id, task);
    }

    /// A kill is decided, and that it is saved.
    fn kills(&mut self, id: &str, marks: &Marks) {
        let Some(task) = self.tasks.get_mut(id) else {
            return; // A process ended before it launched it.
        };
        let is_again = std::mem::replace(&mut task.is_killed, true);
        let task = task.clone();
        let in_cut = task.is_cut && task.is_well == Some(false) && self.runs(id);
        let is_deployed = self.view.is_deployed(&task.app);
        // Whoever is the only one to be asked cannot be told from a network.
        let mut others = self.tasks.iter().filter(|(other, _)| *other != id);
        let in_cut =
            in_cut && others.any(|(_, it)| it.told == Told::Running && marks[&it.mark].is_checked);
        if !is_again && !task.is_unwanted && !task.was_lost && !is_deployed && in_cut {
            self.killed_in_cut += 1;
            if self.killed_in_cut > 1 {
                let count = self.killed_in_cut;
                self.blame(format!(
                    "{id}: {count} instances are killed while Marathon is cut off"
                ));
            }
        }
        if is_again || task.is_unwanted || task.was_lost || !task.is_healthy(marks) {
            return;
        }
        let Some(in_force) = self.in_force.get(&task.app) else {
            return; // It is to go.
        };
        let others = self.tasks.iter().filter(|(other, _)| *other != id);
        let others = others.map(|(_, other)| other);
        let left = others.filter(|other| other.app == task.app && !other.is_killed);
        let healthy = left.clone().filter(|other| other.is_healthy(marks)).count();
        let least = in_force.iter().map(|shown| {
            let wanted = &marks[&shown.mark];
            bounds(shown.instances, wanted).0
        });
        let least = least.min().unwrap_or_default();
        if healthy < least {
            return self.blame(format!(
                "{id} is killed, which leaves {healthy} healthy instances where {least} are the least"
            ));
        }
        let is_replaced = self.view.is_replaced(&task.app);
        let counts =
            |other: &&Task| other.may_run() && (!is_replaced || other.version == task.version);
        let there = left.filter(counts).count();
        let fewest = in_force.iter().map(|shown| shown.instances).min();
        let is_current = in_force.last().is_some_and(|shown| shown.mark == task.mark);
        if (!is_replaced || (is_current && in_force.len() == 1))
            && there < fewest.unwrap_or_default()
        {
            self.blame(format!("{id} is killed, and nothing is wrong with it"));
        }
    }

    // The answers.

    /// A process has begun, and shows this.
    pub(crate) fn restored(&mut self, view: View) {
        let next = self.next.take();
        if view == self.view {
            return;
        }
        let Some(next) = next.filter(|next| *next == view) else {
            let before = std::mem::take(&mut self.view);
            return self.blame(format!(
                "a failover changes what there is: {before:?} has become {view:?}"
            ));
        };
        // What ended with the process ended all the same.
        self.owed.retain(|id| next.deployments.contains_key(id));
        self.show(next);
    }

    pub(crate) fn about_to_save(&mut self, view: Option<View>, kills: Vec<String>) {
        self.next = view;
        self.kills = kills;
    }

    /// What a step said is said; what it was about to save is saved.
    pub(crate) fn heard(
        &mut self,
        asked: Option<Asked>,
        replies: Vec<(u64, Box<Reply>)>,
        events: &[Event],
        view: Option<View>,
        marks: &Marks,
    ) {
        self.doubt = None;
        self.next = None;
        let view = view.unwrap_or_else(|| self.view.clone());
        let refused = replies
            .iter()
            .any(|(_, reply)| matches!(**reply, Reply::Refused(_)));
        match &asked {
            _ if view.apps == self.view.apps => {}
            Some(_) if !refused => {}
            Some(asked) => self.blame(format!("{}: refused, and yet done", asked.what)),
            None => self.blame("apps change, and nobody wanted it".to_owned()),
        }
        for (_, reply) in replies {
            if let Reply::Deployed(deployed) = *reply {
                self.owed.insert(deployed.id);
            }
        }
        for event in events {
            if matches!(event.kind, "deployment_success" | "deployment_failed") {
                self.owed
                    .remove(event.data["id"].as_str().unwrap_or_default());
            }
        }
        let lost = self
            .owed
            .iter()
            .find(|id| !view.deployments.contains_key(*id));
        if let Some(lost) = lost.cloned() {
            self.blame(format!("deployment {lost} is lost"));
        }
        self.note_given_up(&view, events);
        self.show(view);
        if let Some(asked) = &asked {
            for id in asked.kills.iter().filter(|_| !refused) {
                if let Some(task) = self.tasks.get_mut(id) {
                    task.is_unwanted = true;
                }
            }
        }
        for id in std::mem::take(&mut self.kills) {
            self.kills(&id, marks);
        }
        if let Some(asked) = asked.filter(|_| !refused) {
            for expected in &asked.expects {
                // It may be done already.
                if let Expects::App { id, .. } = expected
                    && !self.view.is_deployed(id)
                {
                    self.loose.remove(id);
                }
            }
            for expected in &asked.expects {
                if let Some(what) = self.misses(expected) {
                    self.blame(format!("{}: {what}", asked.what));
                }
            }
        }
    }

    fn misses(&self, expected: &Expects) -> Option<String> {
        match expected {
            Expects::App {
                id,
                mark,
                instances,
            } => {
                let shown = self.view.apps.get(id);
                let is_it = shown.is_some_and(|it| {
                    it.instances == *instances && mark.as_ref().is_none_or(|mark| *mark == it.mark)
                });
                (!is_it).then(|| format!("{id} is shown as {shown:?}, not {mark:?} x{instances}"))
            }
            Expects::Gone(id) => {
                let shown = self.view.apps.get(id);
                shown.map(|_| format!("{id} is still shown"))
            }
            Expects::Newer(id, version) => {
                let shown = self.view.apps.get(id);
                let is_it = shown.is_some_and(|it| it.version > *version);
                (!is_it).then(|| format!("{id} is shown as {shown:?}"))
            }
        }
    }

    /// Deployments that were cancelled leave apps as they are.
    fn note_given_up(&mut self, view: &View, events: &[Event]) {
        let failed = events
            .iter()
            .filter(|event| event.kind == "deployment_failed");
        for event in failed {
            let id = event.data["id"].as_str().unwrap_or_default();
            let deployment = self.view.deployments.get(id);
            let apps = deployment.iter().flat_map(|it| &it.actions);
            self.loose.extend(apps.map(|(app, _)| app.clone()));
        }
        let begun = view.deployments.iter();
        let begun = begun.filter(|(id, _)| !self.view.deployments.contains_key(*id));
        for (app, _) in begun.flat_map(|(_, deployment)| &deployment.actions) {
            self.loose.remove(app);
        }
        self.loose.retain(|app| view.apps.contains_key(app));
    }

    fn show(&mut self, view: View) {
        let mut in_force = BTreeMap::new();
        for (id, shown) in &view.apps {
            let mut those = self.in_force.remove(id).unwrap_or_default();
            if !view.is_deployed(id) {
                those.clear();
            }
            if those.last() != Some(shown) {
                those.push(shown.clone());
            }
            in_force.insert(id.clone(), those);
        }
        self.in_force = in_force;
        self.view = view;
    }

    /// What runs that is not wanted, or is wanted and does not run.
    pub(crate) fn unmet(&self) -> Option<String> {
        for (id, shown) in &self.view.apps {
            let running = self.processes.keys();
            let running = running.filter(|task| self.tasks[*task].app == *id);
            let (current, other): (Vec<_>, Vec<_>) =
                running.partition(|task| self.tasks[*task].mark == shown.mark);
            if current.len() != shown.instances || !other.is_empty() {
                return Some(format!(
                    "{id} is to run {} x{}: {current:?} do, and {other:?}",
                    shown.mark, shown.instances
                ));
            }
        }
        let mut strangers = self.processes.keys();
        let stranger = strangers.find(|task| !self.view.apps.contains_key(&self.tasks[*task].app));
        stranger.map(|task| format!("{task} runs, and its app is gone"))
    }
}

fn instance_of(task: &str) -> &str {
    task.split("._app.").next().unwrap_or(task)
}

/// How many are healthy at least and there at most.
fn bounds(instances: usize, wanted: &Wanted) -> (usize, usize) {
    let mut least = 0;
    // Whole numbers of hundredths: no share of a share is lost to rounding.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "shares from 0 to 1"
    )]
    let hundredths = |share: f64| (share * 100.0).round() as usize;
    while least * 100 < instances * hundredths(wanted.min) {
        least += 1;
    }
    let most = instances + instances * hundredths(wanted.over) / 100;
    // With no room at all there is room for one.
    (least, if least == most { most + 1 } else { most })
}

fn within_bounds(
    task: &Task,
    siblings: &[&Task],
    in_force: Option<&Vec<Shown>>,
    is_replaced: bool,
    marks: &Marks,
) -> Result<(), String> {
    let Some(in_force) = in_force else {
        return Err("its app is wanted by nobody".to_owned());
    };
    if in_force.iter().all(|shown| shown.mark != task.mark) {
        return Err(format!("{} is wanted by nobody", task.mark));
    }
    let most = in_force.iter().map(|shown| match is_replaced {
        true => bounds(shown.instances, &marks[&shown.mark]).1,
        false => shown.instances,
    });
    let most = most.max().unwrap_or_default();
    let siblings: Vec<&&Task> = siblings.iter().filter(|it| it.may_run()).collect();
    let going = siblings
        .iter()
        .filter(|other| other.is_killed && !is_replaced);
    let back = siblings
        .iter()
        .filter(|other| other.was_lost && (is_replaced || !other.is_killed));
    let most = most + going.count() + back.count();
    if siblings.len() + 1 > most {
        let names: Vec<String> = siblings
            .iter()
            .map(|it| format!("{} {:?} {}", it.instance, it.told, it.mark))
            .collect();
        let count = siblings.len() + 1;
        return Err(format!(
            "{count} instances where {most} are the most: {names:?}"
        ));
    }
    Ok(())
}

fn within_constraints(
    task: &Task,
    siblings: &[&Task],
    is_replaced: bool,
    marks: &Marks,
) -> Result<(), String> {
    // Those of another configuration are about to go, and do not count.
    let alike: Vec<&&Task> = siblings
        .iter()
        .filter(|other| other.mark == task.mark && !other.was_lost)
        .filter(|other| !is_replaced || other.version == task.version)
        .collect();
    for constraint in &marks[&task.mark].constraints {
        let field = constraint[0].as_str();
        let operand = constraint.get(2).map_or("", String::as_str);
        let value = value(&task.host, field);
        let with = |wanted: &str| {
            alike
                .iter()
                .filter(|it| value_of(it, field) == wanted)
                .count()
        };
        let holds = match constraint[1].as_str() {
            "UNIQUE" => with(&value) == 0,
            "MAX_PER" => with(&value) < operand.parse().unwrap_or_default(),
            "IS" => value == operand,
            "UNLIKE" => value != operand,
            // They are looked at together.
            "GROUP_BY" => true,
            other => return Err(format!("{other} is not judged")),
        };
        if !holds {
            return Err(format!("{constraint:?} does not hold on {}", task.host));
        }
    }
    Ok(())
}

fn value_of(task: &Task, field: &str) -> String {
    value(&task.host, field)
}

/// As the agents of the simulation are.
fn value(host: &str, field: &str) -> String {
    match field {
        "hostname" => host.to_owned(),
        _ => {
            let number: usize = host
                .trim_start_matches("agent-")
                .parse()
                .unwrap_or_default();
            format!("r{}", number % 2)
        }
    }
}
