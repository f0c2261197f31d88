//! Line in which a given number may be first at the same time, and the others follow in the order in which they joined.
//!
//! A row joins before its task is spawned, since tasks do not begin in the order in which they are spawned.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Semaphore;

/// Line with its places. Its owners share it in an `Arc` of their own, because [`Line::len`] counts the references to its heads.
pub(crate) struct Line(Arc<Heads>);

/// Heads of the line, and how many there are.
struct Heads {
    free: Semaphore,
    size: Mutex<HeadCount>,
}

struct HeadCount {
    wanted: usize,
    /// Heads that exist: more than are wanted, until the surplus ones have gone.
    now: usize,
}

/// Place in the line. It is kept until it is dropped, also while its row does something else.
pub(crate) enum Place {
    Waits(Pin<Box<dyn Future<Output = LineHead> + Send>>),
    /// Head of the line.
    First(#[expect(dead_code, reason = "held for as long as the place is")] LineHead),
}

/// Right to be first, held by one place.
pub(crate) struct LineHead(Arc<Heads>);

impl Drop for LineHead {
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

impl Line {
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

    /// Number of places in it, the first ones included.
    pub(crate) fn len(&self) -> usize {
        // Each place holds one reference, waiting or first, and the line itself one.
        Arc::strong_count(&self.0) - 1
    }

    pub(crate) fn join(&self) -> Place {
        let heads = Arc::clone(&self.0);
        // While a head is free, nobody waits.
        if let Ok(free) = self.0.free.try_acquire() {
            free.forget();
            return Place::First(LineHead(heads));
        }
        let mut waits: Pin<Box<dyn Future<Output = LineHead> + Send>> = Box::pin(async move {
            heads.free.acquire().await.expect("the semaphore is never closed").forget();
            LineHead(heads)
        });
        // Polled once, it stands in the semaphore's own queue, which is first come, first served.
        match waits.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(head) => Place::First(head),
            Poll::Pending => Place::Waits(waits),
        }
    }
}

impl Place {
    pub(crate) fn is_first(&self) -> bool {
        matches!(self, Place::First(_))
    }

    /// Waits until nobody is before it. A wait that is cancelled keeps the place.
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
        assert!(matches!(line.join(), Place::Waits(_)));
        drop(others);
        let _two = [line.join(), line.join()];
        assert!(matches!(line.join(), Place::Waits(_)));
    }

    #[tokio::test]
    async fn a_line_gets_narrower_while_somebody_waits_in_it() {
        let line = Line::new(3);
        let [one, two, three] = [line.join(), line.join(), line.join()];
        let mut waits = line.join();
        line.resize(1);
        for place in [one, two] {
            assert!(line.is_too_wide());
            drop(place);
            tokio::select! {
                biased;
                () = waits.come_first() => panic!("one is first already"),
                () = tokio::task::yield_now() => (),
            }
        }
        assert!(!line.is_too_wide());
        drop(three);
        waits.come_first().await;
        line.resize(2);
        assert!(matches!(line.join(), Place::First(_)));
    }
}
