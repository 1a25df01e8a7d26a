//! Lists of users as Apache's `htpasswd` writes them: bcrypt, MD5 (`$apr1$`) and SHA-1 hashes. They never
//! leave this process, and are never printed.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k3s_base::Secret;
use md5::Md5;
use sha1::{Digest, Sha1};

use crate::error::UsersError;

/// Names and hashes.
#[derive(Debug, Default)]
pub(crate) struct Users(HashMap<String, Secret>);

impl Users {
    /// Reads lines of `name:hash`.
    pub(crate) fn parse(text: &str) -> Result<Self, UsersError> {
        let mut users = HashMap::new();
        let lines = text
            .lines()
            .map(str::trim)
            .enumerate()
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        for (at, line) in lines {
            let (name, hash) = line
                .split_once(':')
                .ok_or(UsersError::Line { line: at + 1 })?;
            if !is_known(hash) {
                return Err(UsersError::Hash { line: at + 1 });
            }
            users.insert(name.to_owned(), Secret::new(hash.to_owned()));
        }
        if users.is_empty() {
            Err(UsersError::Empty)
        } else {
            Ok(Self(users))
        }
    }

    /// One user with a plain password, of a Secret of type `kubernetes.io/basic-auth`.
    pub(crate) fn single(name: &str, password: &str) -> Self {
        let hash = format!("{{SHA}}{}", STANDARD.encode(Sha1::digest(password)));
        Self(HashMap::from([(name.to_owned(), Secret::new(hash))]))
    }

    /// The hash of a user.
    pub(crate) fn hash(&self, name: &str) -> Option<&Secret> {
        self.0.get(name)
    }
}

fn is_known(hash: &str) -> bool {
    ["$2a$", "$2b$", "$2y$", "$apr1$", "{SHA}"]
        .iter()
        .any(|prefix| hash.starts_with(prefix))
}

/// Whether a password fits a hash. With bcrypt that takes some 50 ms of processor time, as intended.
pub(crate) fn verify(password: &str, hash: &str) -> bool {
    if let Some(rest) = hash.strip_prefix("$apr1$") {
        let salt = rest.split('$').next().unwrap_or_default();
        return equal(&apr1(password.as_bytes(), salt.as_bytes()), hash);
    }
    if let Some(encoded) = hash.strip_prefix("{SHA}") {
        return equal(&STANDARD.encode(Sha1::digest(password)), encoded);
    }
    bcrypt::verify(password, hash).unwrap_or(false)
}

/// Takes the same time wherever they differ.
fn equal(a: &str, b: &str) -> bool {
    let difference = a
        .bytes()
        .zip(b.bytes())
        .fold(0, |sum, (a, b)| std::hint::black_box(sum | (a ^ b)));
    a.len() == b.len() && difference == 0
}

/// Apache's variant of the MD5 password scheme (`apr_md5.c`), a thousand rounds.
fn apr1(password: &[u8], salt: &[u8]) -> String {
    let salt = salt.get(..salt.len().min(8)).unwrap_or_default();
    let inner = Md5::new()
        .chain_update(password)
        .chain_update(salt)
        .chain_update(password)
        .finalize();
    let mut outer = Md5::new()
        .chain_update(password)
        .chain_update("$apr1$")
        .chain_update(salt);
    let mut left = password.len();
    while left > 0 {
        outer.update(inner.get(..left.min(16)).unwrap_or_default());
        left = left.saturating_sub(16);
    }
    let mut bits = password.len();
    while bits > 0 {
        outer.update(if bits & 1 == 1 {
            &[0][..]
        } else {
            password.get(..1).unwrap_or_default()
        });
        bits >>= 1;
    }
    let mut digest = outer.finalize();
    for round in 0..1000 {
        let mut hash = Md5::new();
        if round % 2 == 1 {
            hash.update(password)
        } else {
            hash.update(digest)
        }
        if round % 3 != 0 {
            hash.update(salt);
        }
        if round % 7 != 0 {
            hash.update(password);
        }
        if round % 2 == 1 {
            hash.update(digest)
        } else {
            hash.update(password)
        }
        digest = hash.finalize();
    }
    format!(
        "$apr1${}${}",
        String::from_utf8_lossy(salt),
        encode(&digest)
    )
}

/// The scheme's own base 64 and order of bytes.
fn encode(digest: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const ORDER: [(usize, usize, usize); 5] =
        [(0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5)];
    let byte = |at: usize| u32::from(digest.get(at).copied().unwrap_or_default());
    let mut out = String::with_capacity(22);
    let mut push = |mut value: u32, count: usize| {
        for _ in 0..count {
            let letter = usize::try_from(value & 63)
                .ok()
                .and_then(|at| ALPHABET.get(at));
            out.extend(letter.map(|letter| char::from(*letter)));
            value >>= 6;
        }
    };
    for (a, b, c) in ORDER {
        push(byte(a) << 16 | byte(b) << 8 | byte(c), 4);
    }
    push(byte(11), 2);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_hash() {
        // From Traefik's documentation: test:test and test2:test2.
        for (password, hash, fits) in [
            ("test", "$apr1$H6uskkkW$IgXLP6ewTrSuBkTrqE8wj/", true),
            ("test2", "$apr1$d9hr9HBB$4HxwgUir3HP4EsggP/QNo0", true),
            ("test", "$apr1$d9hr9HBB$4HxwgUir3HP4EsggP/QNo0", false),
            ("test", "{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=", true),
            ("other", "{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=", false),
        ] {
            assert_eq!(verify(password, hash), fits, "{hash}");
        }
        let hash = bcrypt::hash("secret", 4).unwrap();
        assert!(verify("secret", &hash) && !verify("other", &hash));
    }

    #[test]
    fn lists_are_read_and_broken_ones_tell_no_secrets() {
        let users = Users::parse("# users\na:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=\n\n").unwrap();
        assert!(users.hash("a").is_some() && users.hash("b").is_none());
        for broken in ["", "hunter2", "a:hunter2"] {
            let error = Users::parse(broken).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(verify(
            "x",
            Users::single("a", "x").hash("a").unwrap().reveal()
        ));
    }
}
