//! Pure: where a volume goes, what it is, and who may use it from where.

use crate::config::{Config, Paths};
use crate::pattern;
use k3s_plugin_sdk::Sentence;
use k3s_plugin_sdk::storage::directories::Owner;
use k3s_plugin_sdk::storage::{Affinity, Class, Kind, Node, Request};

const HOSTNAME: &str = "kubernetes.io/hostname";
/// As K3s' setup script makes directories: the pods of a claim run as any user.
const DEFAULT_MODE: u32 = 0o777;

/// A decision.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    pub(crate) path: String,
    pub(crate) mode: u32,
    pub(crate) owner: Option<Owner>,
    pub(crate) affinity: Option<Affinity>,
}

/// Decides. `pick` chooses among several paths of a node. An error is one sentence for an Event.
pub(crate) fn place(
    config: &Config,
    request: &Request,
    pick: impl Fn(usize) -> usize,
) -> Result<Place, Sentence> {
    let paths = config.of_class(&request.class.name)?;
    let shared = matches!(paths, Paths::Shared(_));
    check(request, shared)?;
    let base = base(paths, request, pick)?;
    let folder = match parameter(&request.class, "pathPattern") {
        Some(text) => pattern::fill(text, &request.claim)?,
        None => format!(
            "{}_{}_{}",
            request.volume_name, request.claim.namespace, request.claim.name
        ),
    };
    let affinity = match &request.node {
        Some(node) if !shared => Some(affinity(&request.class, node)?),
        _ => None,
    };
    Ok(Place {
        kind: kind(request)?,
        path: format!("{base}/{folder}"),
        mode: mode(&request.class)?,
        owner: owner(&request.class)?,
        affinity,
    })
}

fn check(request: &Request, shared: bool) -> Result<(), Sentence> {
    let claim = &request.claim;
    if claim.has_selector {
        return Err("claim.Spec.Selector is not supported".into());
    }
    if claim.block {
        return Err("block volumes are not supported".into());
    }
    let once = |mode: &String| matches!(mode.as_str(), "ReadWriteOnce" | "ReadWriteOncePod");
    if !shared && !claim.access_modes.iter().all(once) {
        return Err(
            "NodePath only supports ReadWriteOnce and ReadWriteOncePod (1.22+) access modes".into(),
        );
    }
    Ok(())
}

fn base<'a>(
    paths: &'a Paths,
    request: &Request,
    pick: impl Fn(usize) -> usize,
) -> Result<&'a str, Sentence> {
    if let Paths::Shared(path) = paths {
        return Ok(path);
    }
    let node = request
        .node
        .as_ref()
        .ok_or("configuration error, no node was specified")?;
    let paths = paths.of_node(&node.name);
    let wanted = parameter(&request.class, "nodePath").map(|path| path.trim_end_matches('/'));
    if let Some(wanted) = wanted {
        let found = paths.iter().find(|path| *path == wanted);
        return found.map(String::as_str).ok_or_else(|| {
            format!("config doesn't contain path {wanted} on node {}", node.name).into()
        });
    }
    let chosen = if paths.is_empty() {
        None
    } else {
        paths.get(pick(paths.len()))
    };
    chosen
        .map(String::as_str)
        .ok_or_else(|| format!("no local path available on node {}", node.name).into())
}

/// `hostPath` unless the class or the claim says `local`; K3s' class does.
fn kind(request: &Request) -> Result<Kind, Sentence> {
    let asked = find(&request.claim.annotations, "volumeType")
        .or_else(|| find(&request.class.annotations, "defaultVolumeType"))
        .unwrap_or("hostPath");
    match asked.to_lowercase().as_str() {
        "local" => Ok(Kind::Local),
        "hostpath" => Ok(Kind::HostPath),
        _ => Err(format!("\"{asked}\" is not a recognised volume type").into()),
    }
}

fn affinity(class: &Class, node: &Node) -> Result<Affinity, Sentence> {
    let key = parameter(class, "nodeAffinityKey").unwrap_or(HOSTNAME);
    let value =
        find(&node.labels, key).ok_or_else(|| format!("node {} has no label {key}", node.name))?;
    Ok(Affinity {
        key: key.to_owned(),
        values: vec![value.to_owned()],
    })
}

fn mode(class: &Class) -> Result<u32, Sentence> {
    let Some(text) = parameter(class, "perm") else {
        return Ok(DEFAULT_MODE);
    };
    let mode = u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o7777);
    mode.ok_or_else(|| format!("parameter perm {text:?} is not an octal mode").into())
}

fn owner(class: &Class) -> Result<Option<Owner>, Sentence> {
    let number = |name: &str| {
        let parse = |text: &str| {
            text.parse::<u32>()
                .map_err(|_| format!("parameter {name} {text:?} is not a number"))
        };
        parameter(class, name).map(parse).transpose()
    };
    let (user, group) = (number("user")?, number("group")?);
    Ok((user.is_some() || group.is_some()).then(|| Owner {
        user: user.unwrap_or(0),
        group: group.unwrap_or(0),
    }))
}

fn parameter<'a>(class: &'a Class, name: &str) -> Option<&'a str> {
    find(&class.parameters, name).filter(|value| !value.is_empty())
}

fn find<'a>(map: &'a [(String, String)], key: &str) -> Option<&'a str> {
    map.iter()
        .find(|(name, _)| name == key)
        .map(|(_, value)| value.as_str())
}
