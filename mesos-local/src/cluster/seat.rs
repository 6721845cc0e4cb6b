//! Where the master sits: the socket on which it answers, and on which nobody
//! does while it is away.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::Instant;

use super::election::AbortOnDrop;
use super::master_shell::MasterHandle;
use crate::http::{Limits, ServerControl, serve};
use crate::master_api::{self, MasterApi};
use crate::security::{Guard, Security};

/// The master's seat.
pub(super) struct Seat {
    master: MasterHandle,
    /// Kept so that the address stays the master's while it is away.
    listener: std::net::TcpListener,
    security: Arc<Security>,
    server: ServerControl,
    /// How long after its last word agents know that a master is gone.
    silence: Duration,
    absence: Option<Absence>,
    /// When agents look for a master that is back.
    noticed_at: Option<Instant>,
}

/// There is no master.
struct Absence {
    since: Instant,
    /// Hangs up on whoever calls.
    _hang_up: AbortOnDrop,
}

impl Seat {
    pub(super) fn take(
        master: MasterHandle,
        listener: std::net::TcpListener,
        security: Arc<Security>,
        silence: Duration,
    ) -> io::Result<Self> {
        let mut seat = Self {
            master,
            listener,
            security,
            server: ServerControl::new(),
            silence,
            absence: None,
            noticed_at: None,
        };
        seat.serve()?;
        Ok(seat)
    }

    fn serve(&mut self) -> io::Result<()> {
        self.server = ServerControl::new();
        tokio::spawn(serve(
            TcpListener::from_std(self.listener.try_clone()?)?,
            Guard::new(
                MasterApi::new(self.master.clone()),
                Arc::clone(&self.security),
                master_api::realm,
            ),
            Limits::default(),
            self.security.identity.clone(),
            self.server.clone(),
        ));
        Ok(())
    }

    pub(super) fn cut_connections(&self) {
        self.server.cut_connections();
    }

    pub(super) fn stop(&self) {
        self.server.stop();
    }

    /// The master dies; what its registry says is all that is left.
    pub(super) async fn leave(&mut self) {
        if self.absence.is_some() {
            return;
        }
        self.server.stop();
        self.master.die().await;
        self.noticed_at = None;
        let listener = self.listener.try_clone().and_then(TcpListener::from_std);
        let hang_up = tokio::spawn(async move {
            if let Ok(listener) = listener {
                while let Ok((caller, _)) = listener.accept().await {
                    drop(caller);
                }
            }
        });
        self.absence = Some(Absence {
            since: Instant::now(),
            _hang_up: AbortOnDrop(hang_up.abort_handle()),
        });
    }

    /// The master starts again with its registry.
    pub(super) async fn come_back(&mut self) -> io::Result<()> {
        let Some(absence) = self.absence.take() else {
            return Ok(());
        };
        self.noticed_at = Some(absence.since + self.silence);
        drop(absence);
        self.master.come_back().await;
        self.serve()
    }

    /// Waits until agents have noticed that the master that they knew is gone,
    /// and there is one again. Nobody tells them: without ZooKeeper they know
    /// it by its silence.
    pub(super) async fn noticed(&mut self) {
        match self.noticed_at {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
        self.noticed_at = None;
    }
}
