//! The conversation with the server: what there is to report goes out, what the server asks for comes in.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use opamp::client::{BackoffOptions, ClientSession, Event, RemoteConfigOffer, SessionOptions};
use opamp::model::{AgentCapabilities, CustomMessage, DRY_RUN, DryRunAnswer, InstanceUid};
use opamp::runner::{Client, ClientEvent, client};
use opamp::transport::{ConnectOptions, Endpoint, TlsOptions, Transport};
use opamp::{Limits, dry_run};
use runtime::CancellationToken;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use crate::delta::{Bases, ask_for_whole};
use crate::dry_run::DryRunDesk;
use crate::ledger::OfferHash;
use crate::report::Report;
use crate::retry::FailedOffer;
use crate::settings::{ServerSettings, TlsSettings};
use crate::supervisor::{Command, Offer};

/// The first pause before files that cannot be read are looked for again; it doubles each time.
const FIRST_TLS_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_TLS_PAUSE: Duration = Duration::from_secs(60);

/// What the server asks for, as the rest of the agent gets it.
#[derive(Debug)]
pub struct Asks {
    /// The newest offered configuration.
    pub offers: watch::Sender<Option<Offer>>,
    /// Commands, in order; one that finds the queue full is dropped, since the one before it does the same.
    pub commands: mpsc::Sender<Command>,
    /// The newest assigned uid.
    pub uids: watch::Sender<Option<InstanceUid>>,
    /// Configurations to check and not to apply.
    pub dry_runs: DryRunDesk,
}

/// The link to the server.
pub struct Link {
    session: ClientSession,
    /// With everything but the certificates, which are read when they are needed.
    connect: ConnectOptions,
    settings: ServerSettings,
    report: watch::Receiver<Report>,
    asks: Asks,
    /// None where the server is to send every configuration whole.
    bases: Option<Bases>,
}

/// Why the settings lead to no connection at all.
#[derive(Debug, Error)]
pub enum LinkError {
    /// The endpoint is none.
    #[error("opamp.server.endpoint {endpoint}")]
    Endpoint {
        /// As configured.
        endpoint: String,
        /// What is wrong with it.
        #[source]
        source: opamp::transport::InvalidEndpoint,
    },
    /// A header is none.
    #[error(
        "opamp.server.headers: {name} is no HTTP header, or its value has characters that a header cannot have"
    )]
    Header {
        /// The header's name.
        name: String,
    },
}

/// A file of `opamp.server.tls` that cannot be read.
#[derive(Debug, Error)]
#[error("opamp.server.tls: reading {}", path.display())]
struct PemError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

impl Link {
    /// A link of the agent `uid` to the server in `settings`. It reports what comes in `report`.
    ///
    /// # Errors
    /// When the settings are unusable.
    pub fn new(
        settings: &ServerSettings,
        uid: InstanceUid,
        capabilities: AgentCapabilities,
        report: watch::Receiver<Report>,
        asks: Asks,
    ) -> Result<Self, LinkError> {
        let connect = connect_options(settings)?;
        let mut options = SessionOptions::new(uid, capabilities);
        if connect.endpoint.transport() == Transport::Http {
            options.heartbeat_interval = settings.polling_interval;
        }
        if settings.tls.insecure {
            warn!(
                event = "tls_unverified",
                "opamp.server.tls.insecure: the server's certificate is not checked, anyone on the way can command this agent"
            );
        }
        let mut session = ClientSession::new(options);
        // A check resolves what the configuration refers to, files among it: that is for servers that may change it.
        if capabilities.contains(AgentCapabilities::ACCEPTS_REMOTE_CONFIG) {
            session
                .add_custom_capability(DRY_RUN)
                .expect("it has a name as the protocol wants it");
        }
        Ok(Self {
            session,
            connect,
            settings: settings.clone(),
            report,
            asks,
            bases: None,
        })
    }

    /// Has the server send of a configuration what changed against one of these, if it can.
    #[must_use]
    pub fn taking_deltas(mut self, bases: Bases) -> Self {
        bases.announce(&mut self.session);
        self.bases = Some(bases);
        self
    }

