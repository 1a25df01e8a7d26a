//! Randomness as a handle: seeded in tests, from the operating system otherwise.

use std::sync::Arc;

use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

/// Letters that Kubernetes uses in generated names: no vowels and no look-alikes, so that no word
/// comes out (apimachinery `pkg/util/rand/rand.go`).
const NAME_ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A shared source of random numbers. Cheap to clone; clones share the source.
///
/// The unseeded source is a cryptographic generator seeded by the operating system, so it may make
/// tokens and keys.
#[derive(Clone, Debug)]
pub struct Random(Arc<Mutex<StdRng>>);

impl Random {
    /// Seeded by the operating system.
    #[must_use]
    pub fn from_os() -> Self {
        Self(Arc::new(Mutex::new(StdRng::from_os_rng())))
    }

    /// The same sequence for the same seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(StdRng::seed_from_u64(seed))))
    }

    /// A number in `[0, 1)`.
    #[must_use]
    pub fn unit(&self) -> f64 {
        self.0.lock().random()
    }

    /// A number in `[0, bound)`; 0 where `bound` is 0.
    #[must_use]
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 {
            0
        } else {
            self.0.lock().random_range(0..bound)
        }
    }

    /// Fills `out`.
    pub fn fill(&self, out: &mut [u8]) {
        self.0.lock().fill_bytes(out);
    }

    /// `N` random bytes.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// A suffix as `generateName` appends it; Kubernetes uses `length` 5.
    #[must_use]
    pub fn name_suffix(&self, length: usize) -> String {
        let mut rng = self.0.lock();
        (0..length)
            .filter_map(|_| NAME_ALPHABET.get(rng.random_range(0..NAME_ALPHABET.len())))
            .map(|&b| char::from(b))
            .collect()
    }
}

impl Default for Random {
    fn default() -> Self {
        Self::from_os()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_use_only_the_safe_alphabet() {
        let suffix = Random::from_os().name_suffix(200);
        assert_eq!(suffix.len(), 200);
        assert!(suffix.bytes().all(|b| NAME_ALPHABET.contains(&b)));
    }

    #[test]
    fn a_seed_repeats() {
        assert_eq!(
            Random::seeded(9).bytes::<16>(),
            Random::seeded(9).bytes::<16>()
        );
    }
}
