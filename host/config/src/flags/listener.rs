//! The address of the API and what its certificate covers.

use super::Flag;
use super::Shape::{ManyByComma, One};

pub(super) const FLAGS: &[Flag] = &[
    Flag::new(
        "bind-address",
        One,
        "Address the API is bound to (default: 0.0.0.0)",
    ),
    Flag::new(
        "https-listen-port",
        One,
        "HTTPS listen port (default: 6443)",
    ),
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
    Flag::new(
        "advertise-address",
        One,
        "Address the API advertises to members of the cluster",
    ),
    Flag::new(
        "advertise-port",
        One,
        "Port the API advertises (default: the listen port)",
    ),
    Flag::new(
        "tls-san",
        ManyByComma,
        "Additional host names or addresses for the serving certificate",
    ),
    Flag::new(
        "tls-san-security",
        One,
        "Only accept names given by --tls-san (default: true)",
    )
    .warns("names are never learned from requests here, which is what true asks for"),
];
