//! Pure: the next steps of a set, after `stateful_set_control.go`.

use std::collections::BTreeSet;
use std::ops::Range;

use super::model::{Member, Strategy};

/// A set and its Pods at one moment.
pub(super) struct Observed<'a> {
    /// Ordinals that should have a Pod.
    pub(super) range: Range<i64>,
    /// One step at a time.
    pub(super) ordered: bool,
    pub(super) strategy: Strategy,
    /// Name of the newest revision.
    pub(super) update: &'a str,
    /// All Pods, by ordinal.
    pub(super) members: &'a [Member],
    /// Ordinals whose old claims must be gone before there can be a Pod.
    pub(super) blocked: &'a BTreeSet<i64>,
}

/// Which template a new Pod is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// The one that is being replaced.
    Current,
    /// The newest one.
    Update,
}

/// One step.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'a> {
    Create(i64, Version),
    /// The Pod ended; it is deleted and created again.
    Recreate(&'a Member),
    /// The Pod stays; its labels and claims are put right if they are not.
    Keep(&'a Member),
    Delete(&'a Member),
}

impl<'a> Observed<'a> {
    fn member(&self, ordinal: i64) -> Option<&'a Member> {
        self.members.iter().find(|member| member.ordinal == ordinal)
    }

    /// Pods outside the range, the highest ordinal first.
    fn condemned(&self) -> impl Iterator<Item = &'a Member> {
        let range = self.range.clone();
        self.members
            .iter()
            .rev()
            .filter(move |member| !range.contains(&member.ordinal))
    }

    /// Below the partition a lost Pod comes back as it was.
    fn version(&self, ordinal: i64) -> Version {
        match self.strategy {
            Strategy::Rolling { partition, .. }
                if ordinal < self.range.start.saturating_add(partition) =>
            {
                Version::Current
            }
            _ => Version::Update,
        }
    }

    /// Scaling down may delete this one although it is not healthy; any other has to wait for it.
    fn first_unhealthy(&self) -> Option<&'a Member> {
        let living = self
            .members
            .iter()
            .filter(|m| self.range.contains(&m.ordinal));
        let condemned = self
            .members
            .iter()
            .filter(|m| !self.range.contains(&m.ordinal));
        living.chain(condemned).find(|member| !member.is_healthy())
    }
}

/// The steps to take now. In an ordered set at most one of them makes or deletes a Pod.
pub(super) fn plan<'a>(observed: &Observed<'a>) -> Vec<Step<'a>> {
    let mut steps = Vec::new();
    let stopped = living(observed, &mut steps) || scale_down(observed, &mut steps);
    if !stopped {
        update(observed, &mut steps);
    }
    steps
}

/// Fills every place; true when an ordered set has to wait here.
fn living<'a>(observed: &Observed<'a>, steps: &mut Vec<Step<'a>>) -> bool {
    for ordinal in observed.range.clone() {
        let wait = match observed.member(ordinal) {
            None => {
                if !observed.blocked.contains(&ordinal) {
                    steps.push(Step::Create(ordinal, observed.version(ordinal)));
                }
                true
            }
            Some(member) if member.ended => {
                if !member.is_terminating() {
                    steps.push(Step::Recreate(member));
                }
                true
            }
            Some(member) => {
                if !member.is_terminating() {
                    steps.push(Step::Keep(member));
                }
                member.is_terminating() || !member.available
            }
        };
        if wait && observed.ordered {
            return true;
        }
    }
    false
}

/// Deletes what is outside the range; true when an ordered set has to wait here.
fn scale_down<'a>(observed: &Observed<'a>, steps: &mut Vec<Step<'a>>) -> bool {
    let first_unhealthy = observed.first_unhealthy();
    for member in observed.condemned() {
        let blocked_by_other = !member.available
            && first_unhealthy.is_some_and(|first| first.ordinal != member.ordinal);
        let has_to_wait = observed.ordered && blocked_by_other;
        if !member.is_terminating() && !has_to_wait {
            steps.push(Step::Delete(member));
        }
        if observed.ordered {
            return true;
        }
    }
    false
}

/// Deletes Pods of old revisions, so that they come back as the newest one.
fn update<'a>(observed: &Observed<'a>, steps: &mut Vec<Step<'a>>) {
    let Strategy::Rolling {
        partition,
        max_unavailable,
    } = observed.strategy
    else {
        return;
    };
    let places = observed.range.start.saturating_add(partition)..observed.range.end;
    let unavailable = observed
        .range
        .clone()
        .filter(|o| !observed.member(*o).is_some_and(is_up))
        .count();
    let mut budget = usize::try_from(max_unavailable)
        .unwrap_or(1)
        .saturating_sub(unavailable);
    for ordinal in places.rev() {
        let Some(member) = observed.member(ordinal) else {
            if max_unavailable == 1 {
                return;
            }
            continue;
        };
        let old = member.revision != observed.update && !member.is_terminating();
        if max_unavailable == 1 {
            // Strictly from the top: an unhealthy Pod stops the update unless it is the next one.
            if old {
                steps.push(Step::Delete(member));
                return;
            }
            if !member.is_healthy() {
                return;
            }
        } else if old && (budget > 0 || !is_up(member)) {
            // One that is down already costs nothing.
            budget = budget.saturating_sub(usize::from(is_up(member)));
            steps.push(Step::Delete(member));
        }
    }
}

fn is_up(member: &Member) -> bool {
    member.available && !member.is_terminating()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
