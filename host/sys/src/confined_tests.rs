//! Trees made to lead out of the root, and what stays outside.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

struct Lab {
    _scratch: tempfile::TempDir,
    root: ConfinedRoot,
    outside: PathBuf,
}

/// A root beside a directory with something precious in it.
fn lab() -> Lab {
    let scratch = tempfile::tempdir().unwrap();
    let (root, outside) = (scratch.path().join("root"), scratch.path().join("outside"));
    fs::create_dir(&root).unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "x").unwrap();
    Lab {
        _scratch: scratch,
        root: ConfinedRoot::new(root),
        outside,
    }
}

impl Lab {
    fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn nothing_was_touched(&self) {
        assert_eq!(
            fs::read_to_string(self.outside.join("precious")).unwrap(),
            "x"
        );
        assert_eq!(fs::read_dir(&self.outside).unwrap().count(), 1);
    }
}

#[test]
fn directories_are_made_once_with_their_mode() {
    let lab = lab();
    assert!(lab.root.make(Path::new("a/b"), 0o777, None).unwrap());
    assert_eq!(
        fs::metadata(lab.at("a/b")).unwrap().permissions().mode() & 0o7777,
        0o777
    );
    assert_eq!(
        fs::metadata(lab.at("a")).unwrap().permissions().mode() & 0o7777,
        0o755
    );
    fs::set_permissions(lab.at("a/b"), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(!lab.root.make(Path::new("a/b"), 0o777, None).unwrap());
    assert_eq!(
        fs::metadata(lab.at("a/b")).unwrap().permissions().mode() & 0o7777,
        0o700
    );
    assert!(
        lab.root
            .usage(Path::new("a/b/not/there"))
            .unwrap()
            .capacity_bytes
            > 0
    );
}

#[test]
fn no_path_leads_out() {
    let lab = lab();
    symlink(&lab.outside, lab.at("link")).unwrap();
    symlink("../outside", lab.at("up")).unwrap();
    for path in [
        "link/new",
        "up/new",
        "../outside/new",
        "/tmp/new",
        "",
        ".",
        "link/../../outside",
    ] {
        assert!(
            lab.root.make(Path::new(path), 0o777, None).is_err(),
            "{path}"
        );
        assert!(lab.root.usage(Path::new(path)).is_err(), "{path}");
    }
    for path in [
        "link/precious",
        "up/precious",
        "../outside",
        "/etc/hostname",
        "",
        ".",
    ] {
        assert!(lab.root.remove(Path::new(path)).is_err(), "{path}");
    }
    lab.nothing_was_touched();
}

#[test]
fn links_are_removed_and_not_followed() {
    let lab = lab();
    fs::create_dir_all(lab.at("volume/sub")).unwrap();
    for link in ["volume/out", "volume/sub/out"] {
        symlink(&lab.outside, lab.at(link)).unwrap();
    }
    symlink(lab.outside.join("precious"), lab.at("volume/file")).unwrap();
    assert!(lab.root.remove(Path::new("volume")).unwrap());
    assert!(!lab.at("volume").exists());
    assert!(!lab.root.remove(Path::new("volume")).unwrap(), "idempotent");
    assert!(!lab.root.remove(Path::new("never/there")).unwrap());
    // The volume itself replaced by a link: the link goes.
    symlink(&lab.outside, lab.at("volume")).unwrap();
    assert!(lab.root.remove(Path::new("volume")).unwrap());
    lab.nothing_was_touched();
}

#[test]
fn a_tree_that_changes_under_the_removal_leads_nowhere() {
    let lab = lab();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Swaps a directory and a link to the outside as fast as it can.
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = fs::create_dir_all(lab.at("volume/x"));
                let _ = fs::write(lab.at("volume/x/precious"), "inside");
                let _ = fs::rename(lab.at("volume/x"), lab.at("volume/y"));
                let _ = symlink(&lab.outside, lab.at("volume/x"));
                let _ = fs::remove_file(lab.at("volume/x"));
                let _ = fs::remove_dir_all(lab.at("volume/y"));
            }
        });
        for _ in 0..300 {
            let _ = lab.root.remove(Path::new("volume"));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    lab.nothing_was_touched();
}

#[test]
fn no_tree_is_too_deep() {
    let lab = lab();
    lab.root.make(Path::new("volume"), 0o755, None).unwrap();
    let mut here = descend(
        lab.root.open().unwrap().as_fd(),
        "volume",
        OFlags::PATH,
        ResolveFlags::empty(),
    )
    .unwrap();
    for _ in 0..30_000 {
        rustix::fs::mkdirat(&here, "d", Mode::from_raw_mode(0o755)).unwrap();
        here = descend(here.as_fd(), "d", OFlags::PATH, ResolveFlags::empty()).unwrap();
    }
    drop(here);
    assert!(lab.root.remove(Path::new("volume")).unwrap());
    assert!(!lab.at("volume").exists());
}

#[test]
fn what_is_mounted_inside_stays() {
    let lab = lab();
    fs::create_dir_all(lab.at("volume/mount")).unwrap();
    rustix::mount::mount_bind(lab.outside.as_path(), lab.at("volume/mount").as_path()).unwrap();
    let refused = lab.root.remove(Path::new("volume"));
    crate::mount::detach(&lab.at("volume/mount")).unwrap();
    assert_eq!(
        refused.unwrap_err().raw_os_error(),
        Some(Errno::XDEV.raw_os_error())
    );
    lab.nothing_was_touched();
    assert!(lab.root.remove(Path::new("volume")).unwrap());
}
