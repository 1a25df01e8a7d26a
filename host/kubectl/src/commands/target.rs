//! Which objects the words of a command name: `TYPE`, `TYPE NAME...`, `TYPE/NAME...`, `TYPE,TYPE`.

use crate::discovery::{Discovery, Served};
use crate::error::Failure;

/// A resource, and the names asked for; no names means all.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    pub(crate) served: &'a Served,
    pub(crate) names: Vec<String>,
}

pub(crate) fn parse<'a>(
    discovery: &'a Discovery,
    words: &[String],
) -> Result<Vec<Target<'a>>, Failure> {
    let (first, rest) = words.split_first().ok_or_else(|| {
        Failure::local("You must specify the type of resource to get. Use \"kubectl api-resources\" for a complete list of supported resources.")
    })?;
    if first.contains('/') {
        return words.iter().map(|w| slashed(discovery, w)).collect();
    }
    if let Some(word) = rest.iter().find(|w| w.contains('/')) {
        return Err(Failure::local(format!(
            "there is no need to specify a resource type as a separate argument when passing arguments in resource/name form (e.g. 'kubectl get {word}' instead of 'kubectl get {first} {word}'"
        )));
    }
    let mut targets = Vec::new();
    for word in first.split(',').filter(|w| !w.is_empty()) {
        for served in discovery.resources(word)? {
            targets.push(Target {
                served,
                names: rest.to_vec(),
            });
        }
    }
    Ok(targets)
}

fn slashed<'a>(discovery: &'a Discovery, word: &str) -> Result<Target<'a>, Failure> {
    match word.split_once('/') {
        Some((kind, name)) if !kind.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(Target {
                served: discovery.resource(kind)?,
                names: vec![name.to_owned()],
            })
        }
        _ => Err(Failure::local(format!(
            "arguments in resource/name form must have a single resource and name: {word:?}"
        ))),
    }
}
