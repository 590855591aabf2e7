//! Waits for a condition on state, with a deadline.

use std::time::{Duration, Instant};

/// How long a test waits for a condition before it fails. Long, because a loaded machine is no reason to fail.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until `condition` holds.
///
/// # Panics
/// When it does not hold within [`DEADLINE`]; `what` says what was waited for.
pub async fn wait_until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    wait_until_some(what, async || condition().await.then_some(())).await;
}

/// Waits until `look` finds something, and gives it.
///
/// # Panics
/// When it finds nothing within [`DEADLINE`]; `what` says what was waited for.
pub async fn wait_until_some<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            began.elapsed() < DEADLINE,
            "waited {} s for {what}",
            DEADLINE.as_secs()
        );
        tokio::time::sleep(PAUSE).await;
    }
}
