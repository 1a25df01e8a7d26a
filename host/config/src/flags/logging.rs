//! Where settings come from and where logs go.

use std::path::PathBuf;

use super::Flag;
use super::Shape::{Many, One};
use super::typed::{DefaultFlag, OptionalFlag, SwitchFlag};
use super::values;

pub(crate) const CONFIG: DefaultFlag<PathBuf> = DefaultFlag::new(
    Flag::new("config", One, "Load configuration from FILE")
        .short('c')
        .env("K3S_CONFIG_FILE"),
    "/etc/rancher/k3s/config.yaml",
    values::path,
);
pub(crate) const DEBUG: SwitchFlag =
    SwitchFlag::new("debug", "Turn on debug logs").env("K3S_DEBUG");
pub(crate) const VERBOSITY: DefaultFlag<u8> = DefaultFlag::new(
    Flag::new(
        "v",
        One,
        "Number for the log level verbosity: 0 info, 1-4 debug, above trace",
    )
    .short('v'),
    "0",
    values::small_number,
);
pub(crate) const LOG: OptionalFlag<PathBuf> = OptionalFlag::new(
    Flag::new("log", One, "Log to file").short('l'),
    values::path,
);
pub(crate) const ALSO_LOG_TO_STDERR: SwitchFlag =
    SwitchFlag::new("alsologtostderr", "Log to standard error as well as file");

pub(super) const FLAGS: &[Flag] = &[
    CONFIG.row(),
    DEBUG.row(),
    VERBOSITY.row(),
    Flag::new(
        "vmodule",
        Many,
        "Comma-separated list of pattern=N settings for file-filtered logging",
    )
    .warns("log filters by source file do not exist here; use --debug or RUST_LOG"),
    LOG.row(),
    ALSO_LOG_TO_STDERR.row(),
];
