//! What is killed: not below the minimum, and not for nothing.

use super::{Judge, Marks, Task, Told, bounds};
use crate::view::Shown;

impl Judge {
    /// A kill is decided, and that is saved; it may be a while until the master
    /// is told.
    pub(super) fn kills(&mut self, id: &str, marks: &Marks) {
        let Some(task) = self.tasks.get_mut(id) else {
            return; // A process ended before it launched it.
        };
        let is_again = std::mem::replace(&mut task.is_killed, true);
        if is_again || task.is_unwanted || task.was_lost {
            return;
        }
        let task = task.clone();
        let Some(in_force) = self.in_force.get(&task.app).cloned() else {
            return; // It is to go.
        };
        let found = if task.is_healthy(marks) {
            self.takes_a_healthy_one(&task, &in_force, marks)
        } else {
            self.takes_one_for_the_network(id, &task, &in_force, marks)
        };
        if let Err(what) = found {
            self.blame(format!("{id} is killed: {what}"));
        }
    }

    /// Those of an app that nobody kills.
    fn left(&self, app: &str) -> impl Iterator<Item = &Task> {
        let tasks = self.tasks.values();
        tasks.filter(move |other| other.app == app && !other.is_killed)
    }

    fn takes_a_healthy_one(
        &self,
        task: &Task,
        in_force: &[Shown],
        marks: &Marks,
    ) -> Result<(), String> {
        let left = self.left(&task.app);
        let healthy = left.filter(|other| other.is_healthy(marks)).count();
        let least = in_force.iter().map(|shown| {
            let wanted = &marks[&shown.mark];
            bounds(shown.instances, wanted).0
        });
        let least = least.min().unwrap_or_default();
        if healthy < least {
            return Err(format!(
                "{healthy} healthy instances are left where {least} are the least"
            ));
        }
        let is_replaced = self.view.is_replaced(&task.app);
        let is_new = in_force
            .last()
            .is_some_and(|shown| match self.is_restarted(&task.app) {
                true => shown.version == task.version,
                false => shown.config == task.config,
            });
        if is_replaced && !is_new {
            return Ok(());
        }
        let left = self.left(&task.app).filter(|other| other.may_run());
        let there = left.filter(|other| !is_replaced || self.is_like(task, other));
        let fewest = in_force.iter().map(|shown| shown.instances).min();
        if there.count() < fewest.unwrap_or_default() {
            return Err("nothing is wrong with it".to_owned());
        }
        Ok(())
    }

    /// Whether it is one of many that are killed because nothing is reached.
    fn takes_one_for_the_network(
        &mut self,
        id: &str,
        task: &Task,
        in_force: &[Shown],
        marks: &Marks,
    ) -> Result<(), String> {
        // Where others were reached in between, it was silent while they were not.
        let is_cut = task.silent_in == Some(self.cuts) && self.runs(id);
        // Whoever is the only one to be asked cannot be told from a network.
        let mut others = self.tasks.iter().filter(|(other, _)| *other != id);
        let is_alone =
            !others.any(|(_, it)| it.told == Told::Running && marks[&it.mark].is_checked);
        if !is_cut || is_alone || self.view.is_deployed(&task.app) {
            return Ok(());
        }
        // There may be too many of them, as when one comes back.
        let left = self.left(&task.app).filter(|other| other.may_run()).count();
        let most = in_force.iter().map(|shown| shown.instances).max();
        if left >= most.unwrap_or_default() {
            return Ok(());
        }
        self.killed_in_cut += 1;
        match self.killed_in_cut {
            1 => Ok(()),
            count => Err(format!("{count} instances are while Marathon is cut off")),
        }
    }
}
