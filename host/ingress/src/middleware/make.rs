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
use crate::model::{self, Action, Middleware, Name, Scheme};
use crate::table::build::ObjectBuild;
use crate::table::rule::regex;

/// A layer; none while a Secret it needs is being read. The error is for the author of the object.
pub(crate) fn layer(
    build: &mut ObjectBuild<'_>,
    action: &Action,
) -> Result<Option<Arc<dyn Layer>>, String> {
    let (clock, random) = (build.builder.clock.clone(), build.builder.random.clone());
    Ok(Some(match action {
        Action::StripPrefix(prefixes) => Arc::new(Rewrite::StripPrefix(prefixes.clone())),
        Action::StripPrefixRegexp(patterns) => {
            let patterns = patterns
                .iter()
                .map(|pattern| regex(pattern))
                .collect::<Result<_, _>>()?;
            Arc::new(Rewrite::StripPrefixRegexp(patterns))
        }
        Action::AddPrefix(prefix) => Arc::new(Rewrite::AddPrefix(prefix.clone())),
        Action::ReplacePath(path) => Arc::new(Rewrite::Replace(path.clone())),
        Action::ReplacePathRegexp(rewrite) => Arc::new(Rewrite::ReplaceRegexp(
            regex(&rewrite.pattern)?,
            rewrite.replacement.clone(),
        )),
        Action::Redirect(redirect) => Arc::new(Redirect::Regexp {
            pattern: regex(&redirect.rewrite.pattern)?,
            replacement: redirect.rewrite.replacement.clone(),
            permanent: redirect.permanent,
        }),
        Action::RedirectScheme(redirect) => Arc::new(Redirect::Scheme {
            scheme: redirect.scheme.clone(),
            port: redirect.port.clone(),
            permanent: redirect.permanent,
        }),
        Action::Headers(settings) => Arc::new(Headers::new(settings)?),
        Action::BasicAuth(settings) => match users(build, settings)? {
            Some(users) => Arc::new(BasicAuth::new(settings, users)?),
            None => return Ok(None),
        },
        Action::ForwardAuth(settings) => {
            let secure = settings.address.starts_with("https://");
            let client = build.plain_client(if secure { Scheme::Https } else { Scheme::Http })?;
            Arc::new(ForwardAuth::new(settings, client)?)
        }
        Action::RateLimit(settings) => Arc::new(RateLimit::new(settings, clock)?),
        Action::InFlight(settings) => Arc::new(InFlight::new(settings)?),
        Action::Retry(settings) => Arc::new(Retry::new(settings)?),
        Action::CircuitBreaker(settings) => Arc::new(CircuitBreaker::new(settings, clock, random)?),
        Action::Compress(settings) => Arc::new(Compress::new(settings)),
        Action::IpAllowList((ranges, strategy)) => Arc::new(AllowList::new(ranges, strategy)?),
        Action::Buffering(settings) => Arc::new(Buffering::new(settings)),
        Action::Errors(settings) => match build.target(&settings.target)? {
            Some(target) => Arc::new(ErrorPages::new(settings, target)),
            None => return Ok(None),
        },
    }))
}

/// Whether a layer may be kept when its object is made anew: those that follow from Secrets or
/// Services may not.
pub(crate) fn keeps(middleware: &Middleware) -> bool {
    !matches!(middleware.action, Action::BasicAuth(_) | Action::Errors(_))
}

fn users(
    build: &mut ObjectBuild<'_>,
    settings: &model::BasicAuth,
) -> Result<Option<Users>, String> {
    let name = Name::from(&settings.secret);
    let secret = match build.secret(&name) {
        Lookup::Unknown => return Ok(None),
        Lookup::Missing => return Err(format!("secret {name} does not exist")),
        Lookup::Found(secret) => secret,
    };
    let text = |key: &str| {
        secret
            .get(key)
            .and_then(|value| std::str::from_utf8(value.reveal()).ok())
    };
    if secret.kind() == "kubernetes.io/basic-auth" {
        let (Some(user), Some(password)) = (text("username"), text("password")) else {
            return Err(format!("secret {name}: username and password are needed"));
        };
        return Ok(Some(Users::single(user, password)));
    }
    let list = text("users").ok_or_else(|| format!("secret {name} has no users"))?;
    Users::parse(list)
        .map(Some)
        .map_err(|why| format!("secret {name}: {why}"))
}
