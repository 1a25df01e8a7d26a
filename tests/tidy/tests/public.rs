//! What is public is used: the workspace is the only user of its crates.

use anyhow::Result;
use k3s_tidy::public::unused;

/// Public items that production code does not name, each with its reason.
const KEPT: &[(&str, &str)] = &[
    ("manual", "a clock that tests move"),
    ("seeded", "random numbers that a test can repeat"),
    ("eventually", "tests wait with it on the fake API server"),
    ("settles", "tests wait with it on the fake API server"),
    (
        "run_in_new",
        "tests run in a network namespace of their own",
    ),
    (
        "ensure_forwarding",
        "tests make a node of a network namespace",
    ),
    ("with_comment", "tests compare with what nft prints"),
    ("unpack_layer", "a fuzz target gives it archives"),
    ("count_images", "a fuzz target gives it archives"),
    (
        "two_way_strategic",
        "the inverse of a strategic merge, which tests are checked with",
    ),
];

#[test]
fn every_public_item_is_used() -> Result<()> {
    let mut items = unused()?;
    items.retain(|item| !KEPT.iter().any(|(name, _)| *name == item.name));
    assert!(
        items.is_empty(),
        "make it private, move it to the tests that use it, or remove it: {items:#?}"
    );
    Ok(())
}

#[test]
fn exceptions_are_needed() -> Result<()> {
    let items = unused()?;
    let is_stale = |(name, _): &&(&str, &str)| !items.iter().any(|item| item.name == *name);
    let stale: Vec<_> = KEPT.iter().filter(is_stale).collect();
    assert!(stale.is_empty(), "no longer needed: {stale:#?}");
    Ok(())
}
