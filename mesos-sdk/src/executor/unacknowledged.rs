//! What the agent has not acknowledged: tasks and updates, and which update is
//! to be sent next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use mesos_proto::v1;
use mesos_proto::v1::executor::call;

/// Updates that are sent at once; those of one task are sent one by one.
const MOST_UNDER_WAY: usize = 8;

#[derive(Debug, Default)]
pub(super) struct Unacknowledged {
    /// Tasks of which no update is acknowledged, by the order of their launch.
    tasks: BTreeMap<u64, v1::TaskInfo>,
    task_numbers: BTreeMap<String, u64>,
    /// Updates, by the order in which they were made.
    updates: BTreeMap<u64, v1::TaskStatus>,
    update_numbers: BTreeMap<Bytes, u64>,
    /// The updates of each task that have not been sent; the first one may be
    /// under way.
    queues: BTreeMap<String, VecDeque<u64>>,
    /// Those whose turn it is.
    ready: BTreeSet<u64>,
    /// With their tasks.
    under_way: BTreeMap<u64, String>,
    next_number: u64,
    /// The SUBSCRIBE that was made last holds the updates before this one.
    subscribed_with: u64,
}

impl Unacknowledged {
    pub(super) fn updates(&self) -> usize {
        self.updates.len()
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    /// A task has arrived. Says whether it is new.
    pub(super) fn launched(&mut self, task: &v1::TaskInfo) -> bool {
        if self.task_numbers.contains_key(&task.task_id.value) {
            return false;
        }
        let number = self.number();
        self.task_numbers.insert(task.task_id.value.clone(), number);
        self.tasks.insert(number, task.clone());
        true
    }

    pub(super) fn update(&mut self, status: v1::TaskStatus) {
        let number = self.number();
        if let Some(uuid) = &status.uuid {
            self.update_numbers.insert(uuid.clone(), number);
        }
        self.queue(number, &status.task_id.value);
        self.updates.insert(number, status);
    }

    fn queue(&mut self, number: u64, task_id: &str) {
        let queue = self.queues.entry(task_id.to_owned()).or_default();
        queue.push_back(number);
        if queue.len() == 1 {
            self.ready.insert(number);
        }
    }

    /// All of it, for SUBSCRIBE.
    pub(super) fn subscribe(&mut self) -> call::Subscribe {
        self.subscribed_with = self.next_number + 1;
        let updates = self.updates.values().cloned();
        call::Subscribe {
            unacknowledged_tasks: self.tasks.values().cloned().collect(),
            unacknowledged_updates: updates.map(|status| call::Update { status }).collect(),
        }
    }

    /// The agent has what the last SUBSCRIBE held.
    pub(super) fn subscribed(&mut self) {
        self.disconnected();
        let later: Vec<_> = self
            .updates
            .range(self.subscribed_with..)
            .map(|(number, status)| (*number, status.task_id.value.clone()))
            .collect();
        for (number, task_id) in later {
            self.queue(number, &task_id);
        }
    }

    /// Nothing is under way any more, and the next SUBSCRIBE holds everything.
    pub(super) fn disconnected(&mut self) {
        self.queues.clear();
        self.ready.clear();
        self.under_way.clear();
    }

    /// What is to be sent now.
    pub(super) fn next(&mut self) -> Option<(u64, v1::TaskStatus)> {
        if self.under_way.len() >= MOST_UNDER_WAY {
            return None;
        }
        let number = self.ready.pop_first()?;
        let status = self.updates.get(&number)?.clone();
        let task_id = status.task_id.value.clone();
        self.under_way.insert(number, task_id);
        Some((number, status))
    }

    pub(super) fn sent(&mut self, number: u64) {
        if let Some(task_id) = self.under_way.remove(&number) {
            self.advance(&task_id);
        }
    }

    /// Says whether it is to be sent again.
    pub(super) fn not_sent(&mut self, number: u64) -> bool {
        let Some(task_id) = self.under_way.remove(&number) else {
            return false;
        };
        if self.updates.contains_key(&number) {
            self.ready.insert(number);
            return true;
        }
        // It was acknowledged although its answer was lost.
        self.advance(&task_id);
        false
    }

    pub(super) fn refused(&mut self, number: u64) -> Option<v1::TaskStatus> {
        let task_id = self.under_way.remove(&number)?;
        self.advance(&task_id);
        let status = self.updates.remove(&number)?;
        if let Some(uuid) = &status.uuid {
            self.update_numbers.remove(uuid);
        }
        Some(status)
    }

    /// The first update of a task is through: the next one's turn.
    fn advance(&mut self, task_id: &str) {
        let Some(queue) = self.queues.get_mut(task_id) else {
            return;
        };
        queue.pop_front();
        match queue.front() {
            Some(next) => {
                self.ready.insert(*next);
            }
            None => {
                self.queues.remove(task_id);
            }
        }
    }

    pub(super) fn acknowledged(&mut self, task_id: &v1::TaskId, uuid: &Bytes) {
        if let Some(number) = self.task_numbers.remove(&task_id.value) {
            self.tasks.remove(&number);
        }
        let Some(number) = self.update_numbers.remove(uuid) else {
            return;
        };
        self.updates.remove(&number);
        // It waited to be sent again, and had arrived after all.
        if self.ready.remove(&number) {
            self.advance(&task_id.value);
        }
    }
}
