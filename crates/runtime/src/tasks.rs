//! Long-running tasks: named, handed a shutdown token, joined; the first to end early stops the process and is named.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use thiserror::Error;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

/// Any error of a task, boxed.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// A group of tasks that live and end together.
///
/// A task that returns before shutdown, fails or panics ends the whole group.
pub struct Tasks {
    shutdown: CancellationToken,
    grace: Duration,
    running: JoinSet<Result<(), BoxError>>,
    names: HashMap<Id, String>,
}

/// Why a group of tasks did not end in good order.
#[derive(Debug, Error)]
pub enum TaskError {
    /// A task returned although nobody had asked it to.
    #[error("task {name} ended early")]
    EndedEarly {
        /// The task that ended.
        name: String,
    },
    /// A task returned an error.
    #[error("task {name} failed")]
    Failed {
        /// The task that failed.
        name: String,
        /// What it returned.
        #[source]
        source: BoxError,
    },
    /// A task panicked or was aborted from outside.
    #[error("task {name} broke off")]
    BrokeOff {
        /// The task that broke off.
        name: String,
        /// The runtime's account of it.
        #[source]
        source: JoinError,
    },
    /// Tasks did not end within the grace period and were aborted.
    #[error("tasks did not stop in time and were aborted: {}", names.join(", "))]
    Stragglers {
        /// The tasks that were aborted, in alphabetical order.
        names: Vec<String>,
    },
}

impl Tasks {
    /// An empty group whose tasks have `grace` to end once they are asked to.
    pub fn new(grace: Duration) -> Self {
        Self::under(CancellationToken::new(), grace)
    }

    /// An empty group that also shuts down when `shutdown` is cancelled.
    pub fn under(shutdown: CancellationToken, grace: Duration) -> Self {
        Self {
            shutdown,
            grace,
            running: JoinSet::new(),
            names: HashMap::new(),
        }
    }

    /// The token that asks the group's tasks to end; cancelling it shuts the group down.
    pub fn shutdown_token(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Starts the task `name`; `make` gets the token that asks it to end.
    pub fn start<F, E>(
        &mut self,
        name: impl Into<String>,
        make: impl FnOnce(CancellationToken) -> F,
    ) where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        let task = make(self.shutdown.clone());
        let handle = self
            .running
            .spawn(async move { task.await.map_err(Into::into) });
        self.names.insert(handle.id(), name.into());
    }

    /// Runs until `stop` completes, a task ends, or the token is cancelled; then ends all tasks.
    ///
    /// # Errors
    /// The first task that ended early, failed or broke off, else the stragglers of the shutdown.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> Result<(), TaskError> {
        let shutdown = self.shutdown.clone();
        let early = tokio::select! {
            biased;
            () = shutdown.cancelled() => Ok(()),
            () = stop => Ok(()),
            early = self.first_end() => Err(early),
        };
        let late = self.shut_down().await;
        early.and(late)
    }

    /// Waits for the first task to end and says why; with no task it waits forever. Cancel-safe.
    pub async fn first_end(&mut self) -> TaskError {
        match self.running.join_next_with_id().await {
            None => std::future::pending().await,
            Some(Ok((id, Ok(())))) => TaskError::EndedEarly {
                name: self.name_of(id),
            },
            Some(Ok((id, Err(source)))) => TaskError::Failed {
                name: self.name_of(id),
                source,
            },
            Some(Err(source)) => TaskError::BrokeOff {
                name: self.name_of(source.id()),
                source,
            },
        }
    }

    /// Asks every task to end, waits for the grace period, and aborts those that did not.
    ///
    /// # Errors
    /// The first task that failed or broke off while it ended, else the stragglers.
    pub async fn shut_down(mut self) -> Result<(), TaskError> {
        self.shutdown.cancel();
        let deadline = Instant::now() + self.grace;
        let mut first = Ok(());
        while !self.running.is_empty() {
            match timeout_at(deadline, self.first_end()).await {
                Ok(TaskError::EndedEarly { .. }) => {}
                Ok(error) => first = first.and(Err(error)),
                Err(_) => return first.and(Err(self.abort().await)),
            }
        }
        first
    }

    async fn abort(&mut self) -> TaskError {
        let mut names: Vec<String> = self.names.values().cloned().collect();
        names.sort();
        self.running.shutdown().await;
        TaskError::Stragglers { names }
    }

    fn name_of(&mut self, id: Id) -> String {
        self.names
            .remove(&id)
            .unwrap_or_else(|| "unnamed".to_owned())
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks")
            .field("running", &self.names.values())
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::io;

    use super::*;

    const GRACE: Duration = Duration::from_millis(50);

    async fn until_told(token: CancellationToken) -> Result<(), io::Error> {
        token.cancelled().await;
        Ok(())
    }

    #[tokio::test]
    async fn all_tasks_end_when_asked() {
        let mut tasks = Tasks::new(GRACE);
        tasks.start("one", until_told);
        tasks.start("two", until_told);
        tasks.run_until(ready(())).await.expect("in good order");
    }

    #[tokio::test]
    async fn the_first_task_to_end_early_stops_the_group_and_is_named() {
        let mut tasks = Tasks::new(GRACE);
        tasks.start("steady", until_told);
        tasks.start("quitter", |_| ready(Ok::<(), io::Error>(())));
        let error = tasks.run_until(pending()).await.expect_err("stops");
        assert_eq!(error.to_string(), "task quitter ended early");
    }

    #[tokio::test]
    async fn a_failed_task_is_named_with_its_cause() {
        let mut tasks = Tasks::new(GRACE);
        tasks.start("broken", |_| ready(Err(io::Error::other("disk gone"))));
        let error = tasks.run_until(pending()).await.expect_err("stops");
        assert_eq!(error.to_string(), "task broken failed");
        assert_eq!(error.source().expect("cause").to_string(), "disk gone");
    }

    #[tokio::test]
    async fn a_panic_is_named() {
        let mut tasks = Tasks::new(GRACE);
        tasks.start("panicky", |_| async {
            if true {
                panic!("no")
            } else {
                Ok::<(), io::Error>(())
            }
        });
        let error = tasks.run_until(pending()).await.expect_err("stops");
        assert_eq!(error.to_string(), "task panicky broke off");
    }

    #[tokio::test]
    async fn stragglers_are_aborted_and_named() {
        let mut tasks = Tasks::new(GRACE);
        tasks.start("zombie", |_| pending::<Result<(), io::Error>>());
        tasks.start("ghost", |_| pending::<Result<(), io::Error>>());
        let error = tasks.run_until(ready(())).await.expect_err("stragglers");
        assert_eq!(
            error.to_string(),
            "tasks did not stop in time and were aborted: ghost, zombie"
        );
    }

    #[tokio::test]
    async fn a_cancelled_token_shuts_the_group_down() {
        let mut tasks = Tasks::new(GRACE);
        tasks.start("one", until_told);
        tasks.shutdown_token().cancel();
        tasks.run_until(pending()).await.expect("in good order");
    }
}
