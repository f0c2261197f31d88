//! Queue in which a given number may be first at the same time, and the others follow in the order in which they joined.
//!
//! A row joins before its task is spawned, since tasks do not begin in the order in which they are spawned.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Semaphore;

/// Its owners share it in an `Arc` of their own, because [`Queue::len`] counts the references to its heads.
pub(crate) struct Queue(Arc<Heads>);

/// Heads of the queue, and how many there are.
struct Heads {
    free: Semaphore,
    size: Mutex<HeadCount>,
}

struct HeadCount {
    wanted: usize,
    /// Heads that exist: more than are wanted, until the surplus ones have gone.
    now: usize,
}

/// Position in the queue. It is kept until it is dropped, also while its row does something else.
pub(crate) enum QueuePosition {
    Waits(Pin<Box<dyn Future<Output = QueueHead> + Send>>),
    /// At the head of the queue.
    First(#[expect(dead_code, reason = "held for as long as the position is")] QueueHead),
}

/// Right to be first, held by one position.
pub(crate) struct QueueHead(Arc<Heads>);

impl Drop for QueueHead {
    /// Lets the next one be first, unless too many are.
    fn drop(&mut self) {
        let mut size = self.0.size();
        if size.now > size.wanted {
            size.now -= 1;
        } else {
            self.0.free.add_permits(1);
        }
    }
}

impl Heads {
    fn size(&self) -> MutexGuard<'_, HeadCount> {
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    pub(crate) fn new(n_heads: usize) -> Self {
        let size = HeadCount { wanted: n_heads, now: n_heads };
        Self(Arc::new(Heads { free: Semaphore::new(n_heads), size: Mutex::new(size) }))
    }

    /// Sets how many may be first at the same time. Those that are stay until they go.
    pub(crate) fn resize(&self, wanted: usize) {
        let mut size = self.0.size();
        size.wanted = wanted;
        if wanted > size.now {
            self.0.free.add_permits(wanted - size.now);
            size.now = wanted;
        } else {
            size.now -= self.0.free.forget_permits(size.now - wanted);
        }
    }

    /// Tells whether more are first than may be.
    pub(crate) fn is_too_wide(&self) -> bool {
        let size = self.0.size();
        size.now > size.wanted
    }

    /// Number of positions in it, the first ones included.
    pub(crate) fn len(&self) -> usize {
        // Each position holds one reference, waiting or first, and the queue itself one.
        Arc::strong_count(&self.0) - 1
    }

    pub(crate) fn join(&self) -> QueuePosition {
        let heads = Arc::clone(&self.0);
        // While a head is free, nobody waits.
        if let Ok(free) = self.0.free.try_acquire() {
            free.forget();
            return QueuePosition::First(QueueHead(heads));
        }
        let mut waits: Pin<Box<dyn Future<Output = QueueHead> + Send>> = Box::pin(async move {
            heads.free.acquire().await.expect("the semaphore is never closed").forget();
            QueueHead(heads)
        });
        // Polled once, it stands in the semaphore's own queue, which is first come, first served.
        match waits.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(head) => QueuePosition::First(head),
            Poll::Pending => QueuePosition::Waits(waits),
        }
    }
}

impl QueuePosition {
    pub(crate) fn is_first(&self) -> bool {
        matches!(self, QueuePosition::First(_))
    }

    /// Waits until nobody is before it. A wait that is cancelled keeps the position.
    pub(crate) async fn come_first(&mut self) {
        if let QueuePosition::Waits(waits) = self {
            *self = QueuePosition::First(waits.await);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_joins_first_comes_first_whoever_asks_first() {
        let queue = Queue::new(1);
        let (mut one, mut two, mut three) = (queue.join(), queue.join(), queue.join());
        let (came, mut order) = tokio::sync::mpsc::unbounded_channel();
        let late = came.clone();
        let third = tokio::spawn(async move {
            three.come_first().await;
            _ = came.send(3);
        });
        tokio::task::yield_now().await;
        let second = tokio::spawn(async move {
            two.come_first().await;
            _ = late.send(2);
        });
        one.come_first().await;
        tokio::task::yield_now().await;
        assert!(order.try_recv().is_err());
        drop(one);
        second.await.unwrap();
        third.await.unwrap();
        assert_eq!((order.recv().await, order.recv().await), (Some(2), Some(3)));
    }

    #[test]
    fn a_queue_gets_wider_and_narrower() {
        let queue = Queue::new(1);
        let one = queue.join();
        assert!(matches!(queue.join(), QueuePosition::Waits(_)));
        assert_eq!(queue.len(), 1);
        queue.resize(3);
        let others = [queue.join(), queue.join()];
        assert_eq!(queue.len(), 3);
        assert!(others.iter().all(|position| matches!(position, QueuePosition::First(_))));
        queue.resize(2);
        drop(one);
        assert!(matches!(queue.join(), QueuePosition::Waits(_)));
        drop(others);
        let _two = [queue.join(), queue.join()];
        assert!(matches!(queue.join(), QueuePosition::Waits(_)));
    }

    #[tokio::test]
    async fn a_queue_gets_narrower_while_somebody_waits_in_it() {
        let queue = Queue::new(3);
        let [one, two, three] = [queue.join(), queue.join(), queue.join()];
        let mut waits = queue.join();
        queue.resize(1);
        for position in [one, two] {
            assert!(queue.is_too_wide());
            drop(position);
            tokio::select! {
                biased;
                () = waits.come_first() => panic!("one is first already"),
                () = tokio::task::yield_now() => (),
            }
        }
        assert!(!queue.is_too_wide());
        drop(three);
        waits.come_first().await;
        queue.resize(2);
        assert!(matches!(queue.join(), QueuePosition::First(_)));
    }
}
