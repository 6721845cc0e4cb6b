//! What the master is told of what is wanted: in which roles the framework is,
//! in which of them offers are of use, and which offers are of none.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::effects::Call;
use crate::path_id::PathId;
use crate::state::Change;

use super::Step;

/// How long offers take that are due.
const OFFERS_COME_IN: Duration = Duration::from_secs(30);

impl Step<'_> {
    pub(super) fn give_back_old_offers(&mut self) {
        // What waits only for others to run will want them.
        if self.lacks_tokens() {
            return;
        }
        let hold = self.state.settings.offer_hold;
        let old = self.state.offers.take_until(self.now.before(hold));
        if old.is_empty() {
            return;
        }
        let mut ids = Vec::new();
        for offer in old {
            let info = offer.allocation_info.as_ref();
            let role = info.and_then(|info| info.role.clone());
            self.state.filtered.extend(role);
            ids.push(offer.id.value.clone());
        }
        self.effects.calls.push(Call::Decline {
            offers: ids,
            refuse_seconds: self.state.settings.decline_duration.as_secs_f64(),
        });
    }

    /// By when there should be offers again where something waits. When there are
    /// none the call that asked for them is lost.
    pub(super) fn offer_patience(&self) -> Duration {
        self.state.settings.decline_duration + OFFERS_COME_IN
    }

    /// Roles in which nothing waits are suppressed; they are revived when
    /// something does, and when something new waits that may use what was
    /// declined before.
    pub(super) fn say_what_is_wanted(&mut self) {
        if self.state.master.is_none() {
            return;
        }
        let waiting = self.state.waiting.keys();
        let wanted: BTreeSet<String> = waiting
            .filter_map(|(id, version)| self.state.versions.get(id)?.get(version))
            .map(|spec| spec.role().to_owned())
            .chain(self.state.root.everywhere().map(|it| it.role().to_owned()))
            .chain(self.state.garbage.values().map(|it| it.role.clone()))
            .collect();
        self.say_which_roles();
        for role in self.state.told_roles.clone() {
            let is_suppressed = self.state.suppressed.contains(&role);
            let is_filtered = self.state.filtered.contains(&role);
            if wanted.contains(&role) {
                let patience = self.offer_patience();
                let asked_at = self.state.asked_at.entry(role.clone()).or_insert(self.now);
                let is_forgotten = self.now >= asked_at.after(patience);
                if is_suppressed || is_forgotten || (is_filtered && self.has_new_demand) {
                    *asked_at = self.now;
                    self.state.suppressed.remove(&role);
                    self.state.filtered.remove(&role);
                    self.effects.calls.push(Call::Revive(role));
                }
                continue;
            }
            self.state.asked_at.remove(&role);
            if !is_suppressed && self.state.settings.suppress_offers {
                self.state.suppressed.insert(role.clone());
                self.effects.calls.push(Call::Suppress(role));
            }
        }
    }

    /// Offers come for the roles that the master knows of. None of them is given
    /// up before the next start, for something may still be there in it.
    fn say_which_roles(&mut self) {
        let roles = self.state.roles();
        if roles.is_subset(&self.state.told_roles) {
            return;
        }
        self.state.told_roles.extend(roles);
        self.effects.calls.push(Call::Roles {
            roles: self.state.told_roles.clone(),
            suppressed: self.state.suppressed.clone(),
        });
    }

    /// Says that an app waits no longer after failures.
    pub(super) fn reset_delay(&mut self, id: &PathId) {
        self.change(Change::Delay(id.clone(), None));
        self.touched.insert(id.clone());
        self.has_new_demand = true;
    }
}
