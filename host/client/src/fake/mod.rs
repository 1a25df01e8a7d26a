//! An API server in memory, for the tests of components that speak the API.
//!
//! It keeps the semantics that components depend on: resource versions and conflicts, generation,
//! generated names, finalizers and graceful deletion, list with selectors and pages, watch from a
//! version, and the subresources status, scale, binding, eviction and finalize. It checks no
//! schema, applies no defaults but the few named in `write.rs`, and authorizes every request.
//!
//! [`FakeApi::seed`] puts objects in as they are; [`FakeApi::fail`] makes requests fail;
//! [`FakeApi::requests`] shows what was asked, for tests of silence.

mod answer;
mod discovery;
mod patch;
mod path;
mod read;
mod store;
mod watch;
mod write;

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use k3s_base::Clock;
use k3s_meta::Status;
use k3s_meta::user::{AssertedUser, UserInfo};
use parking_lot::Mutex;
use serde_json::Value;
use tower::Service;

use crate::body::Body;
use crate::client::Client;
use crate::factory::ClientFactory;
use crate::resource::Resource;
use path::Target;
use store::Store;

/// A request that the fake was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The asserted user.
    pub user: String,
    /// HTTP method.
    pub method: String,
    /// Path without query.
    pub path: String,
}

impl Asked {
    fn of(head: &Parts) -> Self {
        let user = head.extensions.get::<AssertedUser>();
        Self {
            user: user.map(|it| it.0.name.clone()).unwrap_or_default(),
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
        }
    }

    /// Whether the request changes something.
    #[must_use]
    pub fn is_write(&self) -> bool {
        self.method != "GET"
    }
}

type Failure = Box<dyn FnMut(&Asked) -> Option<Status> + Send>;

/// The fake. Cheap to clone; clones are the same server.
#[derive(Clone)]
pub struct FakeApi {
    store: Arc<Store>,
    asked: Arc<Mutex<Vec<Asked>>>,
    failures: Arc<Mutex<Vec<Failure>>>,
}

impl std::fmt::Debug for FakeApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FakeApi")
    }
}

impl FakeApi {
    /// An empty server.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            store: Arc::new(Store::new(clock)),
            asked: Arc::default(),
            failures: Arc::default(),
        }
    }

    /// A client of this server as the named user.
    #[must_use]
    pub fn client(&self, user: &str) -> Client {
        Client::in_process(
            self.clone(),
            UserInfo {
                name: user.to_owned(),
                ..UserInfo::default()
            },
        )
    }

    /// Clients of this server as any user.
    #[must_use]
    pub fn factory(&self) -> ClientFactory {
        ClientFactory::in_process(self.clone())
    }

    /// Puts an object in as it is (status, deletionTimestamp and all); only missing uid,
    /// creationTimestamp and resourceVersion are filled in. Replaces one of the same name.
    pub fn seed(&self, resource: &Resource, object: Value) -> Value {
        self.store.seed(&Target::of(resource, &object), object)
    }

    /// Takes an object out at once, finalizers or not.
    pub fn remove(&self, resource: &Resource, namespace: &str, name: &str) {
        self.store.remove(&Target::named(resource, namespace, name));
    }

    /// Changes a stored object in place, as some other component would.
    pub fn change(
        &self,
        resource: &Resource,
        namespace: &str,
        name: &str,
        change: impl FnOnce(&mut Value),
    ) {
        let target = Target::named(resource, namespace, name);
        if let Some(mut object) = self.store.get(&target) {
            change(&mut object);
            self.store.replace(&target, object);
        }
    }

    /// A stored object.
    #[must_use]
    pub fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Option<Value> {
        self.store.get(&Target::named(resource, namespace, name))
    }

    /// All stored objects of a resource, in order of their keys.
    #[must_use]
    pub fn all(&self, resource: &Resource) -> Vec<Value> {
        self.store.all(&Target::collection(resource))
    }

    /// Answers requests with a failure where `decide` says so.
    pub fn fail(&self, decide: impl FnMut(&Asked) -> Option<Status> + Send + 'static) {
        self.failures.lock().push(Box::new(decide));
    }

    /// What was asked so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }

    /// The writes so far, as `METHOD path`.
    #[must_use]
    pub fn writes(&self) -> Vec<String> {
        self.asked
            .lock()
            .iter()
            .filter(|a| a.is_write())
            .map(|a| format!("{} {}", a.method, a.path))
            .collect()
    }

    /// The version of the newest write.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.store.revision()
    }

    /// Forgets all events so far: watches from older versions get 410.
    pub fn compact(&self) {
        self.store.compact();
    }

    /// Waits until `condition` holds for this server, up to ten seconds; false if it never did.
    pub async fn eventually(&self, condition: impl Fn(&Self) -> bool) -> bool {
        for _ in 0..1000 {
            if condition(self) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        condition(self)
    }

    /// Waits until no write came for `quiet`, up to ten seconds; false if there was no such pause.
    pub async fn settles(&self, quiet: Duration) -> bool {
        let mut seen = self.writes().len();
        for _ in 0..100 {
            tokio::time::sleep(quiet).await;
            let now = self.writes().len();
            if now == seen {
                return true;
            }
            seen = now;
        }
        false
    }

    async fn answer(self, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let asked = Asked::of(&head);
        self.asked.lock().push(asked.clone());
        if let Some(status) = self.failure(&asked) {
            return answer::status(&status);
        }
        match body.collect().await {
            Ok(collected) => self.dispatch(&head, &collected.to_bytes()),
            Err(error) => answer::status(&Status::bad_request(error.to_string())),
        }
    }

    /// The failure that a test wants for this request.
    fn failure(&self, asked: &Asked) -> Option<Status> {
        let mut failures = self.failures.lock();
        failures.iter_mut().find_map(|decide| decide(asked))
    }

    fn dispatch(&self, head: &Parts, body: &[u8]) -> Response<Body> {
        let path = head.uri.path();
        if let Some(document) = discovery::document(path) {
            return answer::json(200, &document);
        }
        let Some(target) = path::parse(path) else {
            return answer::status(&path::unknown(path));
        };
        let query = path::query(head.uri.query().unwrap_or_default());
        let watch = query.get("watch").map(String::as_str);
        if head.method == Method::GET && matches!(watch, Some("true" | "1")) {
            return watch::start(&self.store, &target, &query);
        }
        let body: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
        let result = match head.method {
            Method::GET => read::get(&self.store, &target, &query),
            Method::POST => write::create(&self.store, &target, body),
            Method::PUT => write::update(&self.store, &target, body),
            Method::PATCH => patch::patch(&self.store, &target, content_type(head), &body),
            Method::DELETE => write::delete(&self.store, &target, &query, &body),
            _ => Err(Box::new(Status::bad_request("method"))),
        };
        match result {
            Ok((code, value)) => answer::json(code, &value),
            Err(status) => answer::status(&status),
        }
    }
}

fn content_type(head: &Parts) -> &str {
    let value = head.headers.get(CONTENT_TYPE);
    value.and_then(|it| it.to_str().ok()).unwrap_or_default()
}

impl Service<Request<Body>> for FakeApi {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.clone().answer(request).map(Ok).boxed()
    }
}
