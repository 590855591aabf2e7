//! The agent put together: storage taken, collector started, then the server dialed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use opamp::model::InstanceUid;
use runtime::{CancellationToken, SystemClock, TaskError, Tasks};
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::collector::{Inventory, inventory};
use crate::delta::Bases;
use crate::description::describe;
use crate::dry_run::DryRuns;
use crate::health::{HealthWatch, ProcessView};
use crate::identity::{Identity, machine_id};
use crate::link::{Asks, Link, LinkError};
use crate::process::{Launch, stamp_of};
use crate::report::{ReportSender, capabilities};
use crate::settings::Settings;
use crate::site::{Site, contents_directory};
use crate::storage::contents::Contents;
use crate::storage::lock::{LockError, StorageLock};
use crate::storage::record::SaveError;
use crate::supervisor::{Inbox, Parts, Supervisor};

/// Time beyond the collector's own stop timeout that a shutdown may take.
const GRACE: Duration = Duration::from_secs(15);
const MAX_COMMANDS: usize = 4;
/// So long the server is not dialed while the collector's program is asked what it is.
const DESCRIBE_FIRST: Duration = Duration::from_secs(3);

/// Why the agent did not start or did not end in order.
#[derive(Debug, Error)]
pub enum AgentError {
    /// The storage directory cannot be had.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The identity cannot be kept.
    #[error("keeping the agent's identity")]
    Identity(#[source] SaveError),
    /// The settings lead to no server.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A part of the agent ended early.
    #[error("the agent stopped")]
    Task(#[from] TaskError),
}

/// Runs the agent until `shutdown`, and ends it in order.
///
/// # Errors
/// When it cannot start, or a part of it ends early.
pub async fn run(settings: Settings, shutdown: CancellationToken) -> Result<(), AgentError> {
    let directory = settings.storage.directory.clone();
    let _lock = StorageLock::take(&directory)?;
    let identity = Identity::load(
        &directory,
        settings.opamp.agent.instance_id.as_deref(),
        machine_id().as_deref(),
    )
    .map_err(AgentError::Identity)?;
    tell_start(&settings, &identity);

    let clock = Arc::new(SystemClock);
    let capabilities = capabilities(&settings.opamp.capabilities);
    let (report, reported) = ReportSender::new(capabilities);
    let (view, process) = watch::channel(ProcessView::default());
    let (offers, offered) = watch::channel(None);
    let (commands, commanded) = mpsc::channel(MAX_COMMANDS);
    let (uids, assigned) = watch::channel(None);
    let (started, starts) = watch::channel(String::new());
    let (instance_ids, instance_id) = watch::channel(identity.service_instance_id());
    let site = Site::new(settings.collector.clone(), &directory, instance_id);
    let (dry_runs, desk) = DryRuns::new(site.clone());
    let mut link = Link::new(
        &settings.opamp.server,
        identity.uid(),
        capabilities,
        reported,
        Asks {
            offers,
            commands,
            uids,
            dry_runs: desk,
        },
    )?;

    if settings.opamp.capabilities.takes_deltas() {
        let contents = Contents::new(contents_directory(&directory));
        link = link.taking_deltas(Bases::new(contents));
    }

    let mut tasks = Tasks::under(shutdown.clone(), settings.collector.stop_timeout + GRACE);
    let stopping = tasks.shutdown_token();
    let program = site.bare_launch();
    let (begun, described) = (CancellationToken::new(), CancellationToken::new());
    let parts = Parts {
        site,
        storage_id: identity.storage_id(),
        report: report.clone(),
        view,
        started,
        begun: begun.clone(),
    };
    let supervisor = Supervisor::new(parts, &directory, clock.clone(), stopping);
    tasks.start("supervisor", |_| {
        endless(supervisor.run(Inbox {
            offers: offered,
            commands: commanded,
        }))
    });
    tasks.start("dry_runs", |token| endless(dry_runs.run(token)));
    let watch = HealthWatch {
        process,
        report: report.clone(),
        interval: settings.opamp.health.report_interval,
        clock,
    };
    tasks.start("health", |token| endless(watch.run(token)));
    let teller = Teller {
        identity,
        settings: settings.clone(),
        report,
        program,
        instance_ids,
        described: described.clone(),
    };
    tasks.start("description", |token| {
        endless(teller.run(assigned, starts, token))
    });
    tasks.start("link", |token| endless(dial(link, begun, described, token)));
    Ok(tasks.run_until(std::future::pending()).await?)
}

async fn endless(task: impl Future<Output = ()>) -> Result<(), std::convert::Infallible> {
    task.await;
    Ok(())
}

/// Data first: the server is dialed when the collector has been started. Then the program gets a moment to say what it
/// is, so that the first report is whole.
async fn dial(
    link: Link,
    begun: CancellationToken,
    described: CancellationToken,
    shutdown: CancellationToken,
) {
    let ready = async {
        begun.cancelled().await;
        timeout(DESCRIBE_FIRST, described.cancelled()).await.ok();
    };
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        () = ready => link.run(shutdown.clone()).await,
    }
}

fn tell_start(settings: &Settings, identity: &Identity) {
    info!(
        event = "agent_started",
        version = env!("CARGO_PKG_VERSION"),
        instance_uid = %identity.uid(),
        endpoint = settings.opamp.server.endpoint,
        executable = %settings.collector.executable.display(),
        config_path = %settings.collector.config_path.display(),
        "opamp-agent starts"
    );
    if settings.opamp.capabilities.accepts_packages {
        warn!(
            event = "capability_unavailable",
            key = "opamp.capabilities.accepts_packages",
            "packages are not there yet: the capability stays off"
        );
    }
    if !settings.opamp.capabilities.accepts_remote_config {
        info!(
            event = "read_only",
            "opamp.capabilities.accepts_remote_config is false: the server can watch, not change, this collector"
        );
    }
}

/// Keeps description and inventory current.
struct Teller {
    identity: Identity,
    settings: Settings,
    report: ReportSender,
    program: Launch,
    instance_ids: watch::Sender<String>,
    described: CancellationToken,
}

impl Teller {
    async fn run(
        mut self,
        mut assigned: watch::Receiver<Option<InstanceUid>>,
        mut starts: watch::Receiver<String>,
        shutdown: CancellationToken,
    ) {
        self.describe(None);
        let mut asked = stamp_of(self.program.executable());
        let mut found = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            found = self.tell_inventory() => found,
        };
        self.described.cancel();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                changed = assigned.changed() => {
                    if changed.is_err() { return }
                    let uid = *assigned.borrow_and_update();
                    self.take_assigned(uid);
                    self.describe(found.as_ref());
                }
                changed = starts.changed() => {
                    if changed.is_err() { return }
                    let stamp = starts.borrow_and_update().clone();
                    // Another program was put in place; or nobody could be asked so far.
                    if found.is_none() || stamp != asked {
                        asked = stamp;
                        let again = tokio::select! {
                            biased;
                            () = shutdown.cancelled() => return,
                            again = self.tell_inventory() => again,
                        };
                        found = again.or(found);
                    }
                }
            }
        }
    }

    fn take_assigned(&mut self, uid: Option<InstanceUid>) {
        if let Some(uid) = uid
            && let Err(error) = self.identity.take_assigned(uid)
        {
            warn!(
                event = "state_not_saved",
                error = &error as &(dyn std::error::Error + 'static),
                "the assigned uid was not saved"
            );
        }
        // The collector hears of it with its next start or configuration: it is not disturbed for a name.
        self.instance_ids
            .send_replace(self.identity.service_instance_id());
    }

    /// Asks the program what it is and reports that.
    async fn tell_inventory(&self) -> Option<Inventory> {
        let inventory = self.take_inventory().await?;
        self.report
            .set_available_components(inventory.to_available());
        self.describe(Some(&inventory));
        Some(inventory)
    }

    fn describe(&self, inventory: Option<&Inventory>) {
        let instance_id = self.identity.service_instance_id();
        self.report.set_description(describe(
            inventory,
            &instance_id,
            &self.settings.opamp.agent.labels,
        ));
    }

    async fn take_inventory(&self) -> Option<Inventory> {
        let directory: &Path = &self.settings.storage.directory;
        match inventory(
            &self.program,
            directory,
            self.settings.collector.command_timeout,
        )
        .await
        {
            Ok(inventory) => {
                info!(
                    event = "collector_known",
                    command = inventory.command,
                    version = inventory.version,
                    "the collector's program said what it is"
                );
                Some(inventory)
            }
            Err(error) => {
                warn!(
                    event = "collector_unknown",
                    error = &error as &(dyn std::error::Error + 'static),
                    "the collector's program did not say what it is"
                );
                None
            }
        }
    }
}
