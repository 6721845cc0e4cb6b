//! Whoever asks Marathon for things: at random while things break, and for what
//! sets all right afterwards.

use std::collections::{BTreeMap, BTreeSet};

use marathon::input::{AppInput, read};
use marathon::request::{GroupInput, Kill, Request};
use mesos_local::simulation::Dice;
use serde_json::{Value, json};

use crate::view::View;

const APPS: [&str; 5] = ["/a", "/b", "/g/x", "/g/y", "/g/h/z"];
/// The longest time between two requests.
const PAUSE_MS: u64 = 90_000;

/// What an app is to be, apart from how many; by the mark that it bears.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) min: f64,
    pub(crate) over: f64,
    pub(crate) constraints: Vec<Vec<String>>,
    /// Whether Marathon itself checks its health.
    pub(crate) is_checked: bool,
    /// Whether its tasks fail whatever happens.
    pub(crate) is_bad: bool,
    /// Whether deployments of it have a deadline.
    pub(crate) has_deadline: bool,
    /// Whether unhealthy instances are kept until others have taken their places.
    pub(crate) starts_first: bool,
}

/// What somebody asked for, as far as the answer is to show it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) what: String,
    pub(crate) expects: Vec<Expects>,
    /// Tasks that are to end by it.
    pub(crate) kills: BTreeSet<String>,
}

/// What the answer is to show.
#[derive(Clone, Debug)]
pub(crate) enum Expects {
    App {
        id: String,
        mark: Option<String>,
        instances: usize,
    },
    Gone(String),
    /// It is another version than this.
    Newer(String, i64),
}

/// A task that runs: its id, its app and its host.
pub(crate) type Running = (String, String, String);

pub(crate) struct Client {
    dice: Dice,
    /// What says how patient Marathon is to be, where that is asked for.
    patience: Option<Dice>,
    asks_at: i64,
    waiting: Option<Asked>,
    marks: u64,
    asked: u64,
    pub(crate) wanted: BTreeMap<String, Wanted>,
    is_done: bool,
}

impl Client {
    pub(crate) fn new(dice: Dice, patience: Option<Dice>) -> Self {
        Self {
            dice,
            patience,
            asks_at: 0,
            waiting: None,
            marks: 0,
            asked: 0,
            wanted: BTreeMap::new(),
            is_done: false,
        }
    }

