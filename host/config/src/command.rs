//! From the tables of flags to a parser, and from arguments to values.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::error::ConfigError;
use crate::file;
use crate::flags::client::{DATA_DIR_VARIABLE, DEFAULT_DATA_DIR};
use crate::flags::logging::CONFIG;
use crate::flags::typed::TypedFlag;
use crate::flags::{self, Class, Flag, Shape};

/// Values by flag, merged from all sources, and the warnings that arose on the way.
#[derive(Debug, Default)]
pub struct Parsed {
    /// Every known flag has an entry, which is empty where the flag was not given.
    values: BTreeMap<&'static str, Vec<String>>,
    /// One sentence each, naming the flag or key.
    pub warnings: Vec<String>,
    /// The arguments after `server`, those of the file included, for the node's `k3s.io/node-args` annotation.
    pub args: Vec<String>,
}

impl Parsed {
    /// The value of a flag, of its type.
    ///
    /// # Errors
    /// When what was given has a wrong form.
    pub(crate) fn get<F: TypedFlag>(&self, flag: &F) -> Result<F::Value, ConfigError> {
        let name = flag.flag().name;
        let given = self.values.get(name);
        debug_assert!(given.is_some(), "--{name} is in no group of flags");
        flag.read(given.map(Vec::as_slice).unwrap_or_default())
    }
}

/// `<data-dir>` of commands that do not read the server's configuration file: `env` reads an
/// environment variable.
pub fn data_dir_from(env: impl Fn(&str) -> Option<String>) -> PathBuf {
    match env(DATA_DIR_VARIABLE).filter(|dir| !dir.is_empty()) {
        Some(dir) => dir.into(),
        None => DEFAULT_DATA_DIR.into(),
    }
}

/// The parser of `k3s server`, for its help text.
#[must_use]
fn server_command() -> Command {
    let mut command = Command::new("k3s server")
        .about("Run a Kubernetes server: datastore, API, controllers, scheduler and node in one process")
        .no_binary_name(true)
        .args_override_self(true);
    for (group, flags) in flags::SERVER {
        command = command.next_help_heading(*group);
        for flag in *flags {
            command = command.arg(arg(flag));
        }
    }
    command
}

fn arg(flag: &Flag) -> Arg {
    let mut arg = Arg::new(flag.name).help(flag.help_line());
    // `-v` is the whole name of its flag.
    if flag.name.len() > 1 {
        arg = arg.long(flag.name);
    }
    if let Some(short) = flag.short {
        arg = arg.short(short);
    }
    if flag.class != Class::Acts {
        arg = arg.hide(true);
    }
    match flag.shape {
        Shape::Switch => arg
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .action(ArgAction::Set),
        Shape::One => arg
            .num_args(1)
            .allow_hyphen_values(true)
            .action(ArgAction::Set),
        Shape::Many | Shape::ManyByComma => arg
            .num_args(1)
            .allow_hyphen_values(true)
            .action(ArgAction::Append),
    }
}

