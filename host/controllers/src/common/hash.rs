//! The stable hash in names and labels of templates.

use serde_json::Value;

/// Letters without vowels and look-alikes (apimachinery `rand.SafeEncodeString`).
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// A hash of a template, as a label value. Equal trees hash equal, since maps are sorted;
/// `collisions` gives a new hash for the same template.
pub(crate) fn template(template: &Value, collisions: i64) -> String {
    let mut hash = fnv32a(template.to_string().as_bytes(), 0x811c_9dc5);
    if collisions > 0 {
        hash = fnv32a(&collisions.to_le_bytes(), hash);
    }
    hash.to_string()
        .bytes()
        .map(|digit| safe(usize::from(digit)))
        .collect()
}

fn safe(byte: usize) -> char {
    ALPHABET
        .get(byte % ALPHABET.len())
        .map_or('b', |&letter| char::from(letter))
}

/// FNV-1a, 32 bits, continued from `seed`.
pub(crate) fn fnv32a(bytes: &[u8], seed: u32) -> u32 {
    let mut hash = seed;
    for &byte in bytes {
        hash ^= u32::from(byte);
        hash = hash.wrapping_mul(0x0100_0193);
    }
    hash
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_templates_hash_equal_and_collisions_differ() {
        let (a, b) = (json!({"a": 1, "b": [2]}), json!({"b": [2], "a": 1}));
        assert_eq!(template(&a, 0), template(&b, 0));
        assert_ne!(template(&a, 0), template(&a, 1));
        assert!(template(&a, 0).len() <= 10);
        assert_eq!(fnv32a(b"a", 0x811c_9dc5), 0xe40c_292c);
    }
}
