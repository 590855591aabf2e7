//! The attacks by name: over which transport, how many, and what they may cost.

use std::{io, sync::Arc};

use serde::Serialize;

use super::{
    flood,
    hold::{Stop, hold},
    http2, sessions,
    victim::Victim,
};
use crate::bench::Mode;

/// One attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Attack {
    /// No attack: what the others are compared with.
    None,
    /// Connections that say nothing.
    Silent,
    /// WebSocket handshakes without their end, 8 KiB each.
    HalfUpgrade,
    /// HTTP/2 prefaces without a request.
    HalfHttp2,
    /// HTTP/2 heads without their end, 8 KiB each.
    HalfHead,
    /// Requests that go on for ever, a byte at a time, on the agent plane.
    SlowlorisAgents,
    /// The same on the admin plane.
    SlowlorisOperators,
    /// Heads of too many headers and too many bytes, on both planes.
    HeaderFlood,
    /// HTTP/2 streams that are opened and reset at once.
    RapidReset,
    /// An HTTP/2 head that is continued without end.
    ContinuationFlood,
    /// 1,000 handshakes a second with a token that is none.
    WrongTokens,
    /// 1,000 handshakes a second with a token that was revoked.
    RevokedTokens,
    /// 1,000 requests a second of the API with a token that is none.
    WrongOperatorTokens,
    /// One good token that polls over plain HTTP as fast as it is answered.
    Polls,
    /// Bodies of 64 KiB that unfold to 64 MiB.
    GzipBombs,
    /// Messages of 10,000 levels, and of 1,500,000 parts.
    ProtobufBombs,
    /// WebSocket messages in fragments without end.
    Fragments,
    /// Text frames, garbage, uids of 0 and 17 bytes, unknown fields and bits, sequence numbers that jump.
    BadMessages,
    /// Reports under the uids of agents that are connected.
    Claims,
    /// 100,000 label keys that nobody else has.
    Labels,
    /// Agents that describe themselves anew each second.
    DescriptionFlips,
    /// Agents that read nothing while configs go out.
    NeverRead,
    /// Sessions that change their uid with each message: they leave no room for further agents, so they come last.
    UidChanges,
    /// More connections than the server has descriptors for.
    Descriptors,
    /// No attack, over TLS.
    NoneTls,
    /// TLS hellos without their end.
    HalfTls,
    /// TLS without a request.
    SilentTls,
    /// HTTP/2 prefaces over TLS without a request.
    HalfHttp2Tls,
}

/// What an attack may cost the server beside the time of its agents.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bound {
    /// Resident memory of each hostile connection that is open, in KiB.
    pub kib_per_connection: Option<f64>,
    /// Resident memory of the whole attack at its worst moment, in MiB.
    pub mib: f64,
    /// Whether every try is refused.
    pub all_refused: bool,
    /// Whether none is: what is asked for is allowed, and costs no more than this.
    pub none_refused: bool,
}

/// How large an attack is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Connections that are held, each of which proves nothing.
    pub held: usize,
    /// Credentials a second.
    pub per_second: u32,
    /// Connections that flood.
    pub workers: usize,
    /// Hostile agents.
    pub agents: u64,
    /// Label keys.
    pub label_keys: usize,
}

/// What a connection without a principal may cost, in KiB.
const UNPROVEN_KIB: f64 = 20.0;

impl Attack {
    /// The server that it needs.
    pub(super) fn mode(self) -> Mode {
        match self {
            Self::NoneTls | Self::HalfTls | Self::SilentTls | Self::HalfHttp2Tls => Mode::Tls,
            _ => Mode::Plain,
        }
    }

    /// Whether connections are held, which prove nothing.
    pub(super) fn holds(self) -> Option<Stop> {
        Some(match self {
            Self::Silent | Self::Descriptors => Stop::AtOnce,
            Self::HalfUpgrade => Stop::InTheUpgrade,
            Self::HalfHttp2 => Stop::AfterThePreface,
            Self::HalfHead => Stop::InTheHead,
            Self::SlowlorisAgents => Stop::Never,
            Self::SlowlorisOperators => Stop::NeverOnTheAdminPlane,
            Self::HalfTls => Stop::InTheHello,
            Self::SilentTls => Stop::AfterTls,
            Self::HalfHttp2Tls => Stop::AfterTlsAndPreface,
            _ => return None,
        })
    }