    pub(crate) fn asks_at(&self) -> Option<i64> {
        (self.waiting.is_none() && !self.is_done).then_some(self.asks_at)
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// An answer has come, or something else was heard of.
    pub(crate) fn answered(&mut self) -> Option<Asked> {
        self.waiting.take()
    }

    /// What is to end by what nobody has answered yet.
    pub(crate) fn unanswered_kills(&self) -> BTreeSet<String> {
        let waiting = self.waiting.as_ref();
        waiting.map(|asked| asked.kills.clone()).unwrap_or_default()
    }

    /// The connection broke: whether it was done is to be seen.
    pub(crate) fn forget_what_was_not_answered(&mut self) {
        self.waiting = None;
    }

    pub(crate) fn unmet(&self) -> Option<String> {
        (!self.is_done).then(|| "somebody wants something else".to_owned())
    }

    /// The next request, when it is time for one.
    pub(crate) fn ask(
        &mut self,
        now_ms: i64,
        is_healed: bool,
        view: &View,
        loose: &BTreeSet<String>,
        running: &[Running],
    ) -> Option<(u64, Box<Request>)> {
        if self.asks_at().is_none_or(|at| at > now_ms) {
            return None;
        }
        let pause = i64::try_from(self.dice.below(PAUSE_MS)).unwrap_or_default();
        self.asks_at = now_ms + pause;
        let asked = if is_healed {
            self.asks_at = now_ms + 5_000;
            self.repair(view, loose)
        } else {
            self.anything(view, running)
        };
        let Some((asked, request)) = asked else {
            // What has a deadline may yet become again what it was.
            let may_return = self.patience.is_some() && !view.deployments.is_empty();
            self.is_done = is_healed && !may_return;
            return None;
        };
        self.waiting = Some(asked);
        self.asked += 1;
        Some((self.asked, Box::new(request)))
    }

    /// What cannot come to run is changed, and what was left half done is done.
    fn repair(&mut self, view: &View, loose: &BTreeSet<String>) -> Option<(Asked, Request)> {
        let apps = view.apps.iter();
        let bad = apps.clone().find(|(_, app)| self.wanted[&app.mark].is_bad);
        let left = apps.clone().find(|(id, _)| loose.contains(*id));
        let (id, app) = bad.or(left)?;
        let force = bad.is_some();
        let (id, instances) = (id.clone(), app.instances);
        Some(self.replace(&id, instances, force, false))
    }

    fn anything(&mut self, view: &View, running: &[Running]) -> Option<(Asked, Request)> {
        let id = APPS[self.dice.index(APPS.len())].to_owned();
        let force = self.dice.permille(300);
        let shown = view.apps.get(&id);
        let task = running.get(self.dice.index(running.len()));
        Some(match self.dice.below(100) {
            0..25 => {
                let instances = self.instances();
                let may_be_bad = true;
                self.replace(&id, instances, force, may_be_bad)
            }
            25..40 => self.count(&id, shown.map(|it| it.mark.clone())?, force),
            40..47 => self.restart(&id, shown.map_or(0, |it| it.version), force),
            47..52 => self.delete(&id, force),
            52..62 => self.group(force),
            62..65 => self.scale_group(view, force),
            65..67 => {
                let id = "/g".parse().ok()?;
                let gone = view.apps.keys().filter(|app| app.starts_with("/g/"));
                let gone = gone.cloned().map(Expects::Gone).collect();
                let asked = asked("DELETE group /g", gone);
                (asked, Request::DeleteGroup { id, force })
            }
            67..80 => self.kill(task?, running, view, force),
            80..90 => self.cancel(view, force)?,
            90..96 => self.roll_back(&id, view, force)?,
            _ => {
                let asked = asked(&format!("DELETE delay of {id}"), Vec::new());
                (asked, Request::ResetDelay(id.parse().ok()?))
            }
        })
    }

    fn instances(&mut self) -> usize {
        self.dice.index(5)
    }

    /// Another definition, and the mark that it bears.
    fn body(&mut self, id: &str, instances: usize, may_be_bad: bool) -> (Value, String) {
        self.marks += 1;
        let mark = format!("m{}", self.marks);
        let is_bad = may_be_bad && self.dice.permille(80);
        let shares = [0.0, 0.3, 0.5, 0.75, 1.0];
        let min = shares[self.dice.index(shares.len())];
        let over = shares[self.dice.index(shares.len())];
        let constraints: Vec<Vec<&str>> = match self.dice.below(10) {
            0 | 1 => vec![vec!["hostname", "UNIQUE"]],
            2 => vec![vec!["hostname", "MAX_PER", "2"]],
            3 => vec![vec!["rack", "GROUP_BY", "2"]],
            4 => vec![vec!["rack", "IS", "r1"]],
            5 => vec![
                vec!["hostname", "UNLIKE", "agent-0"],
                vec!["hostname", "MAX_PER", "2"],
            ],
            _ => Vec::new(),
        };
        let is_checked = self.dice.permille(400);
        let lost = [(0, 0), (0, 60), (30, 90)];
        let (inactive, expunge) = lost[self.dice.index(lost.len())];
        let mut body = json!({
            "id": id,
            "cmd": if is_bad { "crash" } else { "serve" },
            "instances": instances,
            "cpus": 0.1,
            "mem": 32,
            "env": {"MARK": mark},
            "portDefinitions": [{"port": 0, "name": "http-api"}],
            "upgradeStrategy": {"minimumHealthCapacity": min, "maximumOverCapacity": over},
            "constraints": constraints,
            "maxLaunchDelaySeconds": 60,
            "unreachableStrategy": {
                "inactiveAfterSeconds": inactive, "expungeAfterSeconds": expunge,
            },
        });
        if is_checked {
            body["healthChecks"] = json!([{
                "protocol": "HTTP", "path": "/", "gracePeriodSeconds": 30,
                "intervalSeconds": 5 + self.dice.below(20), "timeoutSeconds": 4,
                "maxConsecutiveFailures": 2,
            }]);
        }
        if self.dice.permille(150) {
            body["readinessChecks"] = json!([{"intervalSeconds": 5, "timeoutSeconds": 3}]);
        }
        if self.dice.permille(300) {
            body["killSelection"] = json!("OLDEST_FIRST");
        }
        if id == "/g/y" && self.dice.permille(700) {
            body["dependencies"] = json!(["/g/x"]);
        }
        let (has_deadline, starts_first) = self.be_patient(&mut body, over > 0.0);
        let owned = |parts: &Vec<&str>| parts.iter().map(|part| (*part).to_owned()).collect();
        let wanted = Wanted {
            min,
            over,
            constraints: constraints.iter().map(owned).collect(),
            is_checked,
            is_bad,
            has_deadline,
            starts_first,
        };
        self.wanted.insert(mark.clone(), wanted);
        (body, mark)
    }

    /// Says how patient Marathon is to be with an app.
    fn be_patient(&mut self, body: &mut Value, has_room: bool) -> (bool, bool) {
        let Some(dice) = &mut self.patience else {
            return (false, false);
        };
        let (has_deadline, starts_first) = (dice.permille(500), dice.permille(600) && has_room);
        if has_deadline {
            body["deploymentTimeoutSeconds"] = json!(20 + dice.below(150));
        }
        if starts_first {
            body["startBeforeKillSeconds"] = json!(30 + dice.below(200));
        }
        (has_deadline, starts_first)
    }

    fn replace(
        &mut self,
        id: &str,
        instances: usize,
        force: bool,
        may_be_bad: bool,
    ) -> (Asked, Request) {
        let (body, mark) = self.body(id, instances, may_be_bad);
        let expects = Expects::App {
            id: id.to_owned(),
            mark: Some(mark.clone()),
            instances,
        };
        let asked = asked(&format!("PUT {id} {mark} x{instances}"), vec![expects]);
        (asked, update(id, &body, false, force))
    }

    fn count(&mut self, id: &str, mark: String, force: bool) -> (Asked, Request) {
        let instances = self.instances();
        let expects = Expects::App {
            id: id.to_owned(),
            mark: Some(mark),
            instances,
        };
        let asked = asked(&format!("PUT {id} x{instances}"), vec![expects]);
        (
            asked,
            update(id, &json!({"instances": instances}), true, force),
        )
    }

    fn restart(&mut self, id: &str, version: i64, force: bool) -> (Asked, Request) {
        let expects = vec![Expects::Newer(id.to_owned(), version)];
        let asked = asked(&format!("POST {id}/restart"), expects);
        let id = id.parse().expect("a path");
        (asked, Request::Restart { id, force })
    }

    fn delete(&mut self, id: &str, force: bool) -> (Asked, Request) {
        let expects = vec![Expects::Gone(id.to_owned())];
        let asked = asked(&format!("DELETE {id}"), expects);
        let id = id.parse().expect("a path");
        (asked, Request::DeleteApp { id, force })
    }

    /// All of a group in one change; what is not named goes.
    fn group(&mut self, force: bool) -> (Asked, Request) {
        let mut bodies = Vec::new();
        let mut expects = Vec::new();
        for id in ["/g/x", "/g/y"] {
            if self.dice.permille(250) {
                expects.push(Expects::Gone(id.to_owned()));
                continue;
            }
            let instances = self.instances();
            let (body, mark) = self.body(id, instances, true);
            bodies.push(body);
            expects.push(Expects::App {
                id: id.to_owned(),
                mark: Some(mark),
                instances,
            });
        }
        let asked = asked("PUT group /g", expects);
        (asked, group(&json!({"apps": bodies}), force))
    }

    fn scale_group(&mut self, view: &View, force: bool) -> (Asked, Request) {
        // Not to more than there is room for where hosts are used once.
        let mut most = view.apps.iter().filter(|(id, _)| id.starts_with("/g/"));
        let has_room = most.all(|(_, app)| app.instances <= 2);
        let factor = if has_room { 1.5 } else { 0.5 };
        let apps = view.apps.iter().filter(|(id, _)| id.starts_with("/g/"));
        let expects = apps.map(|(id, app)| Expects::App {
            id: id.clone(),
            mark: Some(app.mark.clone()),
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_precision_loss,
                clippy::cast_sign_loss,
                reason = "a handful"
            )]
            instances: (app.instances as f64 * factor).ceil() as usize,
        });
        let asked = asked("PUT group /g scaleBy", expects.collect());
        (asked, group(&json!({"scaleBy": factor}), force))
    }

    fn kill(
        &mut self,
        (task, app, host): &Running,
        running: &[Running],
        view: &View,
        force: bool,
    ) -> (Asked, Request) {
        let scale = self.dice.permille(300);
        let wipe = !scale && self.dice.permille(300);
        let (instances, kills) = match self.dice.below(4) {
            0 => {
                let of_app = running.iter().filter(|(_, other, _)| other == app);
                let kill = Kill::OfApp {
                    id: app.parse().expect("a path"),
                    is_group: false,
                    host: None,
                };
                (kill, of_app.map(|(task, _, _)| task.clone()).collect())
            }
            1 => {
                let on_host = |(_, other, there): &&Running| other == app && there == host;
                let those = running.iter().filter(on_host);
                let kill = Kill::OfApp {
                    id: app.parse().expect("a path"),
                    is_group: false,
                    host: Some(host.clone()),
                };
                (kill, those.map(|(task, _, _)| task.clone()).collect())
            }
            2 => {
                let kill = Kill::One {
                    app: app.parse().expect("a path"),
                    id: task.clone(),
                };
                (kill, BTreeSet::from([task.clone()]))
            }
            _ => {
                let kill = Kill::Ids(vec![task.clone()]);
                (kill, BTreeSet::from([task.clone()]))
            }
        };
        let what = format!("DELETE tasks of {app} {kills:?} scale={scale}");
        let mut asked = asked(&what, Vec::new());
        asked.kills = kills;
        if scale && let Some(shown) = view.apps.get(app) {
            asked.expects = vec![Expects::Newer(app.clone(), shown.version - 1)];
        }
        let request = Request::Kill {
            instances,
            scale,
            wipe,
            force,
        };
        (asked, request)
    }

    fn cancel(&mut self, view: &View, force: bool) -> Option<(Asked, Request)> {
        let index = self.dice.index(view.deployments.len());
        let id = view.deployments.keys().nth(index)?.clone();
        let asked = asked(&format!("DELETE deployment {id}"), Vec::new());
        Some((asked, Request::CancelDeployment { id, force }))
    }

    fn roll_back(&mut self, id: &str, view: &View, force: bool) -> Option<(Asked, Request)> {
        let (shown, versions) = (view.apps.get(id)?, view.versions.get(id)?);
        let index = self.dice.index(versions.len());
        let version = *versions.iter().nth(index)?;
        let version = marathon::timestamp::Timestamp::from_millis(version).to_string();
        let expects = vec![Expects::Newer(id.to_owned(), shown.version - 1)];
        let asked = asked(&format!("PUT {id} version {version}"), expects);
        Some((asked, update(id, &json!({"version": version}), true, force)))
    }
}

fn asked(what: &str, expects: Vec<Expects>) -> Asked {
    Asked {
        what: what.to_owned(),
        expects,
        kills: BTreeSet::new(),
    }
}

fn update(id: &str, body: &Value, is_partial: bool, force: bool) -> Request {
    let input: AppInput = read(body.to_string().as_bytes()).expect("a body");
    Request::UpdateApps {
        id: Some(id.parse().expect("a path")),
        inputs: vec![input],
        is_partial,
        may_create: true,
        force,
    }
}

fn group(body: &Value, force: bool) -> Request {
    let input: GroupInput = read(body.to_string().as_bytes()).expect("a body");
    Request::UpdateGroup {
        id: "/g".parse().expect("a path"),
        input,
        must_create: false,
        is_dry_run: false,
        force,
    }
}
