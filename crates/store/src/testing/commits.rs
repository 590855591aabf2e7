//! What tests have become of a commit: one that fails, one whose outcome gets lost, one that stops half-way.

use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use crate::{Db, StoreError};

/// What is to become of the next commit.
#[derive(Debug, Default)]
pub(crate) struct NextCommit {
    fate: Fate,
    stop: Option<Stop>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Fate {
    #[default]
    Sound,
    Lost,
    RolledBack,
}

/// A stop that is to be put in the way of a commit with [`stop_next_commit`].
#[derive(Debug)]
pub struct Stop {
    at: StopAt,
    reached: oneshot::Sender<()>,
    released: oneshot::Receiver<()>,
}

/// Where a commit stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopAt {
    /// Everything is written and nothing is committed.
    BeforeIt,
    /// It is committed, and the caller does not know yet.
    AfterIt,
}

/// The test's end of a stop: the commit goes on when this is dropped.
#[derive(Debug)]
pub struct CommitStop {
    reached: oneshot::Receiver<()>,
    _release: oneshot::Sender<()>,
}

impl CommitStop {
    /// Resolves when the commit has stopped; never if there is none. Cancel-safe.
    pub async fn reached(&mut self) {
        if (&mut self.reached).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl NextCommit {
    /// What comes before the commit itself.
    pub(crate) async fn before(&mut self) -> Result<(), StoreError> {
        self.stop(StopAt::BeforeIt).await;
        match self.fate {
            Fate::RolledBack => Err(StoreError::of("committing", sqlx::Error::WorkerCrashed)),
            Fate::Sound | Fate::Lost => Ok(()),
        }
    }

    /// What comes after it, and what the caller is told.
    pub(crate) async fn after(
        &mut self,
        outcome: Result<(), sqlx::Error>,
    ) -> Result<(), sqlx::Error> {
        self.stop(StopAt::AfterIt).await;
        match self.fate {
            Fate::Lost => Err(sqlx::Error::WorkerCrashed),
            Fate::Sound | Fate::RolledBack => outcome,
        }
    }

    async fn stop(&mut self, at: StopAt) {
        if let Some(stop) = self.stop.take_if(|stop| stop.at == at) {
            stop.reached.send(()).ok();
            // Ends with the other end's drop.
            stop.released.await.ok();
        }
    }
}

/// How many commits were begun: while it stays the same, nothing that is stored changes.
#[must_use]
pub fn commits_begun(db: &Db) -> u64 {
    db.commits().begun.load(Ordering::Acquire)
}

/// Has the next commit happen and its caller told that the database was lost.
pub fn lose_next_commit(db: &Db) {
    db.commits().next.lock().fate = Fate::Lost;
}

/// Has the next commit be rolled back and its caller told that the database was lost.
pub fn refuse_next_commit(db: &Db) {
    db.commits().next.lock().fate = Fate::RolledBack;
}

/// A stop and the end that holds it.
#[must_use]
pub fn commit_stop(at: StopAt) -> (Stop, CommitStop) {
    let (reached, has_reached) = oneshot::channel();
    let (release, released) = oneshot::channel();
    let stop = Stop {
        at,
        reached,
        released,
    };
    let hold = CommitStop {
        reached: has_reached,
        _release: release,
    };
    (stop, hold)
}

/// Has the next commit stop, until the stop's other end is dropped.
pub fn stop_next_commit(db: &Db, stop: Stop) {
    db.commits().next.lock().stop = Some(stop);
}

/// Has the next commit go as it goes. Says whether it was to go otherwise.
pub fn spare_next_commit(db: &Db) -> bool {
    let spared = std::mem::take(&mut *db.commits().next.lock());
    spared.fate != Fate::Sound || spared.stop.is_some()
}