    /// Talks to the server until `shutdown`, and says goodbye then.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self {
            session,
            mut connect,
            settings,
            mut report,
            mut asks,
            bases,
        } = self;
        let endpoint = settings.endpoint.as_str();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            tls = first_tls(&settings) => connect.tls = tls,
        }
        let (client, mut events, runner) =
            client(session, connect.clone(), BackoffOptions::default());
        let running = tokio::spawn(runner.run());
        // One look: what is told and what counts as told must be the same report.
        let mut told = report.borrow_and_update().clone();
        let mut failed = FailedOffer::default();
        tell(&client, &told, None);
        note(&mut failed, &told, None);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                changed = report.changed() => {
                    if changed.is_err() { break }
                    let next = report.borrow_and_update().clone();
                    tell(&client, &next, Some(&told));
                    note(&mut failed, &next, Some(&told));
                    told = next;
                }
                Some(answer) = asks.dry_runs.answer() => reply(&client, &answer),
                event = events.next() => match event {
                    Some(event) => {
                        if is_dialed_after(&event)
                            && let Some(tls) = renewed_tls(&settings.tls, &connect.tls)
                        {
                            connect.tls = tls;
                            client.reconnect(connect.clone());
                        }
                        if let Some(event) = whole(event, bases.as_ref(), &client)
                            && let Some(answer) = act(event, &asks, &mut failed, endpoint)
                        {
                            reply(&client, &answer);
                        }
                    }
                    None => break,
                },
            }
        }
        client.stop();
        // The runner ends once the goodbye is out; nobody is interested in what the server says to it.
        while events.next().await.is_some() {}
        if let Err(error) = running.await {
            warn!(error = %error, "the client broke off");
        }
    }
}

/// Hands what has changed since `told` to the session, which sends it.
fn tell(client: &Client, report: &Report, told: Option<&Report>) {
    client.session(|session| {
        if told.is_none_or(|told| told.description != report.description) {
            session.set_description(&report.description);
        }
        if let Some(health) = &report.health
            && told.is_none_or(|told| told.health != report.health)
        {
            session.set_health(health);
        }
        if let Some(config) = &report.effective_config
            && told.is_none_or(|told| told.effective_config != report.effective_config)
        {
            session.set_effective_config(config);
        }
        if let Some(status) = &report.remote_config_status
            && told.is_none_or(|told| told.remote_config_status != report.remote_config_status)
        {
            session.set_remote_config_status(status);
        }
        if let Some(components) = &report.available_components
            && told.is_none_or(|told| told.available_components != report.available_components)
        {
            session.set_available_components(components);
        }
    });
}

/// Answers a dry run. One that the server no longer wants is let go.
fn reply(client: &Client, answer: &DryRunAnswer) {
    let message = dry_run::answer(answer);
    if let Err(error) = client.session(|session| session.send_custom_message(message)) {
        debug!(error = %error, "the answer to a dry run was not sent");
    }
}

/// Notes a verdict that is told.
fn note(failed: &mut FailedOffer, report: &Report, told: Option<&Report>) {
    if let Some(status) = &report.remote_config_status
        && told.is_none_or(|told| told.remote_config_status != report.remote_config_status)
    {
        failed.told(status, Instant::now());
    }
}

/// The event, with an offer made whole that came as a delta; nothing where that could not be done and it is asked for.
fn whole(event: ClientEvent, bases: Option<&Bases>, client: &Client) -> Option<ClientEvent> {
    let (bases, config, hash) = match (bases, event) {
        (
            Some(bases),
            ClientEvent::Server(Event::RemoteConfig(RemoteConfigOffer {
                config: Some(config),
                hash,
            })),
        ) => (bases, config, hash),
        (_, event) => return Some(event),
    };
    match bases.make_whole(config, &hash) {
        Ok(config) => Some(ClientEvent::Server(Event::RemoteConfig(
            RemoteConfigOffer {
                config: Some(config),
                hash,
            },
        ))),
        Err(why) => {
            client.session(|session| ask_for_whole(session, &hash, &why));
            None
        }
    }
}

