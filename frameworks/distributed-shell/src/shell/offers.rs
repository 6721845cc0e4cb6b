//! Which commands run on which offer.

use mesos_sdk::{resources::Resources, v1};

use super::{Effects, Notice, OfferView, Phase, Shell};

impl Shell {
    pub(super) fn offers(&mut self, offers: Vec<OfferView>, effects: &mut Effects) {
        for mut offer in offers {
            let mut tasks = Vec::new();
            if let Err(refusal) = self.settings.demand.admits(&offer) {
                self.last_refusal = refusal;
            } else {
                while self.stop.is_none() && self.has_room() {
                    let Some(run) = self.next_for(&offer.agent_id) else {
                        break;
                    };
                    match self.settings.demand.take(&mut offer.resources) {
                        Ok(resources) => tasks.push(self.launch(run, &offer, resources, effects)),
                        Err(refusal) => {
                            self.last_refusal = format!("{}: {refusal}", offer.hostname);
                            break;
                        }
                    }
                }
            }
            if tasks.is_empty() {
                effects.declines.push(offer.id);
            } else {
                effects.launches.push((offer.id, tasks));
            }
        }
    }

    fn next_for(&self, agent_id: &v1::AgentId) -> Option<usize> {
        self.waiting.iter().copied().find(|run| {
            let only_on = &self.runs[*run].only_on;
            only_on.as_ref().is_none_or(|only| only == agent_id)
        })
    }

    fn launch(
        &mut self,
        index: usize,
        offer: &OfferView,
        resources: Resources,
        effects: &mut Effects,
    ) -> v1::TaskInfo {
        let run = &mut self.runs[index];
        let task_id = format!("{}.{}.{}", self.settings.run_id, index + 1, run.launches);
        run.hostname = Some(offer.hostname.clone());
        run.phase = Phase::Launched {
            agent_id: offer.agent_id.clone(),
            is_started: false,
            is_tailed: false,
        };
        self.waiting.remove(&index);
        self.by_task.insert(task_id.clone(), index);
        effects.notices.push(Notice::Launched {
            run: index,
            task_id: task_id.clone(),
            hostname: offer.hostname.clone(),
        });
        let text = run.text.clone();
        self.settings
            .demand
            .task(task_id, &text, offer.agent_id.clone(), resources)
    }

    pub(super) fn not_launched(&mut self, task_id: &str, why: &str, effects: &mut Effects) {
        let Some(index) = self.by_task.remove(task_id) else {
            return;
        };
        match &self.stop {
            Some(stop) => self.end(index, stop.outcome.clone(), effects),
            None => self.wait_again(index, why.to_owned(), effects),
        }
    }
}
