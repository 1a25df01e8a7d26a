//! The cluster's identity as K3s keeps it in the datastore (k3s `pkg/cluster`, `pkg/bootstrap`): authorities and
//! keys, encrypted with the token, from which further servers of the same database start.
//!
//! The key is `/bootstrap/<first 12 hex digits of SHA-256(password)>`; the value
//! `<salt as 16 hex digits>:<base64 of nonce and ciphertext>`, by AES-256-GCM with a key that PBKDF2-HMAC-SHA1
//! derives from the password in 4096 rounds; the plaintext a JSON map from names to `{Timestamp, Content}`.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use k3s_base::{Random, Secret};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::pbkdf2;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::PkiError;
use crate::files::{ensure_dir, read_optional, write_private, write_public};

/// The prefix of the keys.
pub const BOOTSTRAP_PREFIX: &str = "/bootstrap/";

const ROUNDS: u32 = 4096;
/// Clocks of servers may differ by this much (K3s: 3 s).
const SKEW: SignedDuration = SignedDuration::from_secs(3);

/// The files, by K3s' names, below `<data-dir>/server`.
const FILES: &[(&str, &str)] = &[
    ("ServerCA", "tls/server-ca.crt"),
    ("ServerCAKey", "tls/server-ca.key"),
    ("ClientCA", "tls/client-ca.crt"),
    ("ClientCAKey", "tls/client-ca.key"),
    ("RequestHeaderCA", "tls/request-header-ca.crt"),
    ("RequestHeaderCAKey", "tls/request-header-ca.key"),
    (SERVICE_KEY, "tls/service.key"),
];
/// The one file that operators change: to rotate the issuer, a new key is put before the old ones.
const SERVICE_KEY: &str = "ServiceKey";
/// Passwords of joining machines: kept for K3s, made from the token here.
const PASSWORDS: (&str, &str) = ("PasswdFile", "cred/passwd");

/// One file.
#[derive(Clone, Serialize, Deserialize)]
struct File {
    /// When it was changed last.
    #[serde(rename = "Timestamp")]
    changed: Timestamp,
    /// Base64.
    #[serde(rename = "Content")]
    content: String,
}

/// The cluster's authorities and keys. What K3s keeps besides is carried along.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootstrapData {
    files: BTreeMap<String, File>,
}

impl std::fmt::Debug for BootstrapData {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.files.keys()).finish()
    }
}

/// The key under which the data of a token are kept.
#[must_use]
pub fn bootstrap_key(password: &Secret) -> String {
    let digest = hex::encode(Sha256::digest(password.reveal()));
    format!("{BOOTSTRAP_PREFIX}{}", digest.get(..12).unwrap_or(&digest))
}

