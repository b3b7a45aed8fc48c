//! A small table in front of a large one, for keys that are addresses: the last value that fell on each
//! of its places.

/// `N` places, a power of two.
pub(crate) struct Nearby<T: Copy, const N: usize> {
    places: Box<[(usize, T); N]>,
}

impl<T: Copy, const N: usize> Nearby<T, N> {
    /// With nothing in it; `nothing` is never given.
    pub(crate) fn new(nothing: T) -> Self {
        const { assert!(N.is_power_of_two()) };
        Self { places: Box::new([(0, nothing); N]) }
    }

    /// Objects lie sixteen bytes apart, and neighbours are used together.
    #[inline(always)]
    fn place(key: usize) -> usize {
        (key >> 4 ^ key >> 13) & (N - 1)
    }

    /// What was put for this key, if nothing else took its place since.
    #[inline(always)]
    pub(crate) fn get(&self, key: usize) -> Option<T> {
        let (known, value) = self.places[Self::place(key)];
        (known == key).then_some(value)
    }

    #[inline(always)]
    pub(crate) fn put(&mut self, key: usize, value: T) {
        self.places[Self::place(key)] = (key, value);
    }
}
