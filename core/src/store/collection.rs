//! Blobs with a meaning: hash sequences, and collections.

use crate::{
    Backend, Collection, CollectionError, Error, Hash, HashSeq, Result,
    limits::MAX_COLLECTION_META, store::Store,
};

impl<B: Backend> Store<B> {
    /// Reads a hash sequence, verified.
    ///
    /// # Errors
    /// As [`reader`](Self::reader); [`Error::HashSeq`] when its length is no multiple of 32.
    pub fn sequence(&self, hash: Hash) -> Result<HashSeq> {
        self.inner.sequence(hash)
    }

    /// Reads a collection, verified, in either of its forms (FORMAT.md, "Hash sequences and collections").
    /// The blobs it names are not looked at.
    ///
    /// # Errors
    /// As [`sequence`](Self::sequence); [`Error::Collection`] when the sequence is none, or its list of names
    /// has more than [`MAX_COLLECTION_META`] bytes.
    pub fn collection(&self, hash: Hash) -> Result<Collection> {
        let sequence = self.sequence(hash)?;
        let none = |source| Error::Collection { hash, source };
        let first = sequence.hashes().first();
        let meta = first.ok_or(none(CollectionError::NoMeta))?;
        let names = match self.read(*meta, MAX_COLLECTION_META) {
            Err(Error::TooLarge { .. }) => return Err(none(CollectionError::Meta)),
            other => other?,
        };
        Collection::decode(&names, &sequence).map_err(none)
    }
}