/// Parses the arguments after `server`. `env` reads an environment variable.
///
/// # Errors
/// On unknown flags, malformed files, and flags that are known but must not be ignored.
pub fn parse_server(
    words: &[String],
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Parsed, ConfigError> {
    let cli = matches(words)?;
    let (path, explicit) = config_path(&cli, env)?;
    let (from_file, mut warnings) = file::load(&path, explicit)?;
    let given = |f: &Flag| cli.value_source(f.name) == Some(ValueSource::CommandLine);
    let injected: Vec<String> = from_file
        .into_iter()
        .filter(|(flag, _)| !given(flag))
        .flat_map(|(flag, values)| values.into_iter().map(move |v| word(flag, &v)))
        .collect();
    let args: Vec<String> = injected.into_iter().chain(words.iter().cloned()).collect();
    let all = matches(&args)?;
    let mut values = BTreeMap::new();
    for flag in flags::server() {
        let found = values_of(flag, &all, env)?.unwrap_or_default();
        match flag.class {
            _ if found.is_empty() => {}
            Class::Acts => {}
            Class::Warns(reason) => {
                warnings.push(format!("--{} changes nothing: {reason}", flag.name))
            }
            Class::Fatal(reason) if asks_for_it(flag, &found) => {
                return Err(ConfigError::unsupported(flag.name, reason));
            }
            Class::Fatal(_) => {}
        }
        values.insert(flag.name, found);
    }
    Ok(Parsed {
        values,
        warnings,
        args,
    })
}

/// Whether the flag requests something: `--rootless=false` does not, nor does an empty value.
fn asks_for_it(flag: &Flag, values: &[String]) -> bool {
    let says_no = |v: &String| v.is_empty() || (flag.shape == Shape::Switch && v == "false");
    !values.iter().all(says_no)
}

fn matches(words: &[String]) -> Result<ArgMatches, ConfigError> {
    server_command()
        .try_get_matches_from(words)
        .map_err(|e| ConfigError::Usage {
            text: e.render().to_string(),
            is_error: e.use_stderr(),
        })
}

/// The configuration file, and whether it was asked for by name.
fn config_path(
    cli: &ArgMatches,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<(PathBuf, bool), ConfigError> {
    let row = CONFIG.flag();
    let given = cli.get_one::<String>(row.name).cloned();
    let given = given.or_else(|| row.env.and_then(env));
    let is_explicit = given.is_some();
    let is_url = |path: &String| path.starts_with("http://") || path.starts_with("https://");
    if given.as_ref().is_some_and(is_url) {
        let reason = "a configuration is not fetched from a URL; download it and name the file";
        return Err(ConfigError::unsupported(row.name, reason));
    }
    let given: Vec<String> = given.into_iter().collect();
    Ok((CONFIG.read(&given)?, is_explicit))
}

fn word(flag: &Flag, value: &str) -> String {
    if flag.name.len() == 1 {
        format!("-{}={value}", flag.name)
    } else {
        format!("--{}={value}", flag.name)
    }
}

fn values_of(
    flag: &'static Flag,
    all: &ArgMatches,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Option<Vec<String>>, ConfigError> {
    let given = all
        .get_many::<String>(flag.name)
        .map(|v| v.cloned().collect::<Vec<_>>());
    let Some(raw) = given.or_else(|| flag.env.and_then(env).map(|v| vec![v])) else {
        return Ok(None);
    };
    let split = |v: &String| {
        v.split(',')
            .map(|p| p.trim().to_owned())
            .filter(|p| !p.is_empty())
            .collect::<Vec<_>>()
    };
    match flag.shape {
        Shape::Switch => raw
            .iter()
            .map(|v| switch_value(flag, v))
            .collect::<Result<Vec<_>, _>>()
            .map(Some),
        Shape::ManyByComma => Ok(Some(raw.iter().flat_map(split).collect())),
        Shape::One | Shape::Many => Ok(Some(raw)),
    }
}

/// The spellings that Go's `strconv.ParseBool` accepts.
fn switch_value(flag: &Flag, value: &str) -> Result<String, ConfigError> {
    match value {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok("true".into()),
        "0" | "f" | "F" | "false" | "FALSE" | "False" | "" => Ok("false".into()),
        other => Err(ConfigError::value(
            flag.name,
            other,
            "expected true or false",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::cluster::TOKEN;
    use crate::flags::listener::TLS_SAN;
    use crate::flags::logging::DEBUG;
    use crate::flags::node::{NODE_LABEL, NODE_NAME};

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn parse(text: &str, env: &[(&str, &str)]) -> Result<Parsed, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config.yaml");
        std::fs::write(&config, "").unwrap();
        let text = if text.contains("--config") {
            text.into()
        } else {
            format!("--config {} {text}", config.display())
        };
        parse_server(&words(&text), &|name| {
            env.iter()
                .find(|(k, _)| *k == name)
                .map(|(_, v)| (*v).to_owned())
        })
    }

    fn parse_with_file(
        yaml: &str,
        text: &str,
        env: &[(&str, &str)],
    ) -> Result<Parsed, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("config.yaml");
        std::fs::write(&config, yaml).unwrap();
        parse(&format!("--config {} {text}", config.display()), env)
    }

    #[test]
    fn command_line_beats_file_beats_environment() {
        let env = [("K3S_NODE_NAME", "env"), ("K3S_TOKEN", "from-env")];
        let parsed = parse_with_file("node-name: file\n", "--node-name cli", &env).unwrap();
        assert_eq!(parsed.get(&NODE_NAME).unwrap().as_deref(), Some("cli"));
        assert_eq!(parsed.get(&TOKEN).unwrap().as_deref(), Some("from-env"));
        let parsed = parse_with_file("node-name: file\n", "", &env).unwrap();
        assert_eq!(parsed.get(&NODE_NAME).unwrap().as_deref(), Some("file"));
    }

    #[test]
    fn a_list_on_the_command_line_replaces_the_files() {
        let yaml = "tls-san: [a, b]\nnode-label:\n- x=1,y=2\n";
        let parsed = parse_with_file(yaml, "--tls-san c,d", &[]).unwrap();
        assert_eq!(parsed.get(&TLS_SAN).unwrap(), ["c", "d"]);
        assert_eq!(
            parsed.get(&NODE_LABEL).unwrap(),
            [("x".to_owned(), "1,y=2".to_owned())]
        );
    }

    #[test]
    fn a_configuration_at_a_url_is_refused_as_such() {
        let error = parse("--config https://user:secret@h/c.yaml", &[]).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("--config is not supported: "), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn unknown_flags_are_an_error() {
        let error = parse("--no-such-flag", &[]).unwrap_err();
        assert!(error.to_string().contains("--no-such-flag"), "{error}");
    }

    #[test]
    fn fatal_flags_name_themselves() {
        let error = parse("--etcd-s3", &[]).unwrap_err();
        assert!(
            error.to_string().starts_with("--etcd-s3 is not supported"),
            "{error}"
        );
        let error = parse("", &[("K3S_URL", "https://other:6443")]).unwrap_err();
        assert!(
            error.to_string().starts_with("--server is not supported"),
            "{error}"
        );
        parse("--rootless=false", &[]).unwrap();
    }

    #[test]
    fn known_flags_without_effect_warn_by_name() {
        let parsed = parse("--pause-image x", &[]).unwrap();
        assert_eq!(
            parsed.warnings,
            ["--pause-image changes nothing: pods need no pause image here"]
        );
    }

    #[test]
    fn switches_take_go_booleans() {
        assert!(parse("--debug", &[]).unwrap().get(&DEBUG).unwrap());
        assert!(!parse("--debug=f", &[]).unwrap().get(&DEBUG).unwrap());
        assert!(parse("--debug=maybe", &[]).is_err());
        assert!(
            parse_with_file("debug: true\n", "", &[])
                .unwrap()
                .get(&DEBUG)
                .unwrap()
        );
    }
}
