//! `ListOptions`, `DeleteOptions` and the write options, read from the query (and the body of a
//! delete), with upstream's validation.

use k3s_meta::{
    ErrorList, FieldSelector, GroupKind, LabelSelector, Path, Status, field, object, tree,
};
use k3s_registry::{
    DeleteOptions, ListRequest, Preconditions, Propagation, Result, Selectors, VersionMatch,
    WatchRequest,
};
use serde_json::Value;

use super::{Query, RequestInfo};

/// How unknown and repeated fields are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FieldValidation {
    Ignore,
    Warn,
    Strict,
}

/// Options of create, update and patch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriteOptions {
    pub(crate) dry_run: bool,
    pub(crate) validation: FieldValidation,
}

/// Longest `fieldManager`.
const FIELD_MANAGER_MAX: usize = 128;

impl WriteOptions {
    pub(crate) fn read(query: &Query, kind: &'static str) -> Result<Self> {
        let mut errors = ErrorList::new();
        let dry_run = dry_run(query.all("dryRun"), &mut errors);
        let validation = match query.get("fieldValidation").unwrap_or("Warn") {
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            "Warn" => FieldValidation::Warn,
            other => {
                let path = Path::new("fieldValidation");
                errors.push(field::not_supported(
                    &path,
                    other,
                    &["Ignore", "Strict", "Warn"],
                ));
                FieldValidation::Strict
            }
        };
        if query
            .get("fieldManager")
            .is_some_and(|name| name.len() > FIELD_MANAGER_MAX)
        {
            errors.push(field::too_long(
                &Path::new("fieldManager"),
                FIELD_MANAGER_MAX,
            ));
        }
        check(errors, kind)?;
        Ok(Self {
            dry_run,
            validation,
        })
    }
}

fn dry_run<'a>(values: impl Iterator<Item = &'a str>, errors: &mut ErrorList) -> bool {
    let mut on = false;
    for value in values.filter(|value| !value.is_empty()) {
        if value != "All" {
            errors.push(field::not_supported(&Path::new("dryRun"), value, &["All"]));
        }
        on = true;
    }
    on
}

fn check(errors: ErrorList, kind: &'static str) -> Result<()> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(&GroupKind::new("meta.k8s.io", kind), "", &errors).into())
}

pub(crate) fn selectors(info: &RequestInfo, query: &Query) -> Result<Selectors> {
    let labels = query
        .get("labelSelector")
        .map_or_else(|| Ok(LabelSelector::everything()), LabelSelector::parse);
    let labels = labels.map_err(Status::bad_request)?;
    let mut fields = query
        .get("fieldSelector")
        .map_or_else(|| Ok(FieldSelector::everything()), FieldSelector::parse)
        .map_err(Status::bad_request)?;
    if !info.name.is_empty() {
        // The name, from the path of a watch or from the selector itself, is what was authorised: nothing
        // else may be selected.
        if fields.is_empty() {
            fields = FieldSelector::equals("metadata.name", &info.name);
        } else if fields.exact_match("metadata.name") != Some(info.name.as_str()) {
            let why = "fieldSelector metadata.name doesn't match requested name";
            return Err(Status::bad_request(why).into());
        }
    }
    Ok(Selectors { labels, fields })
}

fn version(query: &Query) -> Result<Option<u64>> {
    match query.get("resourceVersion") {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            let path = Path::new("resourceVersion");
            let error = field::invalid(
                &path,
                text,
                format!("strconv.ParseUint: parsing {text:?}: invalid syntax"),
            );
            Status::invalid(
                &GroupKind::new("meta.k8s.io", "ListOptions"),
                "",
                &error.into(),
            )
            .into()
        }),
    }
}

