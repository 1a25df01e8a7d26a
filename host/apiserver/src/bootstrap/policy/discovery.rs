//! What all users, or all authenticated users, may ask about the server and themselves.

use super::{Binding, Paths, Resources, Role, Subject, bind};

const PUBLIC: &str = "/healthz,/livez,/readyz,/version,/version/";
const DISCOVERY: &str =
    "/api,/api/*,/apis,/apis/*,/healthz,/livez,/openapi,/openapi/*,/readyz,/version,/version/";

pub(super) const ROLES: &[Role] = &[
    Role::new("system:discovery", &[Paths(DISCOVERY, "get")]),
    Role::new("system:public-info-viewer", &[Paths(PUBLIC, "get")]),
    Role::new(
        "system:basic-user",
        &[
            Resources(
                "authorization.k8s.io",
                "selfsubjectaccessreviews,selfsubjectrulesreviews",
                "create",
            ),
            Resources("authentication.k8s.io", "selfsubjectreviews", "create"),
        ],
    ),
    Role::new(
        "system:monitoring",
        &[Paths(
            "/metrics,/metrics/slis,/livez,/readyz,/healthz,/livez/*,/readyz/*,/healthz/*",
            "get",
        )],
    ),
    Role::new(
        "system:service-account-issuer-discovery",
        &[Paths(
            "/.well-known/openid-configuration,/.well-known/openid-configuration/,/openid/v1/jwks,/openid/v1/jwks/",
            "get",
        )],
    ),
];

pub(super) fn bindings() -> Vec<Binding> {
    let known = Subject::Group("system:authenticated");
    vec![
        bind("system:discovery", &[known]),
        bind("system:basic-user", &[known]),
        bind(
            "system:public-info-viewer",
            &[known, Subject::Group("system:unauthenticated")],
        ),
        bind("system:monitoring", &[Subject::Group("system:monitoring")]),
        bind(
            "system:service-account-issuer-discovery",
            &[Subject::Group("system:serviceaccounts")],
        ),
    ]
}
