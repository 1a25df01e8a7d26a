//! A small disk that a target may fill, and on which it is seen what was written where.

use std::path::Path;

use k3s_sys::namespace::{self, Kind};
use k3s_sys::{fs, mount, volume};
use tempfile::TempDir;

/// Large enough for what inputs of some kilobytes should make, and soon full for those that make more.
const DISK_BYTES: u64 = 24 << 20;
const CANARY: &str = "not to be changed";

/// The disk, in a mount namespace of the thread that uses it. Needs root.
struct Disk(TempDir);

impl Disk {
    fn new() -> Self {
        namespace::leave(&[Kind::Mount]).unwrap();
        mount::make_private().unwrap();
        let dir = tempfile::tempdir().unwrap();
        volume::mount_tmpfs(dir.path(), Some(DISK_BYTES), 0o700).unwrap();
        Self(dir)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        mount::detach(self.0.path()).unwrap();
    }
}

thread_local! {
    static DISK: Disk = Disk::new();
}

/// Writes `input` to a file of the disk and calls `work` with it and an empty folder. All that it makes is below this
/// folder, and can be removed.
pub(crate) fn on_small_disk<T>(input: &[u8], work: impl FnOnce(&Path, &Path) -> T) -> T {
    DISK.with(|disk| {
        let path = |name: &str| disk.0.path().join(name);
        let (file, root, outside) = (path("input"), path("root"), path("outside"));
        std::fs::write(&file, input).unwrap();
        fs::create_dirs(&root, 0o755).unwrap();
        fs::create_dirs(&outside, 0o755).unwrap();
        std::fs::write(outside.join("canary"), CANARY).unwrap();
        let result = work(&file, &root);
        assert_eq!(names(disk.0.path()), ["input", "outside", "root"]);
        assert_eq!(names(&outside), ["canary"]);
        assert_eq!(
            std::fs::read_to_string(outside.join("canary")).unwrap(),
            CANARY
        );
        assert_eq!(std::fs::read(&file).unwrap(), input);
        for made in [&root, &outside, &file] {
            fs::remove_all(made).unwrap();
        }
        result
    })
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
