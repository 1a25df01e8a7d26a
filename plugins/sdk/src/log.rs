//! The host's log as macros: `error!`, `warn!`, `info!`, `debug!`. A line below the host's level is not formatted.

use std::fmt::Arguments;

/// Levels, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Something does not work.
    Error,
    /// Something needs attention.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What an author wants to know.
    Debug,
}

/// Writes one line; the macros call it.
#[cfg(target_arch = "wasm32")]
pub fn write(level: Level, message: Arguments<'_>) {
    use crate::host::k3s::host::log;
    let level = match level {
        Level::Error => log::Level::Error,
        Level::Warn => log::Level::Warn,
        Level::Info => log::Level::Info,
        Level::Debug => log::Level::Debug,
    };
    if log::enabled(level) {
        log::log(level, &message.to_string());
    }
}

/// Unit tests have no host.
#[cfg(not(target_arch = "wasm32"))]
#[allow(clippy::print_stderr, reason = "tests print to stderr")]
pub fn write(level: Level, message: Arguments<'_>) {
    eprintln!("{level:?}: {message}");
}

/// Something does not work.
#[macro_export]
macro_rules! error {
    ($($text:tt)*) => { $crate::log::write($crate::log::Level::Error, ::std::format_args!($($text)*)) };
}

/// Something needs attention.
#[macro_export]
macro_rules! warn {
    ($($text:tt)*) => { $crate::log::write($crate::log::Level::Warn, ::std::format_args!($($text)*)) };
}

/// What an operator wants to know.
#[macro_export]
macro_rules! info {
    ($($text:tt)*) => { $crate::log::write($crate::log::Level::Info, ::std::format_args!($($text)*)) };
}

/// What an author wants to know.
#[macro_export]
macro_rules! debug {
    ($($text:tt)*) => { $crate::log::write($crate::log::Level::Debug, ::std::format_args!($($text)*)) };
}
