//! The signals that ask a program to stop, or to read its files again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask this process to stop: SIGTERM and SIGINT.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Takes over SIGTERM and SIGINT from their default, which is to kill the process.
    ///
    /// # Errors
    /// When the system refuses the handlers.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next of the signals and names it. Cancel-safe.
    pub async fn recv(&mut self) -> &'static str {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// SIGHUP, which asks a program to read its files again.
#[derive(Debug)]
pub struct ReloadSignal(Signal);

impl ReloadSignal {
    /// Takes over SIGHUP from its default, which is to kill the process.
    ///
    /// # Errors
    /// When the system refuses the handler.
    pub fn listen() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next SIGHUP. Cancel-safe.
    pub async fn recv(&mut self) {
        self.0.recv().await;
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal as Number, getpid, kill_process};

    use super::*;

    #[tokio::test]
    async fn a_stop_signal_is_named() {
        let mut signals = StopSignals::listen().expect("handlers");
        kill_process(getpid(), Number::TERM).expect("raised");
        assert_eq!(signals.recv().await, "SIGTERM");
    }

    #[tokio::test]
    async fn a_hangup_asks_for_a_reload() {
        let mut signals = ReloadSignal::listen().expect("handler");
        kill_process(getpid(), Number::HUP).expect("raised");
        signals.recv().await;
    }
}
