//! The allocator of this executable: jemalloc, set up so that it keeps little of what was freed.
//!
//! A server that handles a burst of objects needs several times the memory that it needs at rest, and on a small
//! machine the pods need the rest. Linking this crate replaces `malloc` of the whole process, so that memory of
//! SQLite and of decompressors follows the same rules. The environment variable `MALLOC_CONF` overrides the settings.

use std::ffi::{CStr, c_char, c_int};
use std::io;
use std::ptr;

use tikv_jemalloc_sys::mallctl;
pub use tikv_jemallocator::Jemalloc as Allocator;

/// Every setting that differs from jemalloc's defaults (`opt.*` in its manual):
///
/// - few arenas, since each holds free memory of its own and the process has few threads;
/// - threads keep small pieces only for themselves;
/// - pages that are free are unmapped over two seconds, at once for real (`muzzy`: no state in between that still
///   counts as resident);
/// - one thread for it, where [`give_back_in_background`] asks for it: a shim must stay single-threaded;
/// - no huge pages, of which a few small pieces in use hold 2 MiB.
const SETTINGS: &CStr = c"narenas:2,tcache_max:8192,dirty_decay_ms:2000,muzzy_decay_ms:0,max_background_threads:1,thp:never";

/// A pointer that jemalloc reads before `main`.
#[repr(C)]
struct Settings(*const c_char);

// SAFETY: it points to a constant, which all threads may read.
unsafe impl Sync for Settings {}

// SAFETY: the name and the type are those of jemalloc's own weak symbol, which this one replaces.
#[used]
#[unsafe(export_name = "malloc_conf")]
static MALLOC_CONF: Settings = Settings(SETTINGS.as_ptr());

/// Starts the thread that returns freed memory to the kernel while the process does nothing. It sleeps while there is
/// nothing to return.
///
/// # Errors
/// When it cannot be started.
pub fn give_back_in_background() -> io::Result<()> {
    let mut on = true;
    // SAFETY: the name ends with NUL; this setting takes a `bool`, which is copied.
    let code = unsafe {
        mallctl(
            c"background_thread".as_ptr(),
            ptr::null_mut(),
            ptr::null_mut(),
            (&raw mut on).cast(),
            size_of::<bool>(),
        )
    };
    outcome(code)
}

/// Returns freed memory to the kernel at once: for processes of one thread that have done the work they remember.
pub fn give_back() {
    // Neither can fail in a way that a caller could act on. 4096 stands for all arenas (`MALLCTL_ARENAS_ALL`).
    let _ = order(c"thread.tcache.flush");
    let _ = order(c"arena.4096.purge");
}

/// A control of jemalloc that takes and gives nothing.
fn order(name: &CStr) -> io::Result<()> {
    // SAFETY: the name ends with NUL, and no value is passed in either direction.
    let code = unsafe {
        mallctl(
            name.as_ptr(),
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            0,
        )
    };
    outcome(code)
}

fn outcome(code: c_int) -> io::Result<()> {
    match code {
        0 => Ok(()),
        code => Err(io::Error::from_raw_os_error(code)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    const MIB: usize = 1024 * 1024;

    fn setting<T: Copy>(name: &CStr, mut value: T) -> T {
        let mut size = size_of::<T>();
        // SAFETY: the name ends with NUL, and the value has room for the size that is given.
        let code = unsafe {
            mallctl(
                name.as_ptr(),
                (&raw mut value).cast(),
                &raw mut size,
                ptr::null_mut(),
                0,
            )
        };
        assert_eq!((code, size), (0, size_of::<T>()), "{name:?}");
        value
    }

    fn anonymous_bytes() -> usize {
        let text = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.unwrap().trim().strip_suffix(" kB").unwrap();
        kib.parse::<usize>().unwrap() * 1024
    }

    #[test]
    fn the_settings_act_on_every_allocation_of_the_process() {
        assert_eq!(setting(c"opt.narenas", 0_u32), 2);
        assert_eq!(setting(c"opt.tcache_max", 0_usize), 8192);
        assert_eq!(setting(c"opt.dirty_decay_ms", 0_isize), 2000);
        assert_eq!(setting(c"opt.muzzy_decay_ms", 1_isize), 0);
        assert_eq!(setting(c"opt.max_background_threads", 0_usize), 1);
        // Of a process that has not asked for it, such as a shim.
        assert!(!setting(c"opt.background_thread", true));
    }

    #[test]
    fn memory_that_was_freed_is_given_back_while_the_process_rests() {
        give_back_in_background().unwrap();
        let before = anonymous_bytes();
        let pieces: Vec<Vec<u8>> = (0..64 * 1024).map(|_| vec![1; 1024]).collect();
        let full = anonymous_bytes();
        assert!(full > before + 48 * MIB, "{before} {full}");
        drop(pieces);
        let end = Instant::now() + Duration::from_secs(30);
        while anonymous_bytes() + 48 * MIB > full {
            assert!(Instant::now() < end, "{} of {full}", anonymous_bytes());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    #[test]
    fn memory_is_given_back_at_once_where_that_is_asked_for() {
        assert!(order(c"arena.4096.purge").is_ok());
        assert!(order(c"no.such.control").is_err());
        give_back();
    }
}
