//! Attacks by agents that are let in: other agents' uids, new uids, labels and descriptions without end, no reading.

use std::{io, sync::Arc, time::Duration};

use tokio::time::{interval, sleep};

use super::{
    flood::{is_refused, open, open_narrow},
    victim::{Victim, message_frame, report, uid},
};
use crate::wire::encode;

/// Agents that one attacking connection carries: as many as it may.
const AGENTS_PER_CONNECTION: u64 = 256;
/// Labels of the one agent that brings all of them.
const ALL_KEYS: usize = 100_000;
/// Labels of an agent that brings its own: nearly as many as are kept.
const LABELS_EACH: usize = 100;

/// Speaks for an agent that is connected: the server asks that one, and gives this one another uid.
pub(super) async fn claim(victim: &Victim, number: u64) -> io::Result<()> {
    let count = victim.uids.len().max(1) as u64;
    let claimed = victim.uids[usize::try_from(number % count).unwrap_or(0)];
    let mut peer = open(victim).await?;
    peer.send(&message_frame(&report(claimed, 1, &[]))).await?;
    let message = peer.message().await?;
    let renamed = crate::wire::answer::read(&message, &Default::default())
        .is_ok_and(|answer| answer.new_uid.is_some());
    victim.tally.tried(renamed || is_refused(&message));
    Ok(())
}

/// Takes a new uid with each message, and says goodbye with it.
pub(super) async fn change_uids(victim: &Victim, number: u64) -> io::Result<()> {
    let mut peer = open(victim).await?;
    for step in 0..100 {
        let mut message = report(uid(b'u', number * 100 + step), 1, &[]);
        encode::bytes(&mut message, 9, &[]);
        peer.send(&message_frame(&message)).await?;
        victim.tally.tried(is_refused(&peer.message().await?));
    }
    Ok(())
}

/// Brings `keys` label keys that nobody else has, [`LABELS_EACH`] an agent, and one agent that has them all.
pub(super) async fn bring_labels(victim: Arc<Victim>, keys: usize) -> io::Result<()> {
    let label = |number: usize| (format!("key-{number}"), "v".to_owned());
    let agents = (keys / LABELS_EACH) as u64;
    let mut peers = Vec::new();
    let mut peer = open(&victim).await?;
    let all: Vec<_> = (0..ALL_KEYS).map(label).collect();
    peer.send(&message_frame(&report(uid(b'l', u64::MAX), 1, &all)))
        .await?;
    victim.tally.tried(is_refused(&peer.message().await?));
    for agent in 0..agents {
        if agent % AGENTS_PER_CONNECTION == 0 {
            let full = std::mem::replace(&mut peer, open(&victim).await?);
            peers.push(full);
        }
        let first = usize::try_from(agent).unwrap_or(0) * LABELS_EACH;
        let labels: Vec<_> = (first..first + LABELS_EACH).map(label).collect();
        let report = report(uid(b'l', agent), 1, &labels);
        peer.send(&message_frame(&report)).await?;
        victim.tally.tried(is_refused(&peer.message().await?));
    }
    victim.ready.cancel();
    victim.stop.cancelled().await;
    Ok(())
}

/// `agents` agents that describe themselves anew each second.
pub(super) async fn flip_descriptions(victim: Arc<Victim>, agents: u64) -> io::Result<()> {
    let mut peer = open(&victim).await?;
    let mut seconds = interval(Duration::from_secs(1));
    let mut sequence = 0;
    victim.ready.cancel();
    while !victim.is_over() {
        tokio::select! {
            biased;
            () = victim.stop.cancelled() => break,
            _ = seconds.tick() => {}
        }
        sequence += 1;
        let labels = [("flips".to_owned(), format!("{sequence}"))];
        for agent in 0..agents.min(AGENTS_PER_CONNECTION) {
            let report = report(uid(b'd', agent), sequence, &labels);
            peer.send(&message_frame(&report)).await?;
            victim.tally.tried(is_refused(&peer.message().await?));
        }
    }
    Ok(())
}

/// `count` agents that report and then read nothing; their configs go out meanwhile.
pub(super) async fn never_read(victim: Arc<Victim>, count: u64) -> io::Result<()> {
    let labels = [("reads".to_owned(), "never".to_owned())];
    let mut held = Vec::new();
    for number in 0..count {
        let mut peer = open_narrow(&victim).await?;
        let report = report(uid(b'n', number), 1, &labels);
        peer.send(&message_frame(&report)).await?;
        victim.tally.tried(is_refused(&peer.message().await?));
        held.push(peer);
    }
    victim.ready.cancel();
    while !victim.is_over() {
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
