//! `--eviction-hard`, `--eviction-minimum-reclaim` and `--eviction-pressure-transition-period`.

use std::collections::BTreeMap;
use std::time::Duration;

use k3s_meta::quantity::Quantity;

/// What eviction watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Signal {
    /// `memory.available`
    Memory,
    /// `nodefs.available`
    NodeFs,
    /// `nodefs.inodesFree`
    NodeFsInodes,
    /// `imagefs.available`
    ImageFs,
    /// `imagefs.inodesFree`
    ImageFsInodes,
    /// `pid.available`
    Pid,
}

impl Signal {
    const ALL: [Self; 6] = [
        Self::Memory,
        Self::NodeFs,
        Self::NodeFsInodes,
        Self::ImageFs,
        Self::ImageFsInodes,
        Self::Pid,
    ];

    /// The name in settings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory.available",
            Self::NodeFs => "nodefs.available",
            Self::NodeFsInodes => "nodefs.inodesFree",
            Self::ImageFs => "imagefs.available",
            Self::ImageFsInodes => "imagefs.inodesFree",
            Self::Pid => "pid.available",
        }
    }

    /// The name in messages.
    pub(crate) fn resource(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::NodeFs | Self::ImageFs => "ephemeral-storage",
            Self::NodeFsInodes | Self::ImageFsInodes => "inodes",
            Self::Pid => "pids",
        }
    }

    pub(crate) fn is_disk(self) -> bool {
        !matches!(self, Self::Memory | Self::Pid)
    }

    fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.name() == name)
    }
}

/// An amount, absolute or as a share of the capacity.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Amount {
    Absolute(u64, String),
    Percent(f64, String),
}

impl Amount {
    fn parse(text: &str) -> Option<Self> {
        if let Some(number) = text.strip_suffix('%') {
            let percent: f64 = number.parse().ok()?;
            return (0.0..=100.0)
                .contains(&percent)
                .then(|| Self::Percent(percent, text.to_owned()));
        }
        let quantity = Quantity::parse(text).ok()?;
        Some(Self::Absolute(
            u64::try_from(quantity.value()).ok()?,
            text.to_owned(),
        ))
    }

    /// In the units of the signal.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a capacity is an estimate"
    )]
    pub(crate) fn of(&self, capacity: u64) -> u64 {
        match self {
            Self::Absolute(amount, _) => *amount,
            Self::Percent(percent, _) => (capacity as f64 * percent / 100.0) as u64,
        }
    }
}

/// The thresholds below which the node is short of a resource.
#[derive(Clone, Debug, PartialEq)]
pub struct EvictionSettings {
    pub(crate) hard: Vec<(Signal, Amount)>,
    pub(crate) minimum_reclaim: Vec<(Signal, Amount)>,
    pub(crate) transition: Duration,
}

/// A value that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?}: expected SIGNAL{1}QUANTITY or SIGNAL{1}PERCENT%, with a signal of {2}")]
pub struct EvictionSettingsError(String, char, String);

impl Default for EvictionSettings {
    /// Upstream's thresholds, and K3s' shares of the file systems.
    fn default() -> Self {
        let hard = "memory.available<100Mi,nodefs.available<5%,nodefs.inodesFree<5%,imagefs.available<5%,imagefs.inodesFree<5%,pid.available<5%";
        let reclaim = "nodefs.available=10%,imagefs.available=10%";
        Self {
            hard: parse(hard, '<').unwrap_or_default(),
            minimum_reclaim: parse(reclaim, '=').unwrap_or_default(),
            transition: Duration::from_secs(300),
        }
    }
}

impl EvictionSettings {
    /// `--eviction-hard`: replaces all defaults; empty switches eviction off.
    ///
    /// # Errors
    /// On unknown signals and amounts that do not parse.
    pub fn set_hard(&mut self, text: &str) -> Result<(), EvictionSettingsError> {
        self.hard = parse(text, '<')?;
        Ok(())
    }

    /// `--eviction-minimum-reclaim`: a shortage ends only with so much more than the threshold.
    ///
    /// # Errors
    /// As [`EvictionSettings::set_hard`].
    pub fn set_minimum_reclaim(&mut self, text: &str) -> Result<(), EvictionSettingsError> {
        self.minimum_reclaim = parse(text, '=')?;
        Ok(())
    }

    /// The hard thresholds as `KubeletConfiguration` writes them.
    pub(crate) fn hard_map(&self) -> BTreeMap<&'static str, String> {
        self.hard
            .iter()
            .map(|(signal, amount)| (signal.name(), amount.to_string()))
            .collect()
    }

    /// The minimum reclaim as `KubeletConfiguration` writes it.
    pub(crate) fn minimum_reclaim_map(&self) -> BTreeMap<&'static str, String> {
        self.minimum_reclaim
            .iter()
            .map(|(signal, amount)| (signal.name(), amount.to_string()))
            .collect()
    }

    /// `--eviction-pressure-transition-period`: how long a condition stays after its shortage.
    pub fn set_transition(&mut self, period: Duration) {
        self.transition = period;
    }
}

fn parse(text: &str, operator: char) -> Result<Vec<(Signal, Amount)>, EvictionSettingsError> {
    let mut parsed = Vec::new();
    for entry in text.split(',').map(str::trim) {
        if entry.is_empty() {
            continue;
        }
        match parse_entry(entry, operator) {
            Some(pair) => parsed.push(pair),
            None => {
                let signals: Vec<_> = Signal::ALL.into_iter().map(Signal::name).collect();
                let known = signals.join(", ");
                return Err(EvictionSettingsError(entry.to_owned(), operator, known));
            }
        }
    }
    Ok(parsed)
}

fn parse_entry(entry: &str, operator: char) -> Option<(Signal, Amount)> {
    let (signal, amount) = entry.split_once(operator)?;
    let signal = Signal::parse(signal.trim())?;
    let amount = Amount::parse(amount.trim())?;
    Some((signal, amount))
}

impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Absolute(_, text) | Self::Percent(_, text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_quantities_or_shares() {
        let mut settings = EvictionSettings::default();
        settings
            .set_hard("memory.available<1Gi, nodefs.inodesFree<2.5%")
            .unwrap();
        let amounts: Vec<_> = settings
            .hard
            .iter()
            .map(|(signal, amount)| (*signal, amount.of(1000)))
            .collect();
        assert_eq!(
            amounts,
            [(Signal::Memory, 1 << 30), (Signal::NodeFsInodes, 25)]
        );
        settings.set_hard("").unwrap();
        assert!(settings.hard.is_empty());
        for bad in [
            "memory.available",
            "memory.available=1",
            "memory<1",
            "nodefs.available<101%",
            "nodefs.available<x",
        ] {
            assert!(settings.set_hard(bad).is_err(), "{bad}");
        }
        assert_eq!(EvictionSettings::default().hard.len(), 6);
    }
}
