//! The extension points of a scheduling cycle, after upstream's scheduling framework: filters say
//! whether a node will do, scores say which of those that will is best.

use std::any::Any;
use std::collections::BTreeSet;

use crate::event::Event;
use crate::model::{NodeInfo, PodInfo};

/// The greatest score of one plugin for one node.
pub const MAX_SCORE: i64 = 100;

/// What one plugin computed about a pod before nodes are checked one by one.
pub type Prepared = Option<Box<dyn Any + Send + Sync>>;

/// A node is out of question for this reason (upstream's wording, as users search for it).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reason(pub String);

impl Reason {
    /// A reason with a fixed text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Says whether a node will do.
pub trait Filter: Send + Sync {
    /// The plugin's name upstream.
    fn name(&self) -> &'static str;

    /// Why no node can fit; empty when nodes have to be checked.
    fn refusal(&self, _pod: &PodInfo) -> Option<String> {
        None
    }

    /// Looks at all nodes once per cycle.
    fn prepare(&self, _pod: &PodInfo, _nodes: &[NodeInfo]) -> Prepared {
        None
    }

    /// Why `node` will not do; nothing when it will.
    fn reasons(&self, pod: &PodInfo, node: &NodeInfo, prepared: &Prepared) -> Vec<Reason>;

    /// Whether the event may let a node pass that this filter refused `pod` (upstream's
    /// `EventsToRegister` and queueing hints). Too much costs a cycle; too little leaves the pod waiting.
    fn may_help(&self, pod: &PodInfo, event: &Event) -> bool;
}

/// The filters that kept a pod from every node, by their place in the profile. Empty when no filter
/// was asked: then any event may help.
pub type Refusers = BTreeSet<usize>;

/// Says how good a node is.
pub trait Score: Send + Sync {
    /// The plugin's name upstream.
    fn name(&self) -> &'static str;

    /// What this plugin's score counts for, against the others.
    fn weight(&self) -> i64;

    /// Looks at all nodes once per cycle.
    fn prepare(&self, _pod: &PodInfo, _nodes: &[NodeInfo]) -> Prepared {
        None
    }

    /// A raw score; [`Score::normalize`] brings it to 0..=[`MAX_SCORE`].
    fn score(&self, pod: &PodInfo, node: &NodeInfo, prepared: &Prepared) -> i64;

    /// Brings the raw scores of all fitting nodes to 0..=[`MAX_SCORE`].
    fn normalize(&self, _scores: &mut [i64]) {}
}

/// Which plugins a cycle asks, in order.
pub struct Profile {
    /// Filters; all are asked about a node, so that a pod's message names every reason.
    pub filters: Vec<Box<dyn Filter>>,
    /// Scores.
    pub scores: Vec<Box<dyn Score>>,
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let filters: Vec<_> = self.filters.iter().map(|p| p.name()).collect();
        let scores: Vec<_> = self.scores.iter().map(|p| p.name()).collect();
        f.debug_struct("Profile")
            .field("filters", &filters)
            .field("scores", &scores)
            .finish()
    }
}

impl Profile {
    /// Whether the event may help a pod that these filters refused.
    #[must_use]
    pub fn may_help(&self, refusers: &Refusers, pod: &PodInfo, event: &Event) -> bool {
        let mut filters = refusers.iter().filter_map(|at| self.filters.get(*at));
        refusers.is_empty() || filters.any(|filter| filter.may_help(pod, event))
    }
}

/// Spreads raw scores over 0..=[`MAX_SCORE`], the greatest (or, reversed, the least) being best.
pub fn spread_over_range(scores: &mut [i64], reverse: bool) {
    let (Some(low), Some(high)) = (scores.iter().copied().min(), scores.iter().copied().max())
    else {
        return;
    };
    for score in scores {
        let share = if high == low {
            0
        } else {
            MAX_SCORE * (*score - low) / (high - low)
        };
        *score = if reverse { MAX_SCORE - share } else { share };
    }
}
