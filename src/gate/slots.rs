//! Slots for requests under way: one until the service has accepted our credentials, then as many as are set, which may change
//! while they are taken.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;

pub(super) struct Slots {
    free: Semaphore,
    /// Slots that were given back for waiters that go first.
    set_aside: Semaphore,
    size: Mutex<SlotCount>,
}

struct SlotCount {
    wanted: usize,
    /// Slots that exist, taken or free.
    now: usize,
    /// The service has accepted our credentials. Until then one request goes alone: a wrong key is locked for all its users
    /// after six attempts.
    open: bool,
    /// Waiters that go first and for whom no slot is set aside yet.
    n_first: usize,
}

/// Room for one of the requests that may be under way. Held while the intent is recorded.
pub(crate) struct Slot(Arc<Slots>);

/// Waiter that goes first.
struct FirstWaiter<'a>(&'a Slots);

impl<'a> FirstWaiter<'a> {
    fn new(slots: &'a Slots) -> Self {
        slots.size().n_first += 1;
        Self(slots)
    }
}

impl Drop for FirstWaiter<'_> {
    /// Ends the wait: a slot that was set aside and not taken is given back to all.
    fn drop(&mut self) {
        let mut size = self.0.size();
        if size.n_first > 0 {
            size.n_first -= 1;
        } else if let Ok(permit) = self.0.set_aside.try_acquire() {
            permit.forget();
            self.0.free.add_permits(1);
        }
    }
}

impl Slots {
    pub(super) fn new(concurrency: u32) -> Arc<Self> {
        let size = SlotCount { wanted: wanted(concurrency), now: 1, open: false, n_first: 0 };
        Arc::new(Self { free: Semaphore::new(1), set_aside: Semaphore::new(0), size: Mutex::new(size) })
    }

    pub(super) async fn take(self: &Arc<Self>) -> Slot {
        self.free.acquire().await.expect("the semaphore is never closed").forget();
        Slot(Arc::clone(self))
    }

    /// Takes a free slot, if there is one for which nobody waits.
    pub(super) fn take_at_once(self: &Arc<Self>) -> Option<Slot> {
        self.free.try_acquire().ok()?.forget();
        Some(Slot(Arc::clone(self)))
    }

    /// Takes a slot before all others: the next one that is given back.
    pub(super) async fn take_first(self: &Arc<Self>) -> Slot {
        if let Some(slot) = self.take_at_once() {
            return slot;
        }
        let first = FirstWaiter::new(self);
        tokio::select! {
            biased;
            // The slot that is set aside is taken first: otherwise it would have to be given back.
            permit = self.set_aside.acquire() => {
                permit.expect("the semaphore is never closed").forget();
                std::mem::forget(first);
            }
            permit = self.free.acquire() => permit.expect("the semaphore is never closed").forget(),
        }
        Slot(Arc::clone(self))
    }

    /// Allows all slots, since the service has accepted our credentials.
    pub(super) fn open(&self) {
        let mut size = self.size();
        if !size.open {
            size.open = true;
            self.fit(&mut size);
        }
    }

    pub(super) fn resize(&self, concurrency: u32) {
        let mut size = self.size();
        size.wanted = wanted(concurrency);
        if size.open {
            self.fit(&mut size);
        }
    }

    pub(super) fn wanted(&self) -> u32 {
        u32::try_from(self.size().wanted).unwrap_or(u32::MAX)
    }

    /// Number of slots that exist now.
    pub(super) fn now(&self) -> usize {
        self.size().now
    }

    /// Adds slots up to the wanted number, or removes free ones; a surplus one that is taken is removed when it is given back.
    fn fit(&self, size: &mut SlotCount) {
        if size.now < size.wanted {
            self.free.add_permits(size.wanted - size.now);
            size.now = size.wanted;
        } else {
            size.now -= self.free.forget_permits(size.now - size.wanted);
        }
    }

    fn size(&self) -> MutexGuard<'_, SlotCount> {
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wanted(concurrency: u32) -> usize {
    usize::try_from(concurrency).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS)
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut size = self.0.size();
        if size.open && size.now > size.wanted {
            size.now -= 1;
        } else if size.n_first > 0 {
            size.n_first -= 1;
            self.0.set_aside.add_permits(1);
        } else {
            self.0.free.add_permits(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(slots: &Slots) -> usize {
        slots.free.available_permits()
    }

    #[tokio::test]
    async fn there_is_one_until_we_are_known_and_then_as_many_as_are_set() {
        let slots = Slots::new(4);
        assert_eq!(free(&slots), 1);
        slots.resize(3);
        assert_eq!(free(&slots), 1);
        slots.open();
        assert_eq!(free(&slots), 3);
        slots.resize(5);
        assert_eq!(free(&slots), 5);
    }

    #[tokio::test]
    async fn fewer_are_reached_as_those_that_are_taken_come_back() {
        let slots = Slots::new(3);
        slots.open();
        let taken = [slots.take().await, slots.take().await, slots.take().await];
        slots.resize(1);
        let [one, two, three] = taken;
        drop(one);
        drop(two);
        assert_eq!(free(&slots), 0);
        drop(three);
        assert_eq!(free(&slots), 1);
        let _one = slots.take().await;
        slots.resize(2);
        assert_eq!(free(&slots), 1);
    }

    #[tokio::test]
    async fn who_goes_first_has_the_next_slot_and_leaves_none_behind() {
        let slots = Slots::new(2);
        slots.open();
        let (one, two) = (slots.take().await, slots.take().await);
        let mut others = Vec::new();
        for _ in 0..3 {
            let slots = Arc::clone(&slots);
            others.push(tokio::spawn(async move { slots.take().await }));
        }
        let first = tokio::spawn({
            let slots = Arc::clone(&slots);
            async move { slots.take_first().await }
        });
        tokio::task::yield_now().await;
        drop(one);
        let first = tokio::time::timeout(std::time::Duration::from_secs(5), first).await;
        let first = first.expect("the slot is its, and not that of those who came before").unwrap();
        assert!(others.iter().all(|other| !other.is_finished()));
        // A waiter that gives up, before or after a slot was set aside for it, takes none away.
        for given_back in [None, Some(two)] {
            let gives_up = tokio::spawn({
                let slots = Arc::clone(&slots);
                async move { slots.take_first().await }
            });
            tokio::task::yield_now().await;
            assert_eq!(slots.size().n_first, 1);
            drop(given_back);
            gives_up.abort();
            _ = gives_up.await;
            assert_eq!(slots.size().n_first, 0);
        }
        drop(first);
        for other in others {
            drop(other.await.unwrap());
        }
        assert_eq!((free(&slots), slots.set_aside.available_permits()), (2, 0));
    }
}
