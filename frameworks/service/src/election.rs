//! Who leads, where several instances run: each writes an ephemeral, sequential
//! znode with its name, as Curator's leader latch does, and the lowest sequence
//! leads. So instances of this kind and of the original see each other.
//!
//! Leadership is lost with the session, and not before: being out of touch for
//! less than the session's timeout changes nothing. Whoever has lost it does not
//! get it back; it ends, and another process begins anew.

use std::time::Duration;

use tokio::sync::watch;
use zookeeper_client as zk;

use crate::zookeeper::Session;

/// How long after a failure the group is looked at again.
const RETRY: Duration = Duration::from_millis(200);

/// Who leads, as far as this process knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nobody, or it is not known.
    Nobody,
    /// This process.
    Leads,
    /// Another one, of this name.
    Follows(String),
    /// This process has left the group, or its session is over. It stays so.
    Over,
}

/// A place in an election, which is given up when it is dropped.
#[derive(Debug)]
pub struct Election {
    name: String,
    standing: watch::Receiver<Standing>,
    task: Option<Task>,
}

#[derive(Debug)]
struct Task {
    leave: watch::Sender<bool>,
    running: tokio::task::JoinHandle<()>,
}

impl Drop for Task {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Election {
    /// The election of a process that has no rivals, as its store is locked: it
    /// leads.
    #[must_use]
    pub fn alone(name: &str) -> Self {
        let (_, standing) = watch::channel(Standing::Leads);
        Self {
            name: name.to_owned(),
            standing,
            task: None,
        }
    }

    /// Stands for election in a directory below the session's path, such as
    /// `leader-curator`. The name is what the others learn, `host:port` mostly.
    #[must_use]
    pub fn stand(session: &Session, directory: &str, name: &str) -> Self {
        let (tell, standing) = watch::channel(Standing::Nobody);
        let (leave, leaving) = watch::channel(false);
        let candidate = Candidate {
            session: session.clone(),
            directory: format!("{}/{directory}", session.address.path),
            name: name.to_owned(),
            tell,
            own: None,
        };
        let task = Task {
            leave,
            running: tokio::spawn(candidate.run(leaving)),
        };
        Self {
            name: name.to_owned(),
            standing,
            task: Some(task),
        }
    }

    /// What this process is called in the group.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who leads, now and from now on.
    #[must_use]
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Returns `true` once this process leads, and `false` when it cannot any
    /// more.
    pub async fn elected(&self) -> bool {
        let mut standing = self.standing.clone();
        let settled = |standing: &Standing| matches!(standing, Standing::Leads | Standing::Over);
        let settled = standing.wait_for(settled).await;
        settled.is_ok_and(|standing| *standing == Standing::Leads)
    }

    /// Returns once this process is out of the election.
    pub async fn over(&self) {
        if self.task.is_none() {
            return std::future::pending().await;
        }
        let mut standing = self.standing.clone();
        // An error says the same: the task has ended.
        let _ = standing.wait_for(|now| *now == Standing::Over).await;
    }

    /// Leaves the group, so that another leads at once rather than after the
    /// session's timeout.
    pub async fn leave(mut self) {
        if let Some(mut task) = self.task.take() {
            task.leave.send_replace(true);
            let _ = (&mut task.running).await;
        }
    }
}

struct Candidate {
    session: Session,
    directory: String,
    name: String,
    tell: watch::Sender<Standing>,
    /// The name of our znode.
    own: Option<String>,
}

/// Why the group is not followed any more.
enum End {
    /// The session is over, or our znode has gone.
    Lost,
    /// As was asked.
    Left,
    /// It may work the next time.
    Failed(zk::Error),
}

impl From<zk::Error> for End {
    fn from(error: zk::Error) -> Self {
        Self::Failed(error)
    }
}

impl Candidate {
    async fn run(mut self, mut leaving: watch::Receiver<bool>) {
        let session = self.session.clone();
        loop {
            let end = tokio::select! {
                () = session.over() => End::Lost,
                _ = leaving.wait_for(|leaves| *leaves) => End::Left,
                Err(end) = self.follow() => end,
            };
            match end {
                End::Failed(error) if !session.is_over() => {
                    tracing::debug!(%error, directory = self.directory, "looking again");
                    tokio::time::sleep(RETRY).await;
                }
                End::Failed(_) | End::Lost => {
                    tracing::info!(directory = self.directory, "out of the election");
                    break;
                }
                End::Left => {
                    self.remove().await;
                    break;
                }
            }
        }
        self.tell.send_replace(Standing::Over);
    }

