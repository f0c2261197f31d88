//! Queue in which a given number may be first at the same time, and the others follow in the order in which they joined.
//!
//! A row joins before its task is spawned, since tasks do not begin in the order in which they are spawned.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::count_guard::CountGuard;

pub(crate) struct Queue {
    heads: Arc<Heads>,
    n_positions: Arc<AtomicUsize>,
}

/// Heads of the queue, and those behind them.
struct Heads(Mutex<QueueOrder>);

struct QueueOrder {
    /// Number of positions that may be first.
    n_wanted: usize,
    /// Number of positions that are first: more than may be, until those that are too many have gone.
    n_first: usize,
    /// Positions that wait, the oldest first. Some of them may have been given up.
    waiting: VecDeque<oneshot::Sender<QueueHead>>,
}

/// Position in the queue. It is kept until it is dropped, also while its row does something else.
pub(crate) struct QueuePosition {
    stands: Stands,
    #[expect(dead_code, reason = "counted for as long as the position is held")]
    counted: CountGuard,
}

enum Stands {
    First(#[expect(dead_code, reason = "held for as long as the position is")] QueueHead),
    Waits(oneshot::Receiver<QueueHead>),
}

/// Right to be first, held by one position.
struct QueueHead(Arc<Heads>);

impl Drop for QueueHead {
    fn drop(&mut self) {
        let next = {
            let mut order = self.0.order();
            order.n_first -= 1;
            order.next()
        };
        self.0.send(next);
    }
}

impl Heads {
    /// Lets those that have waited longest be first, as far as there is room.
    fn promote(self: &Arc<Self>) {
        let mut next = self.order().next();
        while next.is_some() {
            self.send(next);
            next = self.order().next();
        }
    }

    /// Gives the right to be first to a position that was taken from the queue.
    fn send(self: &Arc<Self>, next: Option<oneshot::Sender<QueueHead>>) {
        if let Some(next) = next {
            // A position that was given up meanwhile drops the right, and with it promotes the one behind it.
            _ = next.send(QueueHead(Arc::clone(self)));
        }
    }

    fn order(&self) -> MutexGuard<'_, QueueOrder> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueOrder {
    /// Takes the oldest position that still waits, if another one may be first.
    fn next(&mut self) -> Option<oneshot::Sender<QueueHead>> {
        while self.n_first < self.n_wanted {
            let next = self.waiting.pop_front()?;
            if !next.is_closed() {
                self.n_first += 1;
                return Some(next);
            }
        }
        None
    }
}

impl Queue {
    pub(crate) fn new(n_heads: usize) -> Self {
        let order = QueueOrder { n_wanted: n_heads, n_first: 0, waiting: VecDeque::new() };
        Self { heads: Arc::new(Heads(Mutex::new(order))), n_positions: Arc::default() }
    }

    /// Sets how many may be first at the same time. Those that are stay until they go.
    pub(crate) fn resize(&self, n_heads: usize) {
        self.heads.order().n_wanted = n_heads;
        self.heads.promote();
    }

    /// Tells whether more are first than may be.
    pub(crate) fn is_too_wide(&self) -> bool {
        let order = self.heads.order();
        order.n_first > order.n_wanted
    }

    /// Number of positions in it, the first ones included.
    pub(crate) fn len(&self) -> usize {
        self.n_positions.load(Ordering::Relaxed)
    }

    pub(crate) fn join(&self) -> QueuePosition {
        let counted = CountGuard::new(&self.n_positions);
        let mut order = self.heads.order();
        // Room is for those who wait already: whoever made it is about to promote them.
        let stands = if order.n_first < order.n_wanted && order.waiting.iter().all(oneshot::Sender::is_closed) {
            order.n_first += 1;
            Stands::First(QueueHead(Arc::clone(&self.heads)))
        } else {
            let (head, waits) = oneshot::channel();
            // Positions that were given up are cleared away before they outnumber the others.
            if order.waiting.len() > 2 * self.len() {
                order.waiting.retain(|head| !head.is_closed());
            }
            order.waiting.push_back(head);
            Stands::Waits(waits)
        };
        QueuePosition { stands, counted }
    }
}

impl QueuePosition {
    pub(crate) fn is_first(&self) -> bool {
        matches!(self.stands, Stands::First(_))
    }

    /// Waits until nobody is before it. A wait that is cancelled keeps the position.
    pub(crate) async fn come_first(&mut self) {
        if let Stands::Waits(waits) = &mut self.stands {
            let head = waits.await.expect("a position that waits is promoted before its queue is dropped");
            self.stands = Stands::First(head);
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
    fn nobody_who_joins_comes_before_one_who_waits() {
        let queue = Queue::new(2);
        let (one, two) = (queue.join(), queue.join());
        let mut waits = queue.join();
        // The moment between a place that is given up and the promotion of the next one.
        queue.heads.order().n_first -= 1;
        assert!(!queue.join().is_first());
        queue.heads.promote();
        let Stands::Waits(waits) = &mut waits.stands else { panic!("it was behind two") };
        assert!(waits.try_recv().is_ok());
        std::mem::forget(one);
        drop(two);
    }

    #[test]
    fn a_queue_gets_wider_and_narrower() {
        let queue = Queue::new(1);
        let one = queue.join();
        assert!(!queue.join().is_first());
        assert_eq!(queue.len(), 1);
        queue.resize(3);
        let others = [queue.join(), queue.join()];
        assert_eq!(queue.len(), 3);
        assert!(others.iter().all(QueuePosition::is_first));
        queue.resize(2);
        drop(one);
        assert!(!queue.join().is_first());
        drop(others);
        let _two = [queue.join(), queue.join()];
        assert!(!queue.join().is_first());
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
        assert!(queue.join().is_first());
    }

    #[tokio::test]
    async fn a_position_that_is_given_up_lets_the_one_behind_it_be_first_and_is_forgotten() {
        let queue = Queue::new(1);
        let (first, given_up, mut last) = (queue.join(), queue.join(), queue.join());
        let given_up_late = queue.join();
        drop(given_up);
        drop(first);
        last.come_first().await;
        // Its turn comes, and nobody takes it up.
        let mut behind = queue.join();
        drop(last);
        drop(given_up_late);
        behind.come_first().await;
        for _ in 0..100 {
            drop(queue.join());
        }
        assert_eq!(queue.len(), 1);
        assert!(queue.heads.order().waiting.len() <= 5, "given up, and kept");
    }
}
