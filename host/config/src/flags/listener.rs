//! The address of the API and what its certificate covers.

use std::net::IpAddr;

use super::Flag;
use super::Shape::{ManyByComma, One};
use super::typed::{DefaultFlag, ListFlag, OptionalFlag};
use super::values;

pub(crate) const BIND_ADDRESS: DefaultFlag<IpAddr> = DefaultFlag::new(
    Flag::new("bind-address", One, "Address the API is bound to"),
    "0.0.0.0",
    values::address,
);
pub(crate) const HTTPS_LISTEN_PORT: DefaultFlag<u16> = DefaultFlag::new(
    Flag::new("https-listen-port", One, "HTTPS listen port"),
    "6443",
    values::port,
);
pub(crate) const ADVERTISE_ADDRESS: OptionalFlag<IpAddr> = OptionalFlag::new(
    Flag::new(
        "advertise-address",
        One,
        "Address the API advertises to members of the cluster",
    ),
    values::address,
);
pub(crate) const ADVERTISE_PORT: OptionalFlag<u16> = OptionalFlag::new(
    Flag::new(
        "advertise-port",
        One,
        "Port the API advertises (default: the listen port)",
    ),
    values::port,
);
pub(crate) const TLS_SAN: ListFlag<String> = ListFlag::new(
    Flag::new(
        "tls-san",
        ManyByComma,
        "Additional host names or addresses for the serving certificate",
    ),
    values::text,
);

pub(super) const FLAGS: &[Flag] = &[
    BIND_ADDRESS.row(),
    HTTPS_LISTEN_PORT.row(),
    Flag::new(
        "supervisor-port",
        One,
        "Split the supervisor from the API server",
    )
    .env("K3S_SUPERVISOR_PORT")
    .fatal("the supervisor and the API share one port"),
    Flag::new("apiserver-port", One, "Internal API server port")
        .env("K3S_APISERVER_PORT")
        .fatal("the supervisor and the API share one port"),
    Flag::new("apiserver-bind-address", One, "Internal API server address")
        .env("K3S_APISERVER_BIND_ADDRESS")
        .fatal("the supervisor and the API share one listener; use --bind-address"),
    ADVERTISE_ADDRESS.row(),
    ADVERTISE_PORT.row(),
    TLS_SAN.row(),
    Flag::new(
        "tls-san-security",
        One,
        "Only accept names given by --tls-san (default: true)",
    )
    .warns("names are never learned from requests here, which is what true asks for"),
];
