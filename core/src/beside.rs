//! Work for all cores, where the feature `parallel` is on and there are several.
//!
//! Two things go to other threads: hashing, which is bytes in and values out; and reads of files that say that they are
//! [for several threads](crate::ReadAt::as_shared). Whatever else touches a back end stays on the thread that was called,
//! and its calls come in the order in which they always came.

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

/// Does something to every item: with the first of `hands` in order, or, where there are more, with each of them on a
/// core of its own, which takes the next item when it has done one.
pub(crate) fn each<H: Send, T: Send>(
    hands: &mut [H],
    items: &mut [T],
    work: impl Fn(&mut H, &mut T) + Sync,
) {
    let Some((here, others)) = hands.split_first_mut() else {
        return;
    };
    #[cfg(feature = "parallel")]
    if !others.is_empty() && items.len() > 1 {
        let items = std::sync::Mutex::new(items.iter_mut());
        let work = |hand: &mut H| {
            // Let go of before the item is worked on.
            let next = || crate::store::locked(&items).next();
            while let Some(item) = next() {
                work(hand, item);
            }
        };
        rayon::in_place_scope(|scope| {
            for hand in others {
                scope.spawn(|_| work(hand));
            }
            work(here);
        });
        return;
    }
    #[cfg(not(feature = "parallel"))]
    let _ = others;
    for item in items {
        work(here, item);
    }
}

/// Does something here, while other cores go ahead of it from item to item.
#[cfg(feature = "parallel")]
pub(crate) fn ahead<I: Sync, T>(
    items: &[I],
    work: impl Fn(&I) + Sync,
    here: impl FnOnce() -> T,
) -> T {
    use std::sync::atomic::{AtomicUsize, Ordering};

    let next = AtomicUsize::new(0);
    let take = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(item);
        }
    };
    rayon::in_place_scope(|scope| {
        for _ in 1..cores() {
            scope.spawn(|_| take());
        }
        let outcome = here();
        // Nobody asks for the others any more.
        next.store(items.len(), Ordering::Relaxed);
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
pub(crate) fn piece(of_one: u64) -> u64 {
    if has_more_cores() { 4 * of_one } else { of_one }
}
