//! The number of requests that may be under way at once: one until the service has shown that it knows us, then as many as
//! are set, which may change while they are under way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(super) struct Slots {
    free: Arc<Semaphore>,
    size: Mutex<Size>,
}

struct Size {
    wanted: usize,
    /// Slots that there are, taken or free.
    now: usize,
    /// A wrong key tried six times is locked for everybody who uses it, so the first answer is awaited alone.
    open: bool,
}

/// A place among the requests that may be under way. Held while the intent is recorded.
pub(crate) struct Slot {
    permit: Option<OwnedSemaphorePermit>,
    slots: Arc<Slots>,
}

impl Slots {
    pub(super) fn new(concurrency: u32) -> Arc<Self> {
        let size = Size { wanted: wanted(concurrency), now: 1, open: false };
        Arc::new(Self { free: Arc::new(Semaphore::new(1)), size: Mutex::new(size) })
    }

    pub(super) async fn take(self: &Arc<Self>) -> Slot {
        let permit = Arc::clone(&self.free).acquire_owned().await.expect("the semaphore is never closed");
        Slot { permit: Some(permit), slots: Arc::clone(self) }
    }

    /// The service knows us.
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

    /// The number of requests that may be under way at once by now.
    pub(super) fn now(&self) -> usize {
        self.size().now
    }

    /// Makes as many slots as are wanted, or takes free ones away: one that is taken goes when it is given back.
    fn fit(&self, size: &mut Size) {
        if size.now < size.wanted {
            self.free.add_permits(size.wanted - size.now);
            size.now = size.wanted;
        } else {
            size.now -= self.free.forget_permits(size.now - size.wanted);
        }
    }

    fn size(&self) -> MutexGuard<'_, Size> {
        self.size.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wanted(concurrency: u32) -> usize {
    usize::try_from(concurrency).unwrap_or(usize::MAX).clamp(1, Semaphore::MAX_PERMITS)
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut size = self.slots.size();
        if size.open && size.now > size.wanted {
            size.now -= 1;
            self.permit.take().expect("a slot is dropped once").forget();
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
}
