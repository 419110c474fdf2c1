//! Work for all cores, where the feature `parallel` is on and there are several.
//!
//! Two things go to other threads: hashing, which is bytes in and values out; and reads of files that say that they are
//! [for several threads](crate::ReadAt::as_shared). Whatever else touches a back end stays on the thread that was called,
//! and its calls come in the order in which they always came.

use std::ops::Mul;

/// Groups that are worth telling another core of.
#[cfg(feature = "parallel")]
pub(crate) const SHARE: usize = 16;

/// Hashes `groups` groups, and does something else here; beside it where that can be, and is worth it.
pub(crate) fn beside<T>(groups: usize, hash: impl FnOnce() + Send, here: impl FnOnce() -> T) -> T {
    #[cfg(feature = "parallel")]
    if groups >= SHARE && has_more_cores() {
        return rayon::in_place_scope(|scope| {
            scope.spawn(|_| hash());
            here()
        });
    }
    #[cfg(not(feature = "parallel"))]
    let _ = groups;
    hash();
    here()
}

/// Does something to every item, with as many `hands` as there are: each has a core of its own, and takes the next item
/// when it has done one.
#[cfg(feature = "parallel")]
pub(crate) fn each<H: Send, T: Send>(
    hands: &mut [H],
    items: &mut [T],
    work: impl Fn(&mut H, &mut T) + Sync,
) {
    let items = std::sync::Mutex::new(items.iter_mut());
    let work = |hand: &mut H| {
        // Let go of before the item is worked on.
        let next = || crate::store::locked(&items).next();
        while let Some(item) = next() {
            work(hand, item);
        }
    };
    let Some((here, others)) = hands.split_first_mut() else {
        return;
    };
    rayon::in_place_scope(|scope| {
        for hand in others {
            scope.spawn(|_| work(hand));
        }
        work(here);
    });
}

/// What is to be found out about an item, by whoever comes first.
#[cfg(feature = "parallel")]
pub(crate) struct Ahead<I, T> {
    item: I,
    found: std::sync::OnceLock<T>,
}

#[cfg(feature = "parallel")]
impl<I, T> Ahead<I, T> {
    pub(crate) const fn new(item: I) -> Self {
        Self {
            item,
            found: std::sync::OnceLock::new(),
        }
    }
}

/// Does something here that asks for one item after the other, while other cores go ahead of it and find out about them.
/// It waits for none as long as there is another to be looked at.
#[cfg(feature = "parallel")]
pub(crate) fn in_order<'i, I: Sync, T: Send + Sync, R>(
    items: &'i [Ahead<I, T>],
    find: impl Fn(&I) -> T + Sync,
    here: impl FnOnce(&mut dyn FnMut() -> Option<(&'i I, &'i T)>) -> R,
) -> R {
    use std::sync::atomic::{AtomicUsize, Ordering};

    // The first that nobody has taken.
    let free = AtomicUsize::new(0);
    let found = |item: &'i Ahead<I, T>| item.found.get_or_init(|| find(&item.item));
    let take = || Some(found(items.get(free.fetch_add(1, Ordering::Relaxed))?));
    let mut at = 0;
    let mut next = || {
        let item = items.get(at)?;
        at += 1;
        if free.fetch_max(at, Ordering::Relaxed) >= at {
            while item.found.get().is_none() && take().is_some() {}
        }
        Some((&item.item, found(item)))
    };
    rayon::in_place_scope(|scope| {
        for _ in 1..cores() {
            scope.spawn(|_| while take().is_some() {});
        }
        let outcome = here(&mut next);
        // Nobody asks for the others any more.
        free.store(items.len(), Ordering::Relaxed);
        outcome
    })
}

/// Does two things, on two cores where that can be.
#[cfg(feature = "parallel")]
pub(crate) fn both(a: impl FnOnce() + Send, b: impl FnOnce() + Send) {
    rayon::join(a, b);
}

/// How many cores there are for one work: `RAYON_NUM_THREADS=1` says that the others are not to be used.
pub(crate) fn cores() -> usize {
    #[cfg(feature = "parallel")]
    return rayon::current_num_threads();
    #[cfg(not(feature = "parallel"))]
    1
}

/// Whether another core can be told of work.
pub(crate) fn has_more_cores() -> bool {
    cores() > 1
}

/// This many bytes, or groups, where one core has them all; where there are more, as many more as make it worth telling
/// them. What is read by one core stays in its cache until it is hashed, if it is not too much.
pub(crate) fn piece<T: Mul<Output = T> + From<u8>>(of_one: T) -> T {
    let times = if has_more_cores() { 4 } else { 1 };
    of_one * T::from(times)
}