impl BootstrapData {
    /// Reads the files of a server that has all of them.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn of_server(data_dir: &Path) -> Result<Self, PkiError> {
        let server = data_dir.join("server");
        let mut data = Self::default();
        for (name, file) in FILES.iter().chain([&PASSWORDS]) {
            let path = server.join(file);
            if let Some(text) = read_optional(&path)? {
                let file = File {
                    changed: changed(&path)?,
                    content: STANDARD.encode(text),
                };
                data.files.insert((*name).to_owned(), file);
            }
        }
        Ok(data)
    }

    /// Encrypts the data for the datastore.
    ///
    /// # Errors
    /// None that can happen with a value of this type; the libraries have types for them.
    pub fn seal(&self, password: &Secret, random: &Random) -> Result<String, PkiError> {
        let malformed = |_| PkiError::BootstrapFormat;
        let salt = hex::encode(random.bytes::<8>());
        let nonce = random.bytes::<NONCE_LEN>();
        let mut text = serde_json::to_vec(self).map_err(|_| PkiError::BootstrapFormat)?;
        key(password, &salt)?
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut text)
            .map_err(malformed)?;
        let sealed = [nonce.as_slice(), &text].concat();
        Ok(format!("{salt}:{}", STANDARD.encode(sealed)))
    }

    /// Decrypts what the datastore holds.
    ///
    /// # Errors
    /// When it is not of this form or was encrypted with another token.
    pub fn open(password: &Secret, value: &[u8]) -> Result<Self, PkiError> {
        let malformed = || PkiError::BootstrapFormat;
        let text = std::str::from_utf8(value).map_err(|_| malformed())?;
        let (salt, sealed) = text.split_once(':').ok_or_else(malformed)?;
        let sealed = STANDARD.decode(sealed.trim()).map_err(|_| malformed())?;
        let (nonce, sealed) = sealed
            .split_first_chunk::<NONCE_LEN>()
            .ok_or_else(malformed)?;
        let mut sealed = sealed.to_vec();
        let plain = key(password, salt)?
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::empty(),
                &mut sealed,
            )
            .map_err(|_| PkiError::BootstrapToken)?;
        serde_json::from_slice(plain).map_err(|_| malformed())
    }

    /// Makes what is missing below `<data-dir>/server`, and compares the rest. An authority is never replaced.
    /// Of two service account keys the one that was changed last counts: true when that is the server's own, so
    /// that the datastore must be told.
    ///
    /// # Errors
    /// When an authority of this server is not the cluster's, and when files cannot be read or written.
    pub fn restore(&self, data_dir: &Path) -> Result<bool, PkiError> {
        let server = data_dir.join("server");
        let mut own_is_newer = false;
        let mut wanted: Vec<(PathBuf, &File)> = Vec::new();
        for (name, file) in FILES {
            let Some(kept) = self.files.get(*name) else {
                continue;
            };
            let path = server.join(file);
            match read_optional(&path)? {
                Some(own) if own == *kept.content()?.reveal() => {}
                Some(_) if *name != SERVICE_KEY => return Err(PkiError::AuthorityDiffers { path }),
                Some(_) if is_newer(changed(&path)?, kept.changed) => own_is_newer = true,
                _ => wanted.push((path, kept)),
            }
        }
        for dir in [&server, &server.join("tls")] {
            ensure_dir(dir, 0o700)?;
        }
        for (path, kept) in wanted {
            kept.write(&path)?;
        }
        Ok(own_is_newer)
    }

    /// The same data with the files of a server in place of their own.
    #[must_use]
    pub fn updated(mut self, own: Self) -> Self {
        self.files.extend(own.files);
        self
    }
}

impl File {
    fn content(&self) -> Result<Secret, PkiError> {
        let bytes = STANDARD
            .decode(&self.content)
            .map_err(|_| PkiError::BootstrapFormat)?;
        let text = String::from_utf8(bytes).map_err(|_| PkiError::BootstrapFormat)?;
        Ok(Secret::new(text))
    }

    /// Writes it with its own time, so that it does not look changed here.
    fn write(&self, path: &Path) -> Result<(), PkiError> {
        let io = |source| PkiError::Io {
            path: path.to_owned(),
            source,
        };
        let content = self.content()?;
        match path.extension() {
            Some(end) if end == "crt" => write_public(path, content.reveal().as_bytes())?,
            _ => write_private(path, content.reveal().as_bytes())?,
        }
        let file = std::fs::File::options()
            .write(true)
            .open(path)
            .map_err(io)?;
        file.set_modified(self.changed.into()).map_err(io)
    }
}

/// Which of the files a server lacks.
///
/// # Errors
/// When a folder cannot be read.
pub fn missing_bootstrap_files(data_dir: &Path) -> Result<Vec<PathBuf>, PkiError> {
    let mut missing = Vec::new();
    for (_, file) in FILES {
        let path = data_dir.join("server").join(file);
        if read_optional(&path)?.is_none() {
            missing.push(path);
        }
    }
    Ok(missing)
}

fn is_newer(own: Timestamp, kept: Timestamp) -> bool {
    own.duration_since(kept) > SKEW
}

fn changed(path: &Path) -> Result<Timestamp, PkiError> {
    let io = |source| PkiError::Io {
        path: path.to_owned(),
        source,
    };
    let modified = std::fs::metadata(path).and_then(|m| m.modified());
    Timestamp::try_from(modified.map_err(io)?).map_err(|e| PkiError::malformed(path, e))
}