/// The options of a list.
///
/// # Errors
/// 400 and 422 in upstream's words.
pub(crate) fn list(info: &RequestInfo, query: &Query) -> Result<ListRequest> {
    let mut errors = ErrorList::new();
    let version_match = version_match(query, &mut errors);
    check_version_match(query, version_match, &mut errors);
    if query.optional_flag("sendInitialEvents").is_some() {
        errors.push(field::forbidden(
            &Path::new("sendInitialEvents"),
            "sendInitialEvents is forbidden for list",
        ));
    }
    check(errors, "ListOptions")?;
    let version = version(query)?;
    if query.get("continue").is_some() && version.is_some_and(|version| version > 0) {
        return Err(Status::bad_request(
            "specifying resource version is not allowed when using continue",
        )
        .into());
    }
    Ok(ListRequest {
        namespace: info.namespace.clone(),
        selectors: selectors(info, query)?,
        limit: number(query, "limit")?.unwrap_or(0),
        continue_token: query.get("continue").unwrap_or_default().to_owned(),
        version,
        version_match,
    })
}

fn version_match(query: &Query, errors: &mut ErrorList) -> Option<VersionMatch> {
    match query.get("resourceVersionMatch")? {
        "Exact" => Some(VersionMatch::Exact),
        "NotOlderThan" => Some(VersionMatch::NotOlderThan),
        other => {
            let path = Path::new("resourceVersionMatch");
            let supported = ["Exact", "NotOlderThan", ""];
            errors.push(field::not_supported(&path, other, &supported));
            None
        }
    }
}

