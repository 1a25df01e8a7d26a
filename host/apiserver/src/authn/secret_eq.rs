//! Comparing secrets without telling by the time taken where they differ.

/// Whether both texts are equal. The time depends on the length of `given` alone.
pub(super) fn equal(known: &str, given: &str) -> bool {
    let (known, given) = (known.as_bytes(), given.as_bytes());
    let mut difference = usize::from(known.len() != given.len());
    for (at, byte) in given.iter().enumerate() {
        difference |= usize::from(*byte ^ known.get(at).copied().unwrap_or(!*byte));
    }
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    #[test]
    fn equality() {
        assert!(super::equal("abc", "abc"));
        for other in ["", "ab", "abcd", "abd"] {
            assert!(!super::equal("abc", other));
        }
    }
}