fn key(password: &Secret, salt: &str) -> Result<LessSafeKey, PkiError> {
    let mut key = [0; 32];
    let rounds = NonZeroU32::new(ROUNDS).ok_or(PkiError::BootstrapFormat)?;
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA1,
        rounds,
        salt.as_bytes(),
        password.reveal().as_bytes(),
        &mut key,
    );
    let key = UnboundKey::new(&AES_256_GCM, &key).map_err(|_| PkiError::BootstrapFormat)?;
    Ok(LessSafeKey::new(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by a Go program from the same libraries that K3s uses, with the token `a-token`.
    const BY_GO: &str = "0011223344556677:YWJjZGVmZ2hpamts/PIZK4Gd6xBTw3Sz7NzGvJ4n+sEQxJQPov9PnybFMfvI70M9rJRH/Hx0jkJ33NgjXkMKfOu0NtUgf8jtNtv4WB1AbRsfO7TGjoUf3atFJAAXTILMhfnNndBNGiAYntw6RSX5CPOzCQjAdQtFCJK+JpLM29FLZX5lPZYy1ht4Ws3i9xsorqvTkRY66WDuk9/mfbiROrE75fr1ecvmQ3o18rD3w8XZC6+XbK1xTfR/Vyr8G3nBYTo=";

    fn token(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    /// A server's files, as small as the format allows.
    fn server(seed: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (_, file) in FILES {
            let path = dir.path().join("server").join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, format!("{file} {seed}")).unwrap();
        }
        dir
    }

    fn read(dir: &tempfile::TempDir, file: &str) -> String {
        std::fs::read_to_string(dir.path().join("server").join(file)).unwrap()
    }

    #[test]
    fn what_k3s_wrote_is_read_and_what_it_keeps_besides_is_carried_along() {
        assert_eq!(bootstrap_key(&token("a-token")), "/bootstrap/1f6076e3a47b");
        let data = BootstrapData::open(&token("a-token"), BY_GO.as_bytes()).unwrap();
        let dir = tempfile::tempdir().unwrap();
        assert!(!data.restore(dir.path()).unwrap());
        assert_eq!(read(&dir, "tls/server-ca.crt"), "a certificate\n");
        let sealed = data.seal(&token("b"), &Random::seeded(1)).unwrap();
        let again = BootstrapData::open(&token("b"), sealed.as_bytes()).unwrap();
        assert_eq!(format!("{again:?}"), r#"["IPSECKey", "ServerCA"]"#);
    }

    #[test]
    fn another_token_and_damaged_data_are_told_apart_and_nothing_is_readable_without_the_token() {
        let data = BootstrapData::of_server(server("one").path()).unwrap();
        let sealed = data.seal(&token("right"), &Random::seeded(1)).unwrap();
        assert!(!sealed.contains(&STANDARD.encode("tls/server-ca.key one")));
        let open = |password: &str, value: &str| {
            BootstrapData::open(&token(password), value.as_bytes()).unwrap_err()
        };
        assert!(matches!(open("wrong", &sealed), PkiError::BootstrapToken));
        for damaged in ["", "no colon", "00:!", "00:YQ=="] {
            let error = open("right", damaged);
            assert!(matches!(error, PkiError::BootstrapFormat), "{damaged}");
        }
    }

    #[test]
    fn a_server_without_files_gets_the_cluster_s_and_one_with_others_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let data = BootstrapData::of_server(server("one").path()).unwrap();
        let new = tempfile::tempdir().unwrap();
        assert_eq!(
            missing_bootstrap_files(new.path()).unwrap().len(),
            FILES.len()
        );
        data.restore(new.path()).unwrap();
        assert_eq!(missing_bootstrap_files(new.path()).unwrap().len(), 0);
        for (_, file) in FILES {
            assert_eq!(read(&new, file), format!("{file} one"));
        }
        let key = new.path().join("server/tls/server-ca.key");
        let mode = std::fs::metadata(key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        let other = server("two");
        let error = data.restore(other.path()).unwrap_err().to_string();
        assert!(error.contains("tls/server-ca.crt"), "{error}");
        assert_eq!(read(&other, "tls/server-ca.crt"), "tls/server-ca.crt two");
    }

    #[test]
    fn of_two_service_account_keys_the_newer_one_counts() {
        let first = server("one");
        let data = BootstrapData::of_server(first.path()).unwrap();
        let path = first.path().join("server/tls/service.key");
        let change = |content: &str, later_s: i64| {
            std::fs::write(&path, content).unwrap();
            let kept = data.files[SERVICE_KEY].changed;
            let time = kept
                .checked_add(SignedDuration::from_secs(later_s))
                .unwrap();
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(time.into()).unwrap();
        };
        change("older", -60);
        assert!(!data.restore(first.path()).unwrap());
        assert_eq!(read(&first, "tls/service.key"), "tls/service.key one");
        change("rotated", 60);
        assert!(data.restore(first.path()).unwrap());
        assert_eq!(read(&first, "tls/service.key"), "rotated");
        let own = BootstrapData::of_server(first.path()).unwrap();
        let further = tempfile::tempdir().unwrap();
        data.updated(own).restore(further.path()).unwrap();
        assert_eq!(read(&further, "tls/service.key"), "rotated");
    }
}
