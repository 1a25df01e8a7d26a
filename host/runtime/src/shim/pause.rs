//! The first process of a PID namespace that all containers of a pod share.
//!
//! It does what a pause image does: nothing, except collecting the orphans that become its
//! children. When it is killed the kernel ends the whole namespace.

use std::fs::File;
use std::io;

use k3s_sys::namespace::{self, Kind};
use k3s_sys::process::{self, Fork};
use nix::sys::signal::{SigSet, Signal};

/// Starts it as a child of this process and returns its number here.
pub(super) fn start() -> io::Result<i32> {
    let own = File::open("/proc/self/ns/pid")?;
    namespace::leave(&[Kind::Pid])?;
    let forked = process::fork();
    match forked? {
        Fork::Child => collect(),
        // Children born later, the containers, are not meant to be in it unless they ask for it.
        Fork::Parent(pid) => namespace::enter(&own, Kind::Pid).map(|()| pid),
    }
}

#[allow(
    clippy::exit,
    reason = "a forked process must not return into its parent's code"
)]
fn collect() -> ! {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT] {
        signals.add(signal);
    }
    let blocked = signals.thread_block();
    // Descriptors of the shim, its socket above all, are not this process's to hold.
    let closed = process::close_from_forked(3);
    while blocked.is_ok() && closed.is_ok() {
        match signals.wait() {
            Ok(Signal::SIGCHLD) => while matches!(process::reap(), Ok(Some(_))) {},
            Ok(_) => std::process::exit(0),
            Err(_) => {}
        }
    }
    std::process::exit(1)
}
