//! Roles that reach one namespace only.

use super::{EVENTS, Named, NamespacedRole, READ, Resources, Role, Subject};

const SYSTEM: &str = "kube-system";
const PUBLIC: &str = "kube-public";

pub(super) fn all() -> Vec<NamespacedRole> {
    let account = |name| Subject::Account(SYSTEM, name);
    let role = |namespace, role, subjects| NamespacedRole {
        namespace,
        role,
        subjects,
    };
    vec![
        role(
            SYSTEM,
            Role::new(
                "extension-apiserver-authentication-reader",
                &[Named(
                    "",
                    "configmaps",
                    "extension-apiserver-authentication",
                    READ,
                )],
            ),
            Vec::new(),
        ),
        role(
            SYSTEM,
            Role::new(
                "system:controller:bootstrap-signer",
                &[Resources("", "secrets", READ)],
            ),
            vec![account("bootstrap-signer")],
        ),
        role(
            SYSTEM,
            Role::new(
                "system:controller:cloud-provider",
                &[Resources("", "configmaps", "create,get,list,watch")],
            ),
            vec![account("cloud-provider")],
        ),
        role(
            SYSTEM,
            Role::new(
                "system:controller:token-cleaner",
                &[Resources("", "secrets", "delete,get,list,watch"), EVENTS],
            ),
            vec![account("token-cleaner")],
        ),
        role(
            SYSTEM,
            Role::new(
                "system::leader-locking-kube-controller-manager",
                &[
                    Resources("", "configmaps", "watch"),
                    Named("", "configmaps", "kube-controller-manager", "get,update"),
                ],
            ),
            vec![
                Subject::User("system:kube-controller-manager"),
                account("kube-controller-manager"),
            ],
        ),
        role(
            SYSTEM,
            Role::new(
                "system::leader-locking-kube-scheduler",
                &[
                    Resources("", "configmaps", "watch"),
                    Named("", "configmaps", "kube-scheduler", "get,update"),
                ],
            ),
            vec![
                Subject::User("system:kube-scheduler"),
                account("kube-scheduler"),
            ],
        ),
        role(
            PUBLIC,
            Role::new(
                "system:controller:bootstrap-signer",
                &[
                    Resources("", "configmaps", READ),
                    Named("", "configmaps", "cluster-info", "update"),
                    EVENTS,
                ],
            ),
            vec![account("bootstrap-signer")],
        ),
    ]
}
