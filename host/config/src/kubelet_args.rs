//! `--kubelet-arg NAME=VALUE`: the arguments that act, with the parsers of their values in one table.
//! Arguments that are not in the table are known to the kubelet of upstream only; a warning says so.

use std::path::PathBuf;
use std::time::Duration;

use k3s_meta::quantity::Quantity;

use crate::error::{ConfigError, Refusal};
use crate::flags::node::KUBELET_ARG;
use crate::flags::typed::TypedFlag;
use crate::settings::Warnings;

/// The arguments that were given; `None` leaves the kubelet's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KubeletArguments {
    /// `max-pods`.
    pub max_pods: Option<u32>,
    /// `cgroup-root`.
    pub cgroup_root: Option<String>,
    /// `root-dir`.
    pub root_dir: Option<PathBuf>,
    /// `container-log-max-size`, in bytes.
    pub log_max_bytes: Option<u64>,
    /// `container-log-max-files`.
    pub log_max_files: Option<usize>,
    /// `eviction-hard`, in the form of the kubelet: `memory.available<100Mi,...`.
    pub eviction_hard: Option<String>,
    /// `eviction-minimum-reclaim`, in the form of the kubelet.
    pub eviction_minimum_reclaim: Option<String>,
    /// `eviction-pressure-transition-period`.
    pub eviction_transition_period: Option<Duration>,
    /// `image-gc-high-threshold`.
    pub image_gc_high_percent: Option<u64>,
    /// `image-gc-low-threshold`.
    pub image_gc_low_percent: Option<u64>,
    /// `pod-max-pids`; a negative number or 0 means no limit.
    pub pod_max_pids: Option<i64>,
}

/// One argument that acts.
struct Argument {
    name: &'static str,
    set: fn(&mut KubeletArguments, &str) -> Result<(), Refusal>,
}

const ARGUMENTS: &[Argument] = &[
    Argument {
        name: "max-pods",
        set: |all, value| store(&mut all.max_pods, number(value)),
    },
    Argument {
        name: "cgroup-root",
        set: |all, value| store(&mut all.cgroup_root, Ok(value.to_owned())),
    },
    Argument {
        name: "root-dir",
        set: |all, value| store(&mut all.root_dir, Ok(value.into())),
    },
    Argument {
        name: "container-log-max-size",
        set: |all, value| store(&mut all.log_max_bytes, bytes(value)),
    },
    Argument {
        name: "container-log-max-files",
        set: |all, value| store(&mut all.log_max_files, number(value)),
    },
    Argument {
        name: "eviction-hard",
        set: |all, value| store(&mut all.eviction_hard, Ok(value.to_owned())),
    },
    Argument {
        name: "eviction-minimum-reclaim",
        set: |all, value| store(&mut all.eviction_minimum_reclaim, Ok(value.to_owned())),
    },
    Argument {
        name: "eviction-pressure-transition-period",
        set: |all, value| store(&mut all.eviction_transition_period, duration(value)),
    },
    Argument {
        name: "image-gc-high-threshold",
        set: |all, value| store(&mut all.image_gc_high_percent, percent(value)),
    },
    Argument {
        name: "image-gc-low-threshold",
        set: |all, value| store(&mut all.image_gc_low_percent, percent(value)),
    },
    Argument {
        name: "pod-max-pids",
        set: |all, value| store(&mut all.pod_max_pids, number(value)),
    },
];

/// The names of the arguments that act.
pub(crate) fn names() -> Vec<&'static str> {
    ARGUMENTS.iter().map(|argument| argument.name).collect()
}

impl KubeletArguments {
    /// Reads the values of `--kubelet-arg`; a later one wins.
    pub(crate) fn parse(texts: &[String], warnings: &mut Warnings) -> Result<Self, ConfigError> {
        let mut all = Self::default();
        for text in texts {
            let (name, value) = text.split_once('=').unwrap_or((text, "true"));
            let name = name.trim_start_matches('-');
            match all.set(name, value) {
                Ok(true) => {}
                Ok(false) => warnings.push(format!(
                    "--kubelet-arg {name} changes nothing; those that act: {}",
                    names().join(", ")
                )),
                Err(refusal) => {
                    let flag = KUBELET_ARG.flag().name;
                    return Err(ConfigError::refused(flag, text, refusal));
                }
            }
        }
        Ok(all)
    }

    /// False where no argument of this name acts.
    fn set(&mut self, name: &str, value: &str) -> Result<bool, Refusal> {
        // K3s' spellings for lists: `name+=` appends and `name-=` removes.
        if name.ends_with(['+', '-']) {
            let expected = "the arguments that act here take one value; use NAME=VALUE";
            return Err(Refusal::malformed(expected));
        }
        match ARGUMENTS.iter().find(|argument| argument.name == name) {
            Some(argument) => (argument.set)(self, value).map(|()| true),
            None => Ok(false),
        }
    }
}

fn store<T>(place: &mut Option<T>, value: Result<T, Refusal>) -> Result<(), Refusal> {
    *place = Some(value?);
    Ok(())
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, Refusal> {
    text.parse()
        .map_err(|_| Refusal::malformed("expected a number"))
}

fn percent(text: &str) -> Result<u64, Refusal> {
    match number(text)? {
        percent @ 0..=100 => Ok(percent),
        _ => Err(Refusal::malformed("expected a percentage from 0 to 100")),
    }
}

fn duration(text: &str) -> Result<Duration, Refusal> {
    let example = "expected a duration such as 5m or 90s";
    k3s_duration::parse(text).map_err(|_| Refusal::malformed(example.to_owned()))
}

fn bytes(text: &str) -> Result<u64, Refusal> {
    let quantity = Quantity::parse(text).map_err(|error| Refusal::malformed(error.to_string()))?;
    u64::try_from(quantity.value()).map_err(|_| Refusal::malformed("expected a size above 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(texts: &[&str]) -> Result<(KubeletArguments, Warnings), ConfigError> {
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let mut warnings = Warnings::new();
        KubeletArguments::parse(&texts, &mut warnings).map(|all| (all, warnings))
    }

    #[test]
    fn arguments_act_or_warn() {
        let (all, warnings) = parse(&[
            "max-pods=100",
            "max-pods=200",
            "--container-log-max-size=10Mi",
            "eviction-pressure-transition-period=1m30s",
            "pod-max-pids=-1",
            "eviction-soft=x",
        ])
        .unwrap();
        assert_eq!(all.max_pods, Some(200));
        assert_eq!(all.log_max_bytes, Some(10 << 20));
        assert_eq!(
            all.eviction_transition_period,
            Some(Duration::from_secs(90))
        );
        assert_eq!(all.pod_max_pids, Some(-1));
        assert_eq!(warnings.len(), 1);
    }

    #[test]
    fn bad_values_name_the_argument() {
        for (text, part) in [
            ("max-pods=many", "expected a number"),
            ("max-pods+=3", "NAME=VALUE"),
            ("image-gc-high-threshold=101", "percentage"),
            ("eviction-pressure-transition-period=5", "duration"),
            ("container-log-max-size=big", "quantities"),
        ] {
            let error = parse(&[text]).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains(text), "{error}");
        }
    }
}
