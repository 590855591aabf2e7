//! Orders for one agent: a set of bits and a wake-up, so that ordering 15,000 of them is cheap.

use std::{
    future::poll_fn,
    sync::atomic::{AtomicU8, Ordering},
    task::Poll,
};

use futures_util::task::AtomicWaker;

/// Orders that have been given and not been taken.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    pending: AtomicU8,
    waker: AtomicWaker,
}

/// A set of orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OrderSet(u8);

impl OrderSet {
    /// Say what there is to say.
    pub(crate) const SPEAK: Self = Self(1);
    /// Drop the connection, and dial again at once.
    pub(crate) const REDIAL: Self = Self(2);
    /// Drop the connection, and wait for [`OrderSet::DIAL`].
    pub(crate) const HOLD: Self = Self(4);
    /// Dial, unless connected.
    pub(crate) const DIAL: Self = Self(8);
    /// Say goodbye and end.
    pub(crate) const STOP: Self = Self(16);
    /// Report health again, only its times changed.
    pub(crate) const REPORT: Self = Self(32);

    /// Whether any of the given orders is among these.
    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl Orders {
    /// Gives an order; one that is pending already is not given twice.
    pub(crate) fn give(&self, order: OrderSet) {
        self.pending.fetch_or(order.0, Ordering::AcqRel);
        self.waker.wake();
    }

    /// Waits for orders and takes them. May be dropped and called again without loss.
    pub(crate) async fn next(&self) -> OrderSet {
        poll_fn(|cx| {
            if let Some(orders) = self.take() {
                return Poll::Ready(orders);
            }
            self.waker.register(cx.waker());
            // An order may have come between the look and the registration.
            self.take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    fn take(&self) -> Option<OrderSet> {
        if self.pending.load(Ordering::Acquire) == 0 {
            return None;
        }
        Some(OrderSet(self.pending.swap(0, Ordering::AcqRel)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn orders_add_up_until_they_are_taken() {
        let orders = Orders::default();
        orders.give(OrderSet::REPORT);
        orders.give(OrderSet::HOLD);
        orders.give(OrderSet::REPORT);
        let taken = orders.next().await;
        assert!(taken.has(OrderSet::REPORT) && taken.has(OrderSet::HOLD));
        assert!(!taken.has(OrderSet::STOP));
        assert_eq!(orders.take(), None);
    }

    #[tokio::test]
    async fn a_waiting_agent_is_woken() {
        let orders = Orders::default();
        let (taken, ()) = tokio::join!(orders.next(), async { orders.give(OrderSet::STOP) });
        assert_eq!(taken, OrderSet::STOP);
    }
}
