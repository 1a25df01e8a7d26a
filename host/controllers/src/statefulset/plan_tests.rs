//! Sets in one line: `0 1!old 2x` are Pods by ordinal with their state, the answer is the steps.

use k3s_client::Obj;
use serde_json::json;

use super::*;

/// `N` available, `N!` not ready, `Nx` being deleted, `N#` ended; `old` after it for an old revision.
fn members(text: &str) -> Vec<Member> {
    text.split_whitespace().map(member).collect()
}

fn member(text: &str) -> Member {
    let (text, revision) = text
        .strip_suffix("old")
        .map_or((text, "new"), |rest| (rest, "old"));
    let digits = text.trim_end_matches(['!', 'x', '#']);
    let mut meta = json!({"name": format!("web-{digits}")});
    if text.contains('x') {
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    }
    let up = !text.contains(['!', '#']);
    Member {
        object: Obj::from_value(json!({"metadata": meta})).unwrap(),
        ordinal: digits.parse().unwrap(),
        revision: revision.into(),
        ended: text.contains('#'),
        ready: up,
        available: up,
        available_in: None,
    }
}

fn rolling(partition: i64, max_unavailable: i64) -> Strategy {
    Strategy::Rolling {
        partition,
        max_unavailable,
    }
}

fn steps(
    range: Range<i64>,
    ordered: bool,
    strategy: Strategy,
    pods: &str,
    blocked: &[i64],
) -> String {
    let members = members(pods);
    let blocked = blocked.iter().copied().collect();
    let observed = Observed {
        range,
        ordered,
        strategy,
        update: "new",
        members: &members,
        blocked: &blocked,
    };
    let shown = plan(&observed).into_iter().filter_map(|step| match step {
        Step::Create(ordinal, Version::Update) => Some(format!("+{ordinal}")),
        Step::Create(ordinal, Version::Current) => Some(format!("+{ordinal}old")),
        Step::Recreate(member) => Some(format!("~{}", member.ordinal)),
        Step::Delete(member) => Some(format!("-{}", member.ordinal)),
        Step::Keep(_) => None,
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[test]
fn ordered_sets_take_one_step_at_a_time() {
    let one = rolling(0, 1);
    for (range, pods, expected) in [
        (0..3, "", "+0"),
        (0..3, "0!", ""),
        (0..3, "0", "+1"),
        (0..3, "0 2", "+1"),
        (0..3, "0 1x 2", ""),
        (0..3, "0 1# 2", "~1"),
        (0..3, "0 1 2", ""),
        (5..7, "", "+5"),
        (5..7, "5 6 0 1", "-1"),
        (0..1, "0 1 2", "-2"),
        (0..1, "0 1 2x", ""),
        (0..1, "0 1! 2", "-2"),
        (0..1, "0! 1 2", ""),
        (0..1, "0 1! 2!", ""),
        (0..0, "0 1 2", "-2"),
    ] {
        assert_eq!(
            steps(range.clone(), true, one, pods, &[]),
            expected,
            "{range:?} {pods}"
        );
    }
}

#[test]
fn parallel_sets_take_all_steps_at_once() {
    let one = rolling(0, 1);
    for (range, pods, expected) in [
        (0..3, "", "+0 +1 +2"),
        (0..3, "0! 1x", "+2"),
        (0..1, "0! 1 2 3x", "-2 -1"),
        (0..3, "0old 1 2!old", "-2"),
    ] {
        assert_eq!(
            steps(range.clone(), false, one, pods, &[]),
            expected,
            "{range:?} {pods}"
        );
    }
}

#[test]
fn updates_go_from_the_top_down_to_the_partition() {
    for (strategy, pods, expected) in [
        (rolling(0, 1), "0old 1old 2old", "-2"),
        (rolling(0, 1), "0old 1old 2", "-1"),
        (rolling(2, 1), "0old 1old 2", ""),
        (rolling(5, 1), "0old 1old 2old", ""),
        (rolling(2, 1), "0old 1old", "+2"),
        (rolling(2, 1), "0old 2", "+1old"),
        (Strategy::OnDelete, "0old 1old 2old", ""),
        (Strategy::OnDelete, "0old 1old", "+2"),
        (rolling(0, 2), "0old 1old 2old", "-2 -1"),
        (rolling(0, 2), "0old 1old 2", "-1 -0"),
    ] {
        assert_eq!(
            steps(0..3, true, strategy, pods, &[]),
            expected,
            "{strategy:?} {pods}"
        );
    }
    assert_eq!(
        steps(0..3, false, rolling(0, 2), "0old 1!old 2old", &[]),
        "-2 -1"
    );
    assert_eq!(
        steps(0..3, false, rolling(0, 1), "0old 1old 2!", &[]),
        "",
        "waits for the one under way"
    );
}

#[test]
fn a_place_waits_for_its_old_claims_to_go() {
    assert_eq!(steps(0..2, true, rolling(0, 1), "", &[0]), "");
    assert_eq!(steps(0..2, false, rolling(0, 1), "", &[0]), "+1");
}