/// Acts on an event. Gives the answer to a dry run that is refused at once.
fn act(
    event: ClientEvent,
    asks: &Asks,
    failed: &mut FailedOffer,
    endpoint: &str,
) -> Option<DryRunAnswer> {
    match event {
        ClientEvent::Connected => {
            failed.connected(Instant::now());
            info!(event = "connected", endpoint, "connected to the server");
        }
        ClientEvent::ConnectFailed { error, retry_in } => {
            let error = runtime::logging::error_chain(&error);
            warn!(
                event = "connect_failed",
                endpoint,
                retry_in_ms = millis(retry_in),
                error,
                "the server could not be reached"
            );
        }
        ClientEvent::Disconnected { error, retry_in } => {
            let error = error
                .map(|error| runtime::logging::error_chain(&error))
                .unwrap_or_default();
            warn!(
                event = "disconnected",
                endpoint,
                retry_in_ms = millis(retry_in),
                error,
                "the connection to the server is gone"
            );
        }
        ClientEvent::Server(Event::CustomMessage(message)) => return consider(&message, asks),
        ClientEvent::Server(event) => obey(event, asks, failed),
        other => debug!(event = ?other, "an event of the client was ignored"),
    }
    None
}

/// Puts the question in a custom message; gives the answer if there is one at once.
fn consider(message: &CustomMessage, asks: &Asks) -> Option<DryRunAnswer> {
    match dry_run::read_question(message, &Limits::CLIENT) {
        Ok(question) => asks.dry_runs.ask(question?),
        Err(error) => {
            let error = runtime::logging::error_chain(&error);
            warn!(
                event = "dry_run_unreadable",
                error, "the server asked for a dry run that cannot be read"
            );
            None
        }
    }
}

fn obey(event: Event, asks: &Asks, failed: &mut FailedOffer) {
    match event {
        Event::RemoteConfig(RemoteConfigOffer {
            config: Some(config),
            hash,
        }) => {
            asks.offers.send_replace(Some(Offer {
                is_retry: failed.is_retry(&hash, Instant::now()),
                hash: OfferHash::of(&hash),
                config,
            }));
        }
        // The server knows that the agent has this one.
        Event::RemoteConfig(RemoteConfigOffer { config: None, .. }) => {}
        Event::Restart => {
            if asks.commands.try_send(Command::Restart).is_err() {
                info!("a restart is under way already");
            }
        }
        Event::UidChanged { new, .. } => {
            asks.uids.send_replace(Some(new));
        }
        Event::Error(error) => {
            warn!(event = "server_error", kind = ?error.kind, error = error.message, "the server refused a message")
        }
        Event::ServerCapabilities(capabilities) => {
            debug!(?capabilities, "the server's capabilities")
        }
        other => {
            debug!(event = ?other, "the server asked for something that this agent does not do")
        }
    }
}

fn connect_options(settings: &ServerSettings) -> Result<ConnectOptions, LinkError> {
    let endpoint: Endpoint = settings
        .endpoint
        .parse()
        .map_err(|source| LinkError::Endpoint {
            endpoint: settings.endpoint.clone(),
            source,
        })?;
    let mut options = ConnectOptions::new(endpoint);
    options.headers = headers(settings)?;
    Ok(options)
}

fn headers(settings: &ServerSettings) -> Result<HeaderMap, LinkError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &settings.headers {
        let refused = || LinkError::Header { name: name.clone() };
        let key = HeaderName::try_from(name.as_str()).map_err(|_| refused())?;
        let mut value = HeaderValue::try_from(value.expose()).map_err(|_| refused())?;
        value.set_sensitive(true);
        headers.append(key, value);
    }
    Ok(headers)
}

