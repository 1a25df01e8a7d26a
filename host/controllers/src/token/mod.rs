//! Clean-up of ServiceAccount token Secrets whose account is gone.
//!
//! Such Secrets are made by hand nowadays; Pods use projected tokens. Filling one with a token
//! takes the signing key, which this crate never sees, and is not done here.

use k3s_client::resources::{SECRETS, SERVICE_ACCOUNTS};
use k3s_client::{Client, DeleteParams, Informer, Obj, Scope, key, uid_is};
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};

use crate::context::Context;

const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

struct TokenCleaner {
    client: Client,
    secrets: Informer,
    accounts: Informer,
}

pub(crate) fn start(context: &Context) {
    let secrets = context.informers.of(
        &SECRETS,
        Scope::fields("type=kubernetes.io/service-account-token"),
    );
    let accounts = context.informers.all(&SERVICE_ACCOUNTS);
    // As upstream: no service account may touch every Secret, the controller manager may.
    let reconciler = TokenCleaner {
        client: context.manager(),
        secrets: secrets.clone(),
        accounts: accounts.clone(),
    };
    let cache = secrets.clone();
    Controller::new("tokens-controller")
        .watch_own(&secrets)
        .watch(&accounts, move |event| {
            if !event.is_deleted() {
                return Vec::new();
            }
            let account = event.object();
            let of_account = cache.in_namespace(account.namespace()).into_iter();
            of_account
                .filter(|s| s.annotation(ACCOUNT_NAME) == Some(account.name()))
                .map(|s| s.key().clone())
                .collect()
        })
        .run(reconciler, &context.statuses, &context.tasks);
}

impl Reconciler for TokenCleaner {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(secret) = self.secrets.get(key).filter(|s| !s.is_deleting()) else {
            return Ok(Outcome::Done);
        };
        let Some(name) = secret.annotation(ACCOUNT_NAME) else {
            return Ok(Outcome::Done);
        };
        if self.valid(&secret, name).await? {
            return Ok(Outcome::Done);
        }
        let params = DeleteParams::default().preconditions(uid_is(secret.uid()));
        match self
            .client
            .delete(&SECRETS, secret.ns(), secret.name(), &params)
            .await
        {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(Outcome::Done),
        }
    }
}

impl TokenCleaner {
    async fn valid(&self, secret: &Obj, account: &str) -> Result<bool, Error> {
        let matches = |found: &Obj| {
            secret
                .annotation(ACCOUNT_UID)
                .is_none_or(|uid| uid == found.uid())
        };
        if self
            .accounts
            .get(&key(secret.namespace(), account))
            .is_some_and(|found| matches(&found))
        {
            return Ok(true);
        }
        // The cache may lag: ask before deleting a credential.
        match self
            .client
            .get(&SERVICE_ACCOUNTS, secret.ns(), account)
            .await
        {
            Ok(found) => Ok(matches(&found)),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
