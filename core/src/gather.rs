//! Sets and maps that are filled one at a time.

/// Collects by inserting. `collect` into a B-tree sorts first, which is faster for what is large and in no order, but
/// brings a sorting algorithm of its own, four kilobytes of wasm, for every type it is used with.
pub(crate) fn gathered<C: Default + Extend<T>, T>(items: impl IntoIterator<Item = T>) -> C {
    let mut gathered = C::default();
    gathered.extend(items);
    gathered
}