/// The certificates for the first dial, however long it takes until their files can be read.
async fn first_tls(settings: &ServerSettings) -> TlsOptions {
    let mut retry_in = FIRST_TLS_PAUSE;
    loop {
        let error = match read_tls(&settings.tls) {
            Ok(tls) => return tls,
            Err(error) => runtime::logging::error_chain(&error),
        };
        warn!(
            event = "connect_failed",
            endpoint = settings.endpoint,
            retry_in_ms = millis(retry_in),
            error,
            "the server cannot be dialed"
        );
        sleep(retry_in).await;
        retry_in = (2 * retry_in).min(LONGEST_TLS_PAUSE);
    }
}

fn is_dialed_after(event: &ClientEvent) -> bool {
    matches!(
        event,
        ClientEvent::ConnectFailed { .. } | ClientEvent::Disconnected { .. }
    )
}

/// The certificates for another dial, if their files say something else than at the last one. Those that cannot be read
/// leave it at that.
fn renewed_tls(settings: &TlsSettings, used: &TlsOptions) -> Option<TlsOptions> {
    let tls = match read_tls(settings) {
        Ok(tls) => tls,
        Err(error) => {
            let error = runtime::logging::error_chain(&error);
            warn!(
                event = "tls_files_unreadable",
                error, "the certificates that were read before go on being used"
            );
            return None;
        }
    };
    let is_same =
        tls.ca_pem == used.ca_pem && tls.cert_pem == used.cert_pem && tls.key_pem == used.key_pem;
    if is_same {
        return None;
    }
    info!(
        event = "tls_files_changed",
        "the certificates on disk are others and are used from now on"
    );
    Some(tls)
}

fn read_tls(settings: &TlsSettings) -> Result<TlsOptions, PemError> {
    Ok(TlsOptions {
        ca_pem: read(settings.ca_file.as_deref())?,
        cert_pem: read(settings.cert_file.as_deref())?,
        key_pem: read(settings.key_file.as_deref())?,
        insecure_skip_verify: settings.insecure,
        ..TlsOptions::default()
    })
}

fn read(path: Option<&Path>) -> Result<Option<Vec<u8>>, PemError> {
    let file = |path: &Path| {
        fs::read(path).map_err(|source| PemError {
            path: path.to_owned(),
            source,
        })
    };
    path.map(file).transpose()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> ServerSettings {
        let text = format!(
            "opamp: {{ server: {{ endpoint: 'wss://h/v1/opamp', {text} }} }}\ncollector: {{ executable: /c, config_path: /p }}\n"
        );
        crate::settings::Settings::parse("t.yaml", &text, &runtime::Environment::default())
            .unwrap()
            .opamp
            .server
    }

    #[test]
    fn headers_are_sent_as_secrets() {
        let options = connect_options(&settings("headers: {authorization: Bearer x}")).unwrap();
        assert!(options.headers["authorization"].is_sensitive());
        assert_eq!(options.headers["authorization"], "Bearer x");
    }

    #[test]
    fn what_leads_to_no_connection_is_named() {
        let refusal = |text: &str| connect_options(&settings(text)).unwrap_err().to_string();
        assert!(refusal("headers: {'bad name': x}").contains("bad name"));
        assert!(!refusal("headers: {x: \"sec\\nret\"}").contains("sec"));
    }

    #[test]
    fn certificates_are_read_anew() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        let settings = settings(&format!("tls: {{ca_file: '{}'}}", path.display())).tls;
        let missing = read_tls(&settings).unwrap_err().to_string();
        assert!(
            missing.contains("reading ") && missing.contains("ca.pem"),
            "{missing}"
        );
        fs::write(&path, "one").unwrap();
        let one = read_tls(&settings).unwrap();
        assert!(renewed_tls(&settings, &one).is_none());
        fs::write(&path, "two").unwrap();
        let two = renewed_tls(&settings, &one).unwrap();
        assert_eq!(two.ca_pem.as_deref(), Some(b"two".as_slice()));
        fs::remove_file(&path).unwrap();
        assert!(renewed_tls(&settings, &two).is_none());
    }
}
