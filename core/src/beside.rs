//! Work for a second core, where the feature `parallel` is on and there is one.
//!
//! Only hashing goes to other threads: bytes in, values out. Whatever touches a back end stays on the thread that was
//! called, so that nothing is asked of back ends, and calls come in the order in which they always came.

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

/// Does `first` to every item here, in order, and then `then`, beside it where that can be.
pub(crate) fn each_beside<T: Send>(
    items: &mut [T],
    mut first: impl FnMut(&mut T),
    then: impl Fn(&mut T) + Sync,
) {
    #[cfg(feature = "parallel")]
    if items.len() > 1 && has_more_cores() {
        rayon::in_place_scope(|scope| {
            let then = &then;
            for item in items {
                first(item);
                scope.spawn(move |_| then(item));
            }
        });
        return;
    }
    for item in items {
        first(item);
        then(item);
    }
}

/// Does two things, on two cores where that can be.
#[cfg(feature = "parallel")]
pub(crate) fn both(a: impl FnOnce() + Send, b: impl FnOnce() + Send) {
    rayon::join(a, b);
}

/// Whether there is another core: `RAYON_NUM_THREADS=1` says that it is not to be used.
#[cfg(feature = "parallel")]
pub(crate) fn has_more_cores() -> bool {
    rayon::current_num_threads() > 1
}
