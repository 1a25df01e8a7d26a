//! From the contract's actions to layers.

use std::sync::Arc;

use super::Layer;
use super::basic::BasicAuth;
use super::breaker::CircuitBreaker;
use super::buffering::Buffering;
use super::compress::Compress;
use super::errors::ErrorPages;
use super::forward_auth::ForwardAuth;
use super::headers::Headers;
use super::htpasswd::Users;
use super::limit::{AllowList, InFlight, RateLimit};
use super::path::Rewrite;
use super::redirect::Redirect;
use super::retry::Retry;
use crate::driver::secrets::Lookup;
use crate::error::{MiddlewareError, SecretDataError, SecretError};
use crate::model::{self, Action, Middleware, NamespacedName, Scheme};
use crate::table::build::{Builder, ObjectBuild};

/// The result of building a layer; none while a Secret it needs is being read.
type LayerResult = Result<Option<Arc<dyn Layer>>, MiddlewareError>;

/// Builds the layer of an action.
pub(crate) fn build_layer(build: &mut ObjectBuild<'_>, action: &Action) -> LayerResult {
    let Builder { clock, random, .. } = build.builder;
    match action {
        Action::StripPrefix(prefixes) => ready(Rewrite::StripPrefix(prefixes.clone())),
        Action::StripPrefixRegexp(patterns) => ready(Rewrite::strip_prefix_regexp(patterns)?),
        Action::AddPrefix(prefix) => ready(Rewrite::AddPrefix(prefix.clone())),
        Action::ReplacePath(path) => ready(Rewrite::Replace(path.clone())),
        Action::ReplacePathRegexp(rewrite) => ready(Rewrite::replace_regexp(rewrite)?),
        Action::Redirect(redirect) => ready(Redirect::regexp(redirect)?),
        Action::RedirectScheme(redirect) => ready(Redirect::scheme(redirect)),
        Action::Headers(settings) => ready(Headers::new(settings)?),
        Action::BasicAuth(settings) => build_basic_auth(build, settings),
        Action::ForwardAuth(settings) => build_forward_auth(build, settings),
        Action::RateLimit(settings) => ready(RateLimit::new(settings, clock.clone())?),
        Action::InFlight(settings) => ready(InFlight::new(settings)?),
        Action::Retry(settings) => ready(Retry::new(settings)?),
        Action::CircuitBreaker(settings) => ready(CircuitBreaker::new(
            settings,
            clock.clone(),
            random.clone(),
        )?),
        Action::Compress(settings) => ready(Compress::new(settings)),
        Action::IpAllowList((ranges, strategy)) => ready(AllowList::new(ranges, strategy)?),
        Action::Buffering(settings) => ready(Buffering::new(settings)),
        Action::Errors(settings) => build_error_pages(build, settings),
    }
}

fn ready(layer: impl Layer + 'static) -> LayerResult {
    Ok(Some(Arc::new(layer)))
}

fn build_basic_auth(build: &mut ObjectBuild<'_>, settings: &model::BasicAuth) -> LayerResult {
    match read_users(build, settings)? {
        Some(users) => ready(BasicAuth::new(settings, users)?),
        None => Ok(None),
    }
}

fn build_forward_auth(build: &mut ObjectBuild<'_>, settings: &model::ForwardAuth) -> LayerResult {
    let scheme = if settings.address.starts_with("https://") {
        Scheme::Https
    } else {
        Scheme::Http
    };
    let client = build.plain_client(scheme, None)?;
    ready(ForwardAuth::new(settings, client)?)
}

fn build_error_pages(build: &mut ObjectBuild<'_>, settings: &model::ErrorPages) -> LayerResult {
    match build.target(&settings.target)? {
        Some(target) => ready(ErrorPages::new(settings, target)),
        None => Ok(None),
    }
}

/// Whether a layer may be kept when its object is built again: those that follow from Secrets or
/// Services may not.
pub(crate) fn is_reusable(middleware: &Middleware) -> bool {
    !matches!(middleware.action, Action::BasicAuth(_) | Action::Errors(_))
}

/// The users in the Secret that the settings name; none while it is being read.
fn read_users(
    build: &mut ObjectBuild<'_>,
    settings: &model::BasicAuth,
) -> Result<Option<Users>, SecretError> {
    let name = NamespacedName::from(&settings.secret);
    let secret = match build.secret(&name) {
        Lookup::Unknown => return Ok(None),
        Lookup::Missing => return Err(SecretError::NotFound(name)),
        Lookup::Found(secret) => secret,
    };
    let text = |key: &str| {
        secret
            .get(key)
            .and_then(|value| std::str::from_utf8(value.reveal()).ok())
    };
    let users = if secret.kind() == "kubernetes.io/basic-auth" {
        match (text("username"), text("password")) {
            (Some(user), Some(password)) => Ok(Users::single(user, password)),
            _ => Err(SecretDataError::NoPassword),
        }
    } else {
        let list = text("users").ok_or(SecretDataError::NoUsers);
        list.and_then(|list| Ok(Users::parse(list)?))
    };
    users.map(Some).map_err(|error| error.of(&name))
}
