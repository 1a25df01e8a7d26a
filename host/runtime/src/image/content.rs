//! Blobs by digest: layers between download and unpacking.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::ContentError;
use super::reference::is_digest;

/// A folder of blobs, as `blobs/sha256/<hex>`.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    dir: PathBuf,
}

/// `sha256:<hex>` of `bytes`.
pub(crate) fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

impl Content {
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let dir = root.join("blobs/sha256");
        std::fs::create_dir_all(&dir)?;
        Ok(Self { dir })
    }

    /// The file of a blob, whether it is there or not.
    pub(crate) fn path(&self, digest: &str) -> Result<PathBuf, ContentError> {
        let hex = digest.strip_prefix("sha256:").filter(|_| is_digest(digest));
        hex.map(|hex| self.dir.join(hex))
            .ok_or_else(|| ContentError::Digest(digest.to_owned()))
    }

    /// The file a download goes to before it is verified.
    pub(crate) fn partial_path(&self, digest: &str) -> Result<PathBuf, ContentError> {
        Ok(self.path(digest)?.with_extension("partial"))
    }

    pub(crate) fn has(&self, digest: &str) -> bool {
        self.path(digest).is_ok_and(|path| path.is_file())
    }

    /// Moves a finished download to its place if it has the digest; deletes it otherwise.
    pub(crate) fn commit(&self, digest: &str) -> Result<(), ContentError> {
        let partial = self.partial_path(digest)?;
        let mut hasher = Sha256::new();
        io::copy(&mut File::open(&partial)?, &mut hasher)?;
        let found = format!("sha256:{}", hex::encode(hasher.finalize()));
        if found == digest {
            std::fs::rename(&partial, self.path(digest)?)?;
            return Ok(());
        }
        std::fs::remove_file(&partial)?;
        Err(ContentError::Mismatch {
            found,
            wanted: digest.to_owned(),
        })
    }

    pub(crate) fn remove(&self, digest: &str) -> Result<(), ContentError> {
        k3s_sys::fs::remove_all(&self.path(digest)?)?;
        Ok(())
    }
}

/// Hashes what passes through it.
pub(crate) struct HashingReader<R> {
    inner: R,
    hasher: Sha256,
}

impl<R: Read> HashingReader<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self {
            inner,
            hasher: Sha256::new(),
        }
    }

    /// Reads to the end and returns the digest.
    pub(crate) fn finish(mut self) -> io::Result<String> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(format!("sha256:{}", hex::encode(self.hasher.finalize())))
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher
            .write_all(buffer.get(..count).unwrap_or_default())?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_matches_its_digest_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let content = Content::open(dir.path()).unwrap();
        let digest = digest_of(b"hello");
        std::fs::write(content.partial_path(&digest).unwrap(), b"tampered").unwrap();
        assert!(content.commit(&digest).is_err());
        assert!(!content.partial_path(&digest).unwrap().exists());
        std::fs::write(content.partial_path(&digest).unwrap(), b"hello").unwrap();
        content.commit(&digest).unwrap();
        assert_eq!(
            std::fs::read(content.path(&digest).unwrap()).unwrap(),
            b"hello"
        );
        assert!(content.path("sha256:../../etc/passwd").is_err());
        content.remove(&digest).unwrap();
        assert!(!content.has(&digest));
    }
}
