//! Reading archives from outside: what one entry may make us hold in memory is bounded, and reading
//! ends when its caller does not wait any more.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, getppid};
use tar::{Archive, Entry};

/// What may precede an entry: its header, long names and PAX records. The limit of Go's archive/tar.
const HEADERS_LIMIT_BYTES: u64 = 1 << 20;
/// Entries of one archive. The largest layers have about a million.
const ENTRIES_LIMIT: u64 = 4_000_000;

/// Says whether work is still wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cancelled {
    flag: Arc<AtomicBool>,
    /// The process that wants it, where that is another one.
    parent: Option<Pid>,
}

impl Cancelled {
    /// For a process of its own: when its parent has ended.
    pub(crate) fn when_orphaned() -> Self {
        Self {
            parent: getppid(),
            ..Self::default()
        }
    }

    fn check(&self) -> io::Result<()> {
        let is_orphan = self.parent.is_some() && self.parent != getppid();
        if is_orphan || self.flag.load(Ordering::Relaxed) {
            return Err(io::Error::other("it is not wanted any more"));
        }
        Ok(())
    }
}

/// Cancels when dropped, for a future that waits for the work.
#[derive(Debug, Default)]
pub(crate) struct CancelOnDrop(Cancelled);

impl CancelOnDrop {
    pub(crate) fn flag(&self) -> Cancelled {
        self.0.clone()
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.flag.store(true, Ordering::Relaxed);
    }
}

/// An archive's source; see the module.
pub(crate) struct Bounded<R> {
    inner: R,
    cancelled: Cancelled,
    /// Octets that may be read before the next entry is there; no limit inside an entry.
    headers_left: Rc<Cell<Option<u64>>>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.cancelled.check()?;
        let Some(left) = self.headers_left.get() else {
            return self.inner.read(buffer);
        };
        if left == 0 && !buffer.is_empty() {
            let message = format!("the headers of an entry exceed {HEADERS_LIMIT_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let allowed = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let count = self
            .inner
            .read(buffer.get_mut(..allowed).unwrap_or_default())?;
        let read = u64::try_from(count).unwrap_or(u64::MAX);
        self.headers_left.set(Some(left.saturating_sub(read)));
        Ok(count)
    }
}

/// Calls `each` for every entry of the archive with its number, and returns the source, which may
/// hold more after the archive's end.
pub(crate) fn for_each_entry<R: Read, E: From<io::Error>>(
    source: R,
    cancelled: &Cancelled,
    mut each: impl FnMut(u64, &mut Entry<'_, Bounded<R>>) -> Result<(), E>,
) -> Result<R, E> {
    let headers_left = Rc::new(Cell::new(Some(HEADERS_LIMIT_BYTES)));
    let mut archive = Archive::new(Bounded {
        inner: source,
        cancelled: cancelled.clone(),
        headers_left: headers_left.clone(),
    });
    for (number, entry) in (0..).zip(archive.entries()?) {
        let mut entry = entry?;
        if number >= ENTRIES_LIMIT {
            let message = format!("the archive has more than {ENTRIES_LIMIT} entries");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message).into());
        }
        headers_left.set(None);
        each(number, &mut entry)?;
        // Else what is left of it would count as headers of the next one.
        io::copy(&mut entry, &mut io::sink())?;
        headers_left.set(Some(HEADERS_LIMIT_BYTES));
    }
    Ok(archive.into_inner().inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: tar::EntryType, size: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_path("././@LongLink").unwrap();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o644);
        header.set_cksum();
        header
    }

    fn read(archive: impl Read) -> io::Result<u64> {
        let mut entries = 0;
        for_each_entry(archive, &Cancelled::default(), |_, _| {
            entries += 1;
            Ok::<_, io::Error>(())
        })?;
        Ok(entries)
    }

    #[test]
    fn no_header_takes_memory_beyond_the_limit() {
        for kind in [
            tar::EntryType::GNULongName,
            tar::EntryType::GNULongLink,
            tar::EntryType::XHeader,
        ] {
            let size = 1 << 30;
            let header = header(kind, size);
            // A reader that counts what is taken from it.
            let taken = Cell::new(0);
            let body = io::repeat(b'a').take(size);
            let source = CountingReader {
                inner: header.as_bytes()[..].chain(body),
                taken: &taken,
            };
            let error = read(source).unwrap_err();
            assert!(error.to_string().contains("headers"), "{kind:?}: {error}");
            assert!(taken.get() <= HEADERS_LIMIT_BYTES, "{}", taken.get());
        }
    }

    struct CountingReader<'a, R> {
        inner: R,
        taken: &'a Cell<u64>,
    }

    impl<R: Read> Read for CountingReader<'_, R> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.inner.read(buffer)?;
            self.taken.set(self.taken.get() + count as u64);
            Ok(count)
        }
    }

    #[test]
    fn long_names_and_large_files_are_read() {
        let mut builder = tar::Builder::new(Vec::new());
        for number in 0..3 {
            let mut header = tar::Header::new_gnu();
            header.set_size(3 << 20);
            header.set_mode(0o644);
            let name = format!("{number}{}", "/long".repeat(200));
            let body = io::repeat(0).take(3 << 20);
            builder.append_data(&mut header, name, body).unwrap();
        }
        assert_eq!(read(&builder.into_inner().unwrap()[..]).unwrap(), 3);
    }

    #[test]
    fn reading_ends_with_its_caller() {
        let guard = CancelOnDrop::default();
        let flag = guard.flag();
        let header = header(tar::EntryType::Regular, 1 << 40);
        let endless = header.as_bytes()[..].chain(io::repeat(0));
        let mut guard = Some(guard);
        let read = for_each_entry(endless, &flag, |_, _| {
            guard = None;
            Ok::<_, io::Error>(())
        });
        assert!(read.is_err());
    }
}
