//! A plugin that does almost nothing, to measure the cost of a call: `configure` without a configuration
//! returns at once; with one, it passes the text to the host's log.

use bindings::exports::k3s::common::plugin::{ConfigError, Description, Guest};
use bindings::k3s::host::log::{Level, log};

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package bench:caller;
            world caller {
                import k3s:host/log@0.1.0;
                export k3s:common/plugin@0.1.0;
            }
        ",
        path: ["../../../wit/common", "../../../wit/host"],
        world: "bench:caller/caller",
        generate_all,
    });
}

struct Caller;

bindings::export!(Caller with_types_in bindings);

impl Guest for Caller {
    fn describe() -> Description {
        Description {
            name: "caller".to_owned(),
            version: "0.1.0".to_owned(),
        }
    }

    fn configure(config: Vec<u8>) -> Result<(), ConfigError> {
        match str::from_utf8(&config) {
            Ok("") => Ok(()),
            Ok(text) => {
                log(Level::Trace, text);
                Ok(())
            }
            Err(error) => Err(ConfigError::Invalid(error.to_string())),
        }
    }
}
