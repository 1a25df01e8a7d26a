//! The process a container runs: command, environment, directory, privileges.

use std::collections::BTreeSet;

use k3s_cri::v1::{ContainerConfig, LinuxContainerSecurityContext, SupplementalGroupsPolicy};
use serde_json::{Value, json};

use super::{Inputs, insert};
use crate::error::{Error, Result};
use crate::image::model::RunConfig;
use crate::shim::protocol::UserRequest;

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) fn of(
    inputs: &Inputs<'_>,
    security: &LinuxContainerSecurityContext,
    capabilities: &BTreeSet<String>,
) -> Result<Value> {
    let config = inputs.config;
    let mut process = json!({
        "terminal": config.tty,
        "user": {"uid": 0, "gid": 0},
        "args": command(config, inputs.image)?,
        "env": environment(inputs),
        "cwd": working_dir(config, inputs.image),
        "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities, "inheritable": [], "ambient": []},
    });
    // libcontainer loads the filter late when this is set at all, also to false, and then lacks the
    // privilege to: it is set only when true.
    if security.no_new_privs {
        insert(&mut process, "noNewPrivileges", json!(true));
    }
    let score = config
        .linux
        .as_ref()
        .and_then(|linux| linux.resources.as_ref())
        .map(|resources| resources.oom_score_adj);
    insert(&mut process, "oomScoreAdj", json!(score.unwrap_or(0)));
    Ok(process)
}

/// Command and arguments: the pod's command replaces the image's entrypoint and its arguments, the
/// pod's arguments alone replace only the image's.
fn command(config: &ContainerConfig, image: &RunConfig) -> Result<Vec<String>> {
    let (mut command, mut args) = (config.command.clone(), config.args.clone());
    if command.is_empty() {
        if args.is_empty() {
            args.clone_from(&image.cmd);
        }
        command.clone_from(&image.entrypoint);
    }
    command.append(&mut args);
    if command.is_empty() {
        Err(Error::Invalid("no command specified".into()))
    } else {
        Ok(command)
    }
}

/// The pod's variables over the image's over the defaults.
fn environment(inputs: &Inputs<'_>) -> Vec<String> {
    let mut out: Vec<String> = vec![DEFAULT_PATH.to_owned()];
    if inputs.config.tty {
        out.push("TERM=xterm".to_owned());
    }
    out.push(format!("HOSTNAME={}", hostname(inputs)));
    for variable in &inputs.image.env {
        set(&mut out, variable.clone());
    }
    for variable in &inputs.config.envs {
        set(&mut out, format!("{}={}", variable.key, variable.value));
    }
    out
}

fn hostname(inputs: &Inputs<'_>) -> String {
    let own = || {
        nix::unistd::gethostname()
            .ok()
            .and_then(|name| name.into_string().ok())
            .unwrap_or_default()
    };
    if inputs.sandbox.hostname.is_empty() {
        own()
    } else {
        inputs.sandbox.hostname.clone()
    }
}

fn set(variables: &mut Vec<String>, variable: String) {
    let key = variable.split('=').next().unwrap_or_default().to_owned();
    variables.retain(|other| other.split('=').next() != Some(&key));
    variables.push(variable);
}

fn working_dir(config: &ContainerConfig, image: &RunConfig) -> String {
    let dir = if config.working_dir.is_empty() {
        &image.working_dir
    } else {
        &config.working_dir
    };
    if dir.is_empty() {
        "/".to_owned()
    } else {
        dir.clone()
    }
}

/// Who the container runs as; the shim resolves it in the image.
pub(crate) fn user_request(
    security: &LinuxContainerSecurityContext,
    image: &RunConfig,
) -> Result<UserRequest> {
    let number = |value: i64| {
        u32::try_from(value)
            .map_err(|_| Error::Invalid(format!("user or group {value} is out of range")))
    };
    let group = security
        .run_as_group
        .as_ref()
        .map(|group| number(group.value))
        .transpose()?;
    let user = match &security.run_as_user {
        Some(user) => number(user.value)?.to_string(),
        None if !security.run_as_username.is_empty() => security.run_as_username.clone(),
        // If the pod sets a group, the image's group is dropped and its user is kept.
        None if group.is_some() => image.user.split(':').next().unwrap_or_default().to_owned(),
        None => image.user.clone(),
    };
    Ok(UserRequest {
        user,
        group,
        supplemental_groups: security
            .supplemental_groups
            .iter()
            .map(|&group| number(group))
            .collect::<Result<_>>()?,
        strict_groups: security.supplemental_groups_policy
            == SupplementalGroupsPolicy::Strict as i32,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use k3s_cri::v1::Int64Value;

    fn image() -> RunConfig {
        RunConfig {
            entrypoint: vec!["/entry".into()],
            cmd: vec!["default".into()],
            user: "web:logs".into(),
            ..Default::default()
        }
    }

    fn merged(command_line: &[&str], args: &[&str]) -> Vec<String> {
        let owned = |list: &[&str]| list.iter().map(|part| (*part).to_owned()).collect();
        command(
            &ContainerConfig {
                command: owned(command_line),
                args: owned(args),
                ..Default::default()
            },
            &image(),
        )
        .unwrap()
    }

    #[test]
    fn command_and_arguments_merge_as_documented() {
        assert_eq!(merged(&[], &[]), ["/entry", "default"]);
        assert_eq!(merged(&[], &["own"]), ["/entry", "own"]);
        assert_eq!(merged(&["own"], &[]), ["own"]);
        assert_eq!(merged(&["own"], &["args"]), ["own", "args"]);
        assert!(command(&ContainerConfig::default(), &RunConfig::default()).is_err());
    }

    #[test]
    fn the_pod_decides_the_user_before_the_image() {
        let of =
            |security: LinuxContainerSecurityContext| user_request(&security, &image()).unwrap();
        assert_eq!(of(Default::default()).user, "web:logs");
        let with_group = of(LinuxContainerSecurityContext {
            run_as_group: Some(Int64Value { value: 7 }),
            ..Default::default()
        });
        assert_eq!(
            (with_group.user.as_str(), with_group.group),
            ("web", Some(7))
        );
        assert_eq!(
            of(LinuxContainerSecurityContext {
                run_as_user: Some(Int64Value { value: 5 }),
                ..Default::default()
            })
            .user,
            "5"
        );
        let negative = LinuxContainerSecurityContext {
            run_as_user: Some(Int64Value { value: -1 }),
            ..Default::default()
        };
        assert!(user_request(&negative, &image()).is_err());
    }

    #[test]
    fn a_later_variable_replaces_an_earlier_one() {
        let mut variables = vec!["A=1".to_owned(), "B=2".to_owned()];
        set(&mut variables, "A=x=y".to_owned());
        assert_eq!(variables, ["B=2", "A=x=y"]);
    }
}