    /// What it may cost.
    #[must_use]
    pub fn bound(self) -> Bound {
        let all_refused = matches!(
            self,
            Self::HeaderFlood
                | Self::RapidReset
                | Self::ContinuationFlood
                | Self::WrongTokens
                | Self::RevokedTokens
                | Self::WrongOperatorTokens
                | Self::GzipBombs
                | Self::ProtobufBombs
                | Self::Fragments
                | Self::BadMessages
                | Self::Claims
        );
        Bound {
            kib_per_connection: self.holds().map(|_| UNPROVEN_KIB),
            mib: match self.holds() {
                Some(_) => 5_000.0 * UNPROVEN_KIB / 1024.0,
                None => 64.0,
            },
            all_refused,
            none_refused: matches!(self, Self::DescriptionFlips | Self::NeverRead),
        }
    }

    /// Attacks until the attack is over.
    pub(super) async fn run(self, victim: Arc<Victim>, size: Size) -> io::Result<()> {
        if let Some(stop) = self.holds() {
            hold(victim, size.held, stop).await;
            return Ok(());
        }
        match self {
            Self::HeaderFlood => {
                let work = |victim: Arc<Victim>| async move { flood::large_heads(&victim).await };
                victim.repeat(size.workers, work).await;
            }
            Self::RapidReset => {
                let work = |victim: Arc<Victim>| async move { http2::rapid_reset(&victim).await };
                victim.repeat(size.workers, work).await;
            }
            Self::ContinuationFlood => {
                let work = |victim: Arc<Victim>| async move { http2::continuation(&victim).await };
                victim.repeat(size.workers, work).await;
            }
            Self::WrongTokens => {
                let work = |victim: Arc<Victim>, number: u64| async move {
                    let token = format!("opamp_agt_{number:032}");
                    flood::show_token(&victim, &token).await
                };
                victim.pace(size.per_second, work).await;
            }
            Self::RevokedTokens => {
                let work = |victim: Arc<Victim>, _| async move {
                    flood::show_token(&victim, &victim.revoked).await
                };
                victim.pace(size.per_second, work).await;
            }
            Self::WrongOperatorTokens => {
                let work = |victim: Arc<Victim>, number| async move {
                    flood::show_operator_token(&victim, number).await
                };
                victim.pace(size.per_second, work).await;
            }
            Self::Polls => {
                let work = |victim: Arc<Victim>| async move { flood::poll(&victim).await };
                victim.repeat(size.workers, work).await;
            }
            Self::GzipBombs => {
                let bomb = flood::gzip_bomb();
                let work = move |victim: Arc<Victim>| {
                    let bomb = Arc::clone(&bomb);
                    async move { flood::post_bomb(&victim, &bomb).await }
                };
                victim.repeat(size.workers, work).await;
            }
            Self::ProtobufBombs => {
                let bombs = flood::protobuf_bombs();
                let work = move |victim: Arc<Victim>| {
                    let bombs = Arc::clone(&bombs);
                    async move { flood::send_bombs(&victim, &bombs).await }
                };
                victim.repeat(size.workers, work).await;
            }
            Self::Fragments => {
                let work = |victim: Arc<Victim>| async move { flood::fragments(&victim).await };
                victim.repeat(size.workers, work).await;
            }
            Self::BadMessages => {
                let work = |victim: Arc<Victim>| async move { flood::bad_messages(&victim).await };
                victim.repeat(size.workers, work).await;
            }
            Self::Claims => {
                let work = |victim: Arc<Victim>, number| async move {
                    sessions::claim(&victim, number).await
                };
                victim.pace(size.per_second / 10, work).await;
            }
            Self::UidChanges => {
                let work = |victim: Arc<Victim>, number| async move {
                    sessions::change_uids(&victim, number).await
                };
                victim.pace((size.per_second / 50).max(1), work).await;
            }
            Self::Labels => sessions::bring_labels(victim, size.label_keys).await?,
            Self::DescriptionFlips => sessions::flip_descriptions(victim, size.agents).await?,
            Self::NeverRead => sessions::never_read(victim, size.agents).await?,
            _ => {
                victim.ready.cancel();
                victim.stop.cancelled().await;
            }
        }
        Ok(())
    }
}
