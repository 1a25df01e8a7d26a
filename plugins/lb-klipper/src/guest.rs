//! The component's exports.

use std::cell::RefCell;

use crate::bindings::exports::k3s::common::plugin::{ConfigError, Description, Guest as Plugin};
use crate::bindings::exports::k3s::load_balancer::balancer::{
    Assignment, Error, Forward, Guest as Balancer, Ingress, IpMode, Mask, Problem, ReadyNodes,
};
use crate::bindings::k3s::host::log::{self, Level};
use crate::books::Books;
use crate::model::{NODE_FIELDS, SERVICE_FIELDS};
use crate::{config, plan};

struct Component;

#[allow(unsafe_code, reason = "expanded code")]
mod export {
    use super::Component;

    crate::bindings::export!(Component with_types_in crate::bindings);
}

thread_local! {
    static BOOKS: RefCell<Books> = RefCell::default();
}

/// Takes what can be read; the first that cannot is reported.
fn each(
    objects: &[Vec<u8>],
    take: fn(&mut Books, &[u8]) -> Result<(), String>,
) -> Result<(), Error> {
    BOOKS.with_borrow_mut(|books| {
        let mut result = Ok(());
        for object in objects {
            if let Err(why) = take(books, object) {
                result = result.and(Err(Error::Invalid(why)));
            }
        }
        result
    })
}

impl Plugin for Component {
    fn describe() -> Description {
        Description {
            name: "klipper".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    fn configure(bytes: Vec<u8>) -> Result<(), ConfigError> {
        // A panic's message would be lost with the instance.
        std::panic::set_hook(Box::new(|panic| log::log(Level::Error, &panic.to_string())));
        BOOKS.set(Books::new(
            config::parse(&bytes).map_err(ConfigError::Invalid)?,
        ));
        Ok(())
    }
}

impl Balancer for Component {
    fn wanted() -> Mask {
        let owned = |fields: &[&str]| fields.iter().map(|f| (*f).to_owned()).collect();
        Mask {
            services: owned(SERVICE_FIELDS),
            nodes: owned(NODE_FIELDS),
        }
    }

    fn upsert_services(objects: Vec<Vec<u8>>) -> Result<(), Error> {
        each(&objects, Books::upsert_service)
    }

    fn remove_services(keys: Vec<String>) {
        BOOKS.with_borrow_mut(|books| keys.iter().for_each(|key| books.remove_service(key)));
    }

    fn upsert_nodes(objects: Vec<Vec<u8>>) -> Result<(), Error> {
        each(&objects, Books::upsert_node)
    }

    fn remove_nodes(names: Vec<String>) {
        BOOKS.with_borrow_mut(|books| names.iter().for_each(|name| books.remove_node(name)));
    }

    fn set_ready_nodes(services: Vec<ReadyNodes>) {
        BOOKS.with_borrow_mut(|books| {
            for ReadyNodes { service, nodes } in services {
                books.set_ready_nodes(service, nodes);
            }
        });
    }

    fn assign(limit: u32) -> Vec<Assignment> {
        let due = BOOKS
            .with_borrow_mut(|books| books.assign(usize::try_from(limit).unwrap_or(usize::MAX)));
        due.into_iter()
            .map(|(service, assignment)| export(service, assignment))
            .collect()
    }
}

fn export(service: String, from: plan::Assignment) -> Assignment {
    let ingress = from.ingress.iter().map(|ip| Ingress {
        ip: ip.to_string(),
        mode: IpMode::Vip,
    });
    let forward = |(node, addresses): (String, Vec<std::net::IpAddr>)| Forward {
        node,
        addresses: addresses.iter().map(ToString::to_string).collect(),
    };
    let problem = |(reason, message): (&str, String)| Problem {
        reason: reason.to_owned(),
        message,
    };
    Assignment {
        service,
        claimed: from.claimed,
        ingress: ingress.collect(),
        forwards: from.forwards.into_iter().map(forward).collect(),
        problems: from.problems.into_iter().map(problem).collect(),
    }
}
