//! A line: who joins it first comes first, and so many may be first at the same time.
//!
//! Tasks are not begun in the order in which they are spawned, so that a row joins before its task is.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) struct Line {
    /// So many may be first at the same time.
    heads: Arc<Semaphore>,
    n_heads: Mutex<usize>,
}

/// A place in the line. It is kept until it is dropped, also while its row does something else.
pub(crate) enum Place {
    Waits(Pin<Box<dyn Future<Output = OwnedSemaphorePermit> + Send>>),
    /// Nobody is before it.
    First(#[expect(dead_code, reason = "held for as long as the place is")] OwnedSemaphorePermit),
}

impl Line {
    pub(crate) fn new(n_heads: usize) -> Self {
        Self { heads: Arc::new(Semaphore::new(n_heads)), n_heads: Mutex::new(n_heads) }
    }

    /// More or fewer may be first at the same time. Those that are stay, and where they are too many, are fewer when this
    /// is said again.
    pub(crate) fn resize(&self, wanted: usize) {
        let mut n_heads = self.n_heads.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted > *n_heads {
            self.heads.add_permits(wanted - *n_heads);
            *n_heads = wanted;
        } else {
            *n_heads -= self.heads.forget_permits(*n_heads - wanted);
        }
    }

    /// How many stand in it, the first ones included.
    pub(crate) fn len(&self) -> usize {
        // Each place holds the semaphore, as one that waits or with its permit.
        Arc::strong_count(&self.heads) - 1
    }

    pub(crate) fn join(&self) -> Place {
        let heads = Arc::clone(&self.heads);
        let mut waits: Pin<Box<dyn Future<Output = OwnedSemaphorePermit> + Send>> =
            Box::pin(async move { heads.acquire_owned().await.expect("the semaphore is never closed") });
        // Asked once, it stands in the semaphore's own queue, which is first come, first served.
        match waits.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(permit) => Place::First(permit),
            Poll::Pending => Place::Waits(waits),
        }
    }
}

impl Place {
    /// Until nobody is before it. Whoever is told to do something else meanwhile may come back to it.
    pub(crate) async fn come_first(&mut self) {
        if let Place::Waits(waits) = self {
            *self = Place::First(waits.await);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_joins_first_comes_first_whoever_asks_first() {
        let line = Line::new(1);
        let (mut one, mut two, mut three) = (line.join(), line.join(), line.join());
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
    fn a_line_gets_wider_and_narrower() {
        let line = Line::new(1);
        let one = line.join();
        assert!(matches!(line.join(), Place::Waits(_)));
        assert_eq!(line.len(), 1);
        line.resize(3);
        let others = [line.join(), line.join()];
        assert_eq!(line.len(), 3);
        assert!(others.iter().all(|place| matches!(place, Place::First(_))));
        line.resize(2);
        drop(one);
        line.resize(2);
        assert!(matches!(line.join(), Place::Waits(_)));
        drop(others);
        let _two = [line.join(), line.join()];
        assert!(matches!(line.join(), Place::Waits(_)));
    }
}
