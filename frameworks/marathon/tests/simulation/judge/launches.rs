//! What is launched: how many, where, and that no instance has two tasks.

use mesos_sdk::v1;

use super::{Judge, Marks, Task, Told, bounds, room};
use crate::view::Shown;

/// After so long whoever is out of reach is certainly given up.
const GIVEN_UP_MS: i64 = 600_000;

impl Judge {
    /// A launch is decided, and that is saved; it leaves a moment later.
    pub(super) fn launches(&mut self, info: &v1::TaskInfo, marks: &Marks) {
        let id = info.task_id.value.clone();
        let task = Task::of(info, &self.configs);
        let siblings = self.tasks.values().filter(|other| other.app == task.app);
        let siblings: Vec<&Task> = siblings.filter(|other| other.told != Told::Over).collect();
        let is_replaced = self.view.is_replaced(&task.app);
        let alike = siblings.iter().copied();
        let alike = alike.filter(|other| !other.was_lost && self.is_like(&task, other));
        let alike: Vec<&Task> = alike.collect();
        let found = within_bounds(
            &task,
            &siblings,
            self.in_force.get(&task.app),
            is_replaced,
            marks,
        )
        .and_then(|()| within_constraints(&task, &alike, marks));
        let twin = siblings
            .iter()
            .find(|other| other.instance == task.instance && !other.was_lost);
        let twin = twin.map(|_| format!("{id} is launched though its instance has a task"));
        if let Some(what) = twin.or(found.err()) {
            self.blame(format!("launch of {id}: {what}"));
        }
        self.decided.insert(id.clone());
        self.tasks.insert(id, task);
    }

    /// Where launches of one step are done, groups are even: whether whoever is
    /// out of reach counts or not.
    pub(super) fn look_at_groups(
        &mut self,
        now_ms: i64,
        launching: &[v1::TaskInfo],
        marks: &Marks,
    ) {
        for id in launching.iter().map(|info| &info.task_id.value) {
            let task = &self.tasks[id];
            let mut constraints = marks[&task.mark].constraints.iter();
            if !constraints.any(|it| it[1] == "GROUP_BY") {
                continue;
            }
            let siblings = self.tasks.values();
            let siblings = siblings.filter(|it| it.app == task.app && it.told != Told::Over);
            let siblings: Vec<&Task> = siblings.filter(|it| self.is_like(task, it)).collect();
            let with = |rack: &str, counts: &dyn Fn(&Task) -> bool| {
                let there = siblings.iter().filter(|it| counts(it));
                there.filter(|it| value_of(it, "rack") == rack).count()
            };
            let is_sure = |it: &Task| !it.was_lost;
            let may_be = |it: &Task| it.told != Told::Lost || now_ms < it.lost_at + GIVEN_UP_MS;
            let own = with(&value_of(task, "rack"), &is_sure);
            let least = with("r0", &may_be).min(with("r1", &may_be));
            if own > least + 1 {
                let host = &task.host;
                self.fault = Some(format!(
                    "launch of {id}: GROUP_BY does not hold on {host}: {own} and {least}"
                ));
                return;
            }
        }
    }
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
        // One for each that is unhealthy and kept, as far as there is room.
        false if marks[&shown.mark].starts_first => {
            shown.instances + room(shown.instances, &marks[&shown.mark])
        }
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

/// Those of another configuration are about to go, and do not count.
fn within_constraints(task: &Task, alike: &[&Task], marks: &Marks) -> Result<(), String> {
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
