//! Token Secrets: those of type `kubernetes.io/service-account-token` are filled with a token of their
//! account, its namespace and the CA of the API server, and deleted with the account (upstream
//! `pkg/controller/serviceaccount/tokens_controller.go`).
//!
//! Such Secrets are made by hand nowadays; Pods use projected tokens.

mod plan;

use std::sync::Arc;

use k3s_client::resources::{SECRETS, SERVICE_ACCOUNTS};
use k3s_client::{Client, DeleteParams, Informer, InformerEvent, Obj, Object, Scope, key, uid_is};
use k3s_pki::ServiceAccountKeys;
use k3s_reconcile::{Controller, Error, Key, Outcome, Reconciler};

use crate::context::Context;

use plan::{ACCOUNT_NAME, ACCOUNT_UID, claims, filled, missing};

struct TokensController {
    client: Client,
    keys: Arc<ServiceAccountKeys>,
    root_ca_pem: String,
    secrets: Informer,
    accounts: Informer,
}

pub(crate) fn start(context: &Context) {
    let scope = Scope::fields("type=kubernetes.io/service-account-token");
    let secrets = context.informers.of(&SECRETS, scope);
    let accounts = context.informers.all(&SERVICE_ACCOUNTS);
    // As upstream: no service account may touch every Secret, the controller manager may.
    let reconciler = TokensController {
        client: context.manager(),
        keys: context.config.service_accounts.clone(),
        root_ca_pem: context.config.root_ca_pem.clone(),
        secrets: secrets.clone(),
        accounts: accounts.clone(),
    };
    let of_accounts = secrets.clone();
    Controller::new("tokens-controller")
        .watch_own(&secrets)
        .watch(&accounts, move |event| account_changed(event, &of_accounts))
        .run(reconciler, &context.statuses, &context.tasks);
}

/// An account that is created or deleted concerns the Secrets that name it.
fn account_changed(event: &InformerEvent, secrets: &Informer) -> Vec<Key> {
    if matches!(event, InformerEvent::Updated { .. }) {
        return Vec::new();
    }
    let account = event.object();
    let name = Some(account.name());
    secrets
        .in_namespace(account.namespace())
        .into_iter()
        .filter(|secret| secret.annotation(ACCOUNT_NAME) == name)
        .map(|secret| secret.key().clone())
        .collect()
}

impl Reconciler for TokensController {
    async fn reconcile(&self, key: &Key) -> Result<Outcome, Error> {
        let Some(secret) = self.secrets.get(key) else {
            return Ok(Outcome::Done);
        };
        if secret.is_deleting() {
            return Ok(Outcome::Done);
        }
        let Some(account) = secret.annotation(ACCOUNT_NAME) else {
            return Ok(Outcome::Done);
        };
        if let Some(account) = self.account(&secret, account).await? {
            self.fill(&account, &secret).await?;
            return Ok(Outcome::Done);
        }
        let params = DeleteParams::default().preconditions(uid_is(secret.uid()));
        let deleted = self
            .client
            .delete(&SECRETS, secret.ns(), secret.name(), &params)
            .await;
        match deleted {
            Ok(_) => Ok(Outcome::Done),
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(Outcome::Done),
            Err(error) => Err(error.into()),
        }
    }
}

impl TokensController {
    /// The account that the Secret is of; nothing where there is none, or another one of its name.
    async fn account(&self, secret: &Obj, account: &str) -> Result<Option<Object>, Error> {
        let uid = secret.annotation(ACCOUNT_UID).filter(|uid| !uid.is_empty());
        let matches = |found: &Object| uid.is_none_or(|uid| uid == found.uid());
        let cached = self.accounts.get(&key(secret.namespace(), account));
        if let Some(cached) = cached.filter(matches) {
            return Ok(Some(cached));
        }
        // The cache may lag: ask before deleting a credential.
        let found = self
            .client
            .get(&SERVICE_ACCOUNTS, secret.ns(), account)
            .await;
        match found {
            Ok(found) => Ok(Some(found).filter(matches)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what the Secret lacks. The version that was looked at must be the present one, so that a
    /// token is never given to a Secret that became something else.
    async fn fill(&self, account: &Obj, secret: &Obj) -> Result<(), Error> {
        let missing = missing(secret.value(), &self.root_ca_pem);
        if missing.is_nothing() {
            return Ok(());
        }
        let mut token = None;
        if missing.token {
            let claims = claims(account, secret);
            let signed = self.keys.sign_legacy(&claims);
            token = Some(signed.map_err(Error::other)?);
        }
        let body = filled(secret, account, &self.root_ca_pem, token.as_deref());
        let written = self.client.update(&SECRETS, secret.ns(), &body).await;
        match written {
            Ok(_) => Ok(()),
            // Its next state comes as an event.
            Err(error) if error.is_not_found() || error.is_conflict() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
