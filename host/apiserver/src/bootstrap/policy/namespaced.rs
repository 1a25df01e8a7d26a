//! Roles that reach one namespace only.

use super::{EVENTS, Named, NamespacedRole, READ, Resources, Role, Subject};

const SYSTEM: &str = "kube-system";
const PUBLIC: &str = "kube-public";

const fn account(name: &'static str) -> Subject {
    Subject::Account(SYSTEM, name)
}

/// The roles with their bindings.
pub(super) const ALL: &[NamespacedRole] = &[
    NamespacedRole {
        namespace: SYSTEM,
        role: Role::new(
            "extension-apiserver-authentication-reader",
            &[Named(
                "",
                "configmaps",
                "extension-apiserver-authentication",
                READ,
            )],
        ),
        subjects: &[],
    },
    NamespacedRole {
        namespace: SYSTEM,
        role: Role::new(
            "system:controller:bootstrap-signer",
            &[Resources("", "secrets", READ)],
        ),
        subjects: &[account("bootstrap-signer")],
    },
    NamespacedRole {
        namespace: SYSTEM,
        role: Role::new(
            "system:controller:cloud-provider",
            &[Resources("", "configmaps", "create,get,list,watch")],
        ),
        subjects: &[account("cloud-provider")],
    },
    NamespacedRole {
        namespace: SYSTEM,
        role: Role::new(
            "system:controller:token-cleaner",
            &[Resources("", "secrets", "delete,get,list,watch"), EVENTS],
        ),
        subjects: &[account("token-cleaner")],
    },
    NamespacedRole {
        namespace: SYSTEM,
        role: Role::new(
            "system::leader-locking-kube-controller-manager",
            &[
                Resources("", "configmaps", "watch"),
                Named("", "configmaps", "kube-controller-manager", "get,update"),
            ],
        ),
        subjects: &[
            Subject::User("system:kube-controller-manager"),
            account("kube-controller-manager"),
        ],
    },
    NamespacedRole {
        namespace: SYSTEM,
        role: Role::new(
            "system::leader-locking-kube-scheduler",
            &[
                Resources("", "configmaps", "watch"),
                Named("", "configmaps", "kube-scheduler", "get,update"),
            ],
        ),
        subjects: &[
            Subject::User("system:kube-scheduler"),
            account("kube-scheduler"),
        ],
    },
    NamespacedRole {
        namespace: PUBLIC,
        role: Role::new(
            "system:controller:bootstrap-signer",
            &[
                Resources("", "configmaps", READ),
                Named("", "configmaps", "cluster-info", "update"),
                EVENTS,
            ],
        ),
        subjects: &[account("bootstrap-signer")],
    },
];