/// The match must fit the version and the token that are given with it.
fn check_version_match(query: &Query, version_match: Option<VersionMatch>, errors: &mut ErrorList) {
    if query.get("resourceVersionMatch").is_none() {
        return;
    }
    let path = Path::new("resourceVersionMatch");
    let mut forbid = |text: &str| errors.push(field::forbidden(&path, text));
    if query.get("resourceVersion").is_none() {
        forbid("resourceVersionMatch is forbidden unless resourceVersion is provided");
    }
    if query.get("continue").is_some() {
        forbid("resourceVersionMatch is forbidden when continue is provided");
    }
    if version_match == Some(VersionMatch::Exact) && query.get("resourceVersion") == Some("0") {
        forbid("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
    }
}

pub(crate) fn watch(info: &RequestInfo, query: &Query) -> Result<WatchRequest> {
    let mut errors = ErrorList::new();
    let path = Path::new("resourceVersionMatch");
    let send_initial = query.optional_flag("sendInitialEvents");
    match (send_initial, query.get("resourceVersionMatch")) {
        (Some(_), Some("NotOlderThan")) | (None, None) => {}
        (Some(_), None) => errors.push(field::forbidden(
            &path,
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        )),
        (None, Some(_)) => errors.push(field::forbidden(
            &path,
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        )),
        (Some(_), Some(other)) => {
            errors.push(field::not_supported(&path, other, &["NotOlderThan"]))
        }
    }
    check(errors, "ListOptions")?;
    Ok(WatchRequest {
        namespace: info.namespace.clone(),
        selectors: selectors(info, query)?,
        version: version(query)?,
        send_initial,
        bookmarks: query.flag("allowWatchBookmarks"),
    })
}

/// A non-negative number; negative ones mean nothing, as upstream treats a limit.
pub(crate) fn number(query: &Query, name: &str) -> Result<Option<usize>> {
    match query.get(name).map(str::parse::<i64>) {
        None => Ok(None),
        Some(Ok(value)) => Ok(usize::try_from(value).ok()),
        Some(Err(_)) => {
            let text = query.get(name).unwrap_or_default();
            Err(Status::bad_request(format!(
                "strconv.ParseInt: parsing {text:?}: invalid syntax"
            ))
            .into())
        }
    }
}

/// Options of a delete: the body's where it has one, otherwise the query's.
pub(crate) fn delete(query: &Query, body: Option<&Value>) -> Result<(DeleteOptions, bool)> {
    let mut errors = ErrorList::new();
    let (options, dry) = match body {
        Some(body) => from_body(body, &mut errors)?,
        None => from_query(query, &mut errors)?,
    };
    check(errors, "DeleteOptions")?;
    Ok((options, dry))
}

fn from_body(body: &Value, errors: &mut ErrorList) -> Result<(DeleteOptions, bool)> {
    let kind = object::kind(body);
    if !matches!(kind, "" | "DeleteOptions") {
        return Err(Status::bad_request(format!(
            "decoded object cannot be converted to DeleteOptions: {kind}"
        ))
        .into());
    }
    let text = |path| {
        Some(tree::text(body, path))
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let dry = tree::list(body, "dryRun").iter().filter_map(Value::as_str);
    let dry = dry_run(dry, errors);
    let options = DeleteOptions {
        grace_period_seconds: tree::int(body, "gracePeriodSeconds"),
        propagation: propagation(
            text("propagationPolicy").as_deref(),
            tree::get(body, "orphanDependents").and_then(Value::as_bool),
            errors,
        ),
        preconditions: Preconditions {
            uid: text("preconditions.uid"),
            resource_version: text("preconditions.resourceVersion"),
        },
        ignore_store_read_error: tree::flag(body, IGNORE_STORE_READ_ERROR),
    };
    check_unsafe(&options, dry, errors);
    Ok((options, dry))
}

fn from_query(query: &Query, errors: &mut ErrorList) -> Result<(DeleteOptions, bool)> {
    let grace = match query.get("gracePeriodSeconds").map(str::parse::<i64>) {
        Some(Err(error)) => {
            return Err(Status::bad_request(format!("gracePeriodSeconds: {error}")).into());
        }
        Some(Ok(seconds)) => Some(seconds),
        None => None,
    };
    let dry = dry_run(query.all("dryRun"), errors);
    let propagation = propagation(
        query.get("propagationPolicy"),
        query.optional_flag("orphanDependents"),
        errors,
    );
    let options = DeleteOptions {
        grace_period_seconds: grace,
        propagation,
        preconditions: Preconditions::default(),
        ignore_store_read_error: query.flag(IGNORE_STORE_READ_ERROR),
    };
    check_unsafe(&options, dry, errors);
    Ok((options, dry))
}

const IGNORE_STORE_READ_ERROR: &str = "ignoreStoreReadErrorWithClusterBreakingPotential";

/// What cannot be decoded is removed as it is: nothing else that options ask for can be honoured.
fn check_unsafe(options: &DeleteOptions, dry_run: bool, errors: &mut ErrorList) {
    if !options.ignore_store_read_error {
        return;
    }
    let preconditions = &options.preconditions;
    let given = [
        ("dryRun", dry_run),
        ("propagationPolicy", options.propagation.is_some()),
        ("gracePeriodSeconds", options.grace_period_seconds.is_some()),
        (
            "preconditions",
            preconditions.uid.is_some() || preconditions.resource_version.is_some(),
        ),
    ];
    for (other, _) in given.into_iter().filter(|(_, given)| *given) {
        let path = Path::new(IGNORE_STORE_READ_ERROR);
        let why = format!("cannot be set together with .{other}");
        errors.push(field::invalid(&path, true, why));
    }
}

fn propagation(
    policy: Option<&str>,
    orphan: Option<bool>,
    errors: &mut ErrorList,
) -> Option<Propagation> {
    let path = Path::new("propagationPolicy");
    if policy.is_some() && orphan.is_some() {
        let message = "orphanDependents and deletionPropagation cannot be both set";
        errors.push(field::invalid(&path, policy.unwrap_or_default(), message));
    }
    match (policy, orphan) {
        (None, Some(true)) => Some(Propagation::Orphan),
        (None, Some(false)) => Some(Propagation::Background),
        (None, None) => None,
        (Some(policy), _) => {
            let known = Propagation::parse(policy);
            if known.is_none() {
                let supported = ["Foreground", "Background", "Orphan", "nil"];
                errors.push(field::not_supported(&path, policy, &supported));
            }
            known
        }
    }
}
