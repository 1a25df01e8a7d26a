//! The component's exports.

use std::cell::RefCell;

use crate::bindings::exports::k3s::common::plugin::{ConfigError, Description, Guest as Plugin};
use crate::bindings::k3s::host::log::{self, Level};
use crate::config::Config;
use crate::interests;
use crate::state::State;
use crate::wit::{Change, Error, Guest as Routing, Interest, Object, ObjectKey};

thread_local! {
    // A component has one thread; this is its memory between calls.
    static STATE: RefCell<State> = RefCell::new(State::new(Config::default()));
}

struct Component;

#[allow(unsafe_code, reason = "expanded code")]
mod export {
    use super::Component;

    crate::bindings::export!(Component with_types_in crate::bindings);
}

impl Plugin for Component {
    fn describe() -> Description {
        Description {
            name: "traefik".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    fn configure(config: Vec<u8>) -> Result<(), ConfigError> {
        // A panic's message would be lost with the instance.
        std::panic::set_hook(Box::new(|panic| log::log(Level::Error, &panic.to_string())));
        let config = Config::read(&config).map_err(ConfigError::Invalid)?;
        STATE.with(|state| *state.borrow_mut() = State::new(config));
        Ok(())
    }
}

impl Routing for Component {
    fn interests() -> Vec<Interest> {
        interests::all()
    }

    fn upsert(objects: Vec<Object>) -> Result<(), Error> {
        STATE.with(|state| {
            objects
                .into_iter()
                .for_each(|object| state.borrow_mut().upsert(object))
        });
        Ok(())
    }

    fn remove(keys: Vec<ObjectKey>) -> Result<(), Error> {
        STATE.with(|state| keys.iter().for_each(|key| state.borrow_mut().remove(key)));
        Ok(())
    }

    fn compile(max: u32) -> Result<Vec<Change>, Error> {
        Ok(STATE.with(|state| {
            state
                .borrow_mut()
                .compile(usize::try_from(max).unwrap_or(usize::MAX))
        }))
    }
}