    /// Follows the group as long as that works.
    async fn follow(&mut self) -> Result<std::convert::Infallible, End> {
        let client = self.session.client.clone();
        let options = zk::CreateMode::Persistent.with_acls(self.session.acls());
        client.mkdir(&self.directory, &options).await?;
        loop {
            let (children, watcher) = client.list_and_watch_children(&self.directory).await?;
            let ranked = ranked(&children);
            let own = self.own(&client, &ranked).await?;
            let Some(own) = own else {
                // Written just now; look again.
                continue;
            };
            if !children.contains(&own) {
                return Err(End::Lost);
            }
            match ranked.first() {
                Some(leader) if *leader == own => self.say(Standing::Leads),
                Some(leader) => {
                    let path = format!("{}/{leader}", self.directory);
                    match client.get_data(&path).await {
                        Ok((name, _)) => {
                            let name = String::from_utf8_lossy(&name).into_owned();
                            self.say(Standing::Follows(name));
                        }
                        // It went between the two looks.
                        Err(zk::Error::NoNode) => continue,
                        Err(error) => return Err(error.into()),
                    }
                }
                None => return Err(End::Lost),
            }
            watcher.changed().await;
        }
    }

    /// The name of our znode; `None` when it was written just now. After a
    /// request that was not answered it may be there without our knowing, so it
    /// is looked for by the part of its name that is ours.
    async fn own(&mut self, client: &zk::Client, there: &[String]) -> Result<Option<String>, End> {
        if let Some(own) = &self.own
            && !own.ends_with('-')
        {
            return Ok(Some(own.clone()));
        }
        let prefix = match &self.own {
            Some(prefix) => prefix.clone(),
            None => format!("_c_{}-latch-", uuid::Uuid::new_v4()),
        };
        self.own = Some(prefix.clone());
        if let Some(found) = there.iter().find(|name| name.starts_with(&prefix)) {
            self.own = Some(found.clone());
            return Ok(self.own.clone());
        }
        let options = zk::CreateMode::EphemeralSequential.with_acls(self.session.acls());
        let path = format!("{}/{prefix}", self.directory);
        let (_, sequence) = client.create(&path, self.name.as_bytes(), &options).await?;
        self.own = Some(format!("{prefix}{sequence}"));
        Ok(None)
    }

    async fn remove(&self) {
        let Some(own) = self.own.as_ref().filter(|own| !own.ends_with('-')) else {
            return;
        };
        let path = format!("{}/{own}", self.directory);
        let leaving = self.session.client.delete(&path, None);
        match tokio::time::timeout(self.session.session_timeout, leaving).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the session will run out"),
            Err(_) => tracing::debug!("the session will run out"),
        }
    }

    fn say(&self, standing: Standing) {
        self.tell.send_if_modified(|old| {
            let is_news = *old != standing;
            if is_news {
                tracing::info!(?standing, "the election has changed");
                *old = standing;
            }
            is_news
        });
    }
}

/// Candidates by their sequence, the lowest first; others are passed over.
fn ranked(children: &[String]) -> Vec<String> {
    let sequence = |name: &String| -> Option<u64> { name.rsplit_once('-')?.1.parse().ok() };
    let mut candidates: Vec<(u64, &String)> = children
        .iter()
        .filter_map(|name| Some((sequence(name)?, name)))
        .collect();
    candidates.sort();
    candidates
        .into_iter()
        .map(|(_, name)| name.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_sequence_leads_whatever_comes_before_it() {
        let children = [
            "_c_ffff-latch-0000000002",
            "_c_0000-latch-0000000010",
            "unrelated",
            "_c_aaaa-latch-0000000003",
        ];
        let ranked = ranked(&children.map(str::to_owned));
        let expected = [children[0], children[3], children[1]];
        assert_eq!(ranked, expected);
    }

    #[tokio::test]
    async fn who_is_alone_leads() {
        let election = Election::alone("here:8080");
        assert!(election.elected().await);
        assert_eq!(*election.standing().borrow(), Standing::Leads);
        assert_eq!(election.name(), "here:8080");
        election.leave().await;
    }
}
