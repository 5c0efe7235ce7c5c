//! The current and the former keys of one kind.

/// The current master key, and the former ones (key rotation).
#[derive(Debug, Clone)]
pub(crate) struct Keyring<K> {
    pub(crate) current: K,
    former: Vec<K>,
}

impl<K> Keyring<K> {
    /// The keys in their order, newest first; `None` if there are none.
    pub(crate) fn new(keys: impl IntoIterator<Item = K>) -> Option<Self> {
        let mut keys = keys.into_iter();
        Some(Self { current: keys.next()?, former: keys.collect() })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &K> {
        std::iter::once(&self.current).chain(&self.former)
    }
}
