//! Where settings come from and where logs go.

use super::Flag;
use super::Shape::{Many, One, Switch};

pub(super) const FLAGS: &[Flag] = &[
    Flag::new("config", One, "Load configuration from FILE")
        .short('c')
        .env("K3S_CONFIG_FILE"),
    Flag::new("debug", Switch, "Turn on debug logs").env("K3S_DEBUG"),
    Flag::new(
        "v",
        One,
        "Number for the log level verbosity: 0 info, 1-4 debug, above trace",
    )
    .short('v'),
    Flag::new(
        "vmodule",
        Many,
        "Comma-separated list of pattern=N settings for file-filtered logging",
    )
    .warns("log filters by source file do not exist here; use --debug or RUST_LOG"),
    Flag::new("log", One, "Log to file").short('l'),
    Flag::new(
        "alsologtostderr",
        Switch,
        "Log to standard error as well as file",
    ),
];
