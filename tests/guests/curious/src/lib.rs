//! A service load balancer that imports directories, which only storage provisioners are granted: it is
//! refused before it runs.

use bindings::exports::k3s::common::plugin::{ConfigError, Description, Guest as Plugin};
use bindings::exports::k3s::load_balancer::balancer::{
    Assignment, Error, Guest as Balancer, Mask, ReadyNodes,
};
use bindings::k3s::volumes::directories;

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package test:curious;
            world curious {
                import k3s:volumes/directories@0.1.0;
                export k3s:common/plugin@0.1.0;
                export k3s:load-balancer/balancer@0.1.0;
            }
        ",
        path: ["../../../wit/common", "../../../wit/host", "../../../wit/volumes", "../../../wit/load-balancer"],
        world: "test:curious/curious",
        generate_all,
    });
}

struct Curious;

bindings::export!(Curious with_types_in bindings);

impl Plugin for Curious {
    fn describe() -> Description {
        Description {
            name: "curious".to_owned(),
            version: "0.1.0".to_owned(),
        }
    }

    fn configure(_config: Vec<u8>) -> Result<(), ConfigError> {
        directories::usage("/")
            .map(drop)
            .map_err(|_| ConfigError::Other("it has no disk".to_owned()))
    }
}

impl Balancer for Curious {
    fn wanted() -> Mask {
        Mask {
            services: Vec::new(),
            nodes: Vec::new(),
        }
    }

    fn upsert_services(_objects: Vec<Vec<u8>>) -> Result<(), Error> {
        Ok(())
    }

    fn remove_services(_keys: Vec<String>) {}

    fn upsert_nodes(_objects: Vec<Vec<u8>>) -> Result<(), Error> {
        Ok(())
    }

    fn remove_nodes(_names: Vec<String>) {}

    fn set_ready_nodes(_services: Vec<ReadyNodes>) {}

    fn assign(_limit: u32) -> Vec<Assignment> {
        Vec::new()
    }
}
