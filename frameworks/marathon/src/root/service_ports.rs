//! The ports by which proxies know apps: one for each of their ports, and no
//! two alike in the cluster where nobody asked for it.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use crate::app::App;

use super::Root;

/// Ports that may be given out, and those that are.
#[derive(Clone, Debug)]
pub struct ServicePorts {
    range: RangeInclusive<u16>,
    taken: BTreeSet<u16>,
    next: u16,
}

/// All ports of the range are given out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no service port of {from} to {to} is left: --local_port_min and --local_port_max tell how many there are"
)]
#[non_exhaustive]
pub struct NoPortLeft {
    /// The first of the range.
    pub from: u16,
    /// The last.
    pub to: u16,
}

impl ServicePorts {
    /// The ports of `range` but those that apps of `root` have.
    #[must_use]
    pub fn of(root: &Root, range: RangeInclusive<u16>) -> Self {
        let taken = root.apps().flat_map(|app| app.service_ports());
        Self {
            next: *range.start(),
            taken: taken.filter(|port| *port != 0).collect(),
            range,
        }
    }

    /// Gives a port to each of the app's that has none: those that it had
    /// before it became `app`, then any.
    ///
    /// # Errors
    ///
    /// When none is left.
    pub fn assign(&mut self, app: &mut App, before: Option<&App>) -> Result<(), NoPortLeft> {
        let said: BTreeSet<u16> = app.service_ports().into_iter().collect();
        self.taken.extend(said.iter().filter(|port| **port != 0));
        let had = before.map(App::service_ports).unwrap_or_default();
        let mut had: Vec<u16> = had
            .into_iter()
            .filter(|port| *port != 0 && !said.contains(port))
            .rev()
            .collect();
        let open = app.service_ports_mut().into_iter();
        for port in open.filter(|port| **port == 0) {
            *port = match had.pop() {
                Some(port) => port,
                None => self.take()?,
            };
        }
        Ok(())
    }

    fn take(&mut self) -> Result<u16, NoPortLeft> {
        let is_free = |port: &u16| !self.taken.contains(port);
        let from_next = (self.next..=*self.range.end()).find(is_free);
        let port = from_next.ok_or(NoPortLeft {
            from: *self.range.start(),
            to: *self.range.end(),
        })?;
        self.taken.insert(port);
        self.next = port;
        Ok(port)
    }
}
