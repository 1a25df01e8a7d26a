//! `ListOptions`, `DeleteOptions` and the write options, read from the query (and the body of a
//! delete), with upstream's validation.

use k3s_meta::quote::is_printable;
use k3s_meta::{
    ErrorList, FieldError, FieldSelector, GroupKind, LabelSelector, Path, Status, field, strconv,
    tree,
};
use k3s_registry::{
    ContinueToken, DeleteOptions, ListRequest, Preconditions, Propagation, Resource, Result,
    Selectors, VersionMatch, WatchRequest,
};
use serde_json::{Value, json};

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
    /// Reads the options of `CreateOptions`, `UpdateOptions` or `PatchOptions`.
    ///
    /// # Errors
    /// 422 in upstream's words.
    pub(crate) fn read(query: &Query, kind: &'static str) -> Result<Self> {
        let mut errors = ErrorList::new();
        if kind == PATCH_OPTIONS && query.optional_flag("force").is_some() {
            let why = "may not be specified for non-apply patch";
            errors.push(field::forbidden(&Path::new("force"), why));
        }
        check_field_manager(query.get("fieldManager").unwrap_or_default(), &mut errors);
        let dry_run = dry_run(query.all("dryRun"), &mut errors);
        let validation = match query.get("fieldValidation").unwrap_or("Warn") {
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            "Warn" => FieldValidation::Warn,
            other => {
                let supported = ["", "Ignore", "Strict", "Warn"];
                let path = Path::new("fieldValidation");
                errors.push(field::not_supported(&path, other, &supported));
                FieldValidation::Strict
            }
        };
        check(errors, kind)?;
        Ok(Self {
            dry_run,
            validation,
        })
    }
}

/// The kind of options that a patch has.
pub(crate) const PATCH_OPTIONS: &str = "PatchOptions";

fn check_field_manager(name: &str, errors: &mut ErrorList) {
    let path = Path::new("fieldManager");
    if name.len() > FIELD_MANAGER_MAX {
        errors.push(field::too_long(&path, FIELD_MANAGER_MAX));
    }
    for (at, c) in name.char_indices().filter(|(_, c)| !is_printable(*c)) {
        let why = format!(
            "invalid character U+{:04X} (at position {at})",
            u32::from(c)
        );
        errors.push(field::invalid(&path, name, why));
    }
}

fn dry_run<'a>(values: impl Iterator<Item = &'a str>, errors: &mut ErrorList) -> bool {
    let values: Vec<&str> = values.collect();
    if values.iter().any(|value| *value != "All") {
        let path = Path::new("dryRun");
        errors.push(field::not_supported(&path, &json!(values), &["All"]));
    }
    !values.is_empty()
}

fn check(errors: ErrorList, kind: &'static str) -> Result<()> {
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(&GroupKind::new("meta.k8s.io", kind), "", &errors).into())
}

/// What lists and watches have in common: `ListOptions` as the query gives them, before they are held against
/// each other.
struct ListParameters {
    /// Negative ones mean nothing.
    timeout_seconds: Option<i64>,
    /// Negative ones mean nothing.
    limit: i64,
    selectors: Selectors,
}

impl ListParameters {
    /// Reads in upstream's order, which decides what of several mistakes is named: numbers, then selectors.
    fn read(query: &Query) -> Result<Self> {
        let timeout_seconds = number(query, "timeoutSeconds")?;
        let limit = number(query, "limit")?.unwrap_or(0);
        let labels = query
            .get("labelSelector")
            .map_or_else(|| Ok(LabelSelector::everything()), LabelSelector::parse);
        let labels = labels.map_err(Status::bad_request)?;
        let fields = query
            .get("fieldSelector")
            .map_or_else(|| Ok(FieldSelector::everything()), FieldSelector::parse);
        let fields = fields.map_err(Status::bad_request)?;
        Ok(Self {
            timeout_seconds,
            limit,
            selectors: Selectors { labels, fields },
        })
    }

    /// The selectors, which may choose by fields that the resource offers, and by no other name than that of the
    /// request: the name, from the path of a watch or from the selector itself, is what was authorised.
    fn select(self, info: &RequestInfo, resource: &Resource) -> Result<Selectors> {
        let mut selectors = self.selectors;
        selectors.check_fields(resource)?;
        if info.name.is_empty() {
            return Ok(selectors);
        }
        if selectors.fields.is_empty() {
            selectors.fields = FieldSelector::equals("metadata.name", &info.name);
        } else if selectors.fields.exact_match("metadata.name") != Some(info.name.as_str()) {
            let why = "fieldSelector metadata.name doesn't match requested name";
            return Err(Status::bad_request(why).into());
        }
        Ok(selectors)
    }
}

/// The resource version, or the field error of one that is no number.
fn version(query: &Query) -> std::result::Result<Option<u64>, FieldError> {
    let Some(text) = query.get("resourceVersion") else {
        return Ok(None);
    };
    let path = Path::new("resourceVersion");
    let parsed = strconv::parse_uint(text).map(Some);
    parsed.map_err(|why| field::invalid(&path, text, why))
}

/// The options of a list.
///
/// # Errors
/// 400 and 422 in upstream's words.
pub(crate) fn list(info: &RequestInfo, query: &Query, resource: &Resource) -> Result<ListRequest> {
    ListOptions::read(info, query, resource)?.at(query)
}

/// What a list is asked for, but not yet for which version: upstream reads that where it lists, after the options
/// of a deletion.
pub(crate) struct ListOptions(ListRequest);

impl ListOptions {
    /// # Errors
    /// 400 and 422 in upstream's words.
    pub(crate) fn read(info: &RequestInfo, query: &Query, resource: &Resource) -> Result<Self> {
        let parameters = ListParameters::read(query)?;
        let mut errors = ErrorList::new();
        let version_match = version_match(query, &mut errors);
        if query.optional_flag("sendInitialEvents").is_some() {
            errors.push(field::forbidden(
                &Path::new("sendInitialEvents"),
                "sendInitialEvents is forbidden for list",
            ));
        }
        check(errors, LIST_OPTIONS)?;
        let limit = usize::try_from(parameters.limit).unwrap_or(0);
        Ok(Self(ListRequest {
            namespace: info.namespace.clone(),
            selectors: parameters.select(info, resource)?,
            limit,
            continue_token: None,
            version: None,
            version_match,
        }))
    }

    /// The list at the version, or from the token, of the query.
    ///
    /// # Errors
    /// 400 in upstream's words.
    pub(crate) fn at(mut self, query: &Query) -> Result<ListRequest> {
        if let Some(token) = query.get("continue") {
            self.0.continue_token = Some(ContinueToken::parse(token)?);
            let version = query.get("resourceVersion");
            if version.is_some_and(|version| version != "0") {
                let why = "specifying resource version is not allowed when using continue";
                return Err(Status::bad_request(why).into());
            }
        } else {
            self.0.version = version(query).map_err(|error| {
                Status::bad_request(format!("invalid resource version: {error}"))
            })?;
        }
        Ok(self.0)
    }
}

const LIST_OPTIONS: &str = "ListOptions";

/// How the version is meant, which must fit the version and the token that are given with it.
fn version_match(query: &Query, errors: &mut ErrorList) -> Option<VersionMatch> {
    let text = query.get("resourceVersionMatch")?;
    let path = Path::new("resourceVersionMatch");
    if query.get("resourceVersion").is_none() {
        let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
        errors.push(field::forbidden(&path, why));
    }
    if query.get("continue").is_some() {
        let why = "resourceVersionMatch is forbidden when continue is provided";
        errors.push(field::forbidden(&path, why));
    }
    match text {
        "Exact" => {
            if query.get("resourceVersion") == Some("0") {
                let why = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                errors.push(field::forbidden(&path, why));
            }
            Some(VersionMatch::Exact)
        }
        "NotOlderThan" => Some(VersionMatch::NotOlderThan),
        other => {
            let supported = ["Exact", "NotOlderThan", ""];
            errors.push(field::not_supported(&path, other, &supported));
            None
        }
    }
}

/// The options of a watch, and the seconds that the client asks for.
///
/// # Errors
/// 400 and 422 in upstream's words.
pub(crate) fn watch(
    info: &RequestInfo,
    query: &Query,
    resource: &Resource,
) -> Result<(WatchRequest, Option<u64>)> {
    let parameters = ListParameters::read(query)?;
    let send_initial = query.optional_flag("sendInitialEvents");
    check(watch_errors(query, send_initial), LIST_OPTIONS)?;
    let seconds = parameters.timeout_seconds;
    let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
    let selectors = parameters.select(info, resource)?;
    let version = version(query).map_err(|error| {
        // Upstream puts the resource where a kind belongs.
        let gk = GroupKind::new(resource.kind.group, resource.kind.plural);
        Status::invalid(&gk, "", &error.into())
    })?;
    let request = WatchRequest {
        namespace: info.namespace.clone(),
        selectors,
        version,
        send_initial,
        bookmarks: query.flag("allowWatchBookmarks"),
    };
    Ok((request, seconds.filter(|seconds| *seconds > 0)))
}

fn watch_errors(query: &Query, send_initial: Option<bool>) -> ErrorList {
    let mut errors = ErrorList::new();
    let path = Path::new("resourceVersionMatch");
    let text = query.get("resourceVersionMatch");
    if send_initial.is_some() && text != Some("NotOlderThan") {
        let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        errors.push(field::forbidden(&path, why));
    }
    let Some(text) = text else {
        return errors;
    };
    if send_initial.is_none() {
        let why =
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
        errors.push(field::forbidden(&path, why));
    }
    if text != "NotOlderThan" {
        errors.push(field::not_supported(&path, text, &["NotOlderThan"]));
    }
    if query.get("continue").is_some() {
        let why = "resourceVersionMatch is forbidden when continue is provided";
        errors.push(field::forbidden(&path, why));
    }
    errors
}

/// A number as Go reads it, also where the parameter is there and empty.
fn number(query: &Query, name: &str) -> Result<Option<i64>> {
    let text = query.all(name).next();
    let number = text.map(strconv::parse_int).transpose();
    number.map_err(|why| Status::bad_request(why).into())
}

/// Options of a delete: the body's where it has one, otherwise the query's.
pub(crate) fn delete(query: &Query, body: Option<&Value>) -> Result<(DeleteOptions, bool)> {
    let given = match body {
        Some(body) => GivenDelete::in_body(body),
        None => GivenDelete::in_query(query)?,
    };
    given.check()
}

/// `DeleteOptions` as a client gives them.
struct GivenDelete {
    grace_period_seconds: Option<i64>,
    policy: Option<String>,
    orphan: Option<bool>,
    preconditions: Option<Preconditions>,
    dry_run: Vec<String>,
    ignore_store_read_error: bool,
}

const IGNORE_STORE_READ_ERROR: &str = "ignoreStoreReadErrorWithClusterBreakingPotential";

impl GivenDelete {
    fn in_body(body: &Value) -> Self {
        let text = |path| {
            tree::get(body, path)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let dry_run = tree::list(body, "dryRun").iter();
        Self {
            grace_period_seconds: tree::int(body, "gracePeriodSeconds"),
            policy: text("propagationPolicy"),
            orphan: tree::get(body, "orphanDependents").and_then(Value::as_bool),
            preconditions: tree::get(body, "preconditions").map(|_| Preconditions {
                uid: text("preconditions.uid"),
                resource_version: text("preconditions.resourceVersion"),
            }),
            dry_run: dry_run
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            ignore_store_read_error: tree::flag(body, IGNORE_STORE_READ_ERROR),
        }
    }

    fn in_query(query: &Query) -> Result<Self> {
        let text = |name| query.get(name).map(str::to_owned);
        let preconditions = Preconditions {
            uid: text("uid"),
            resource_version: text("resourceVersion"),
        };
        let has_any = preconditions.uid.is_some() || preconditions.resource_version.is_some();
        Ok(Self {
            grace_period_seconds: number(query, "gracePeriodSeconds")?,
            policy: query.all("propagationPolicy").next().map(str::to_owned),
            orphan: query.optional_flag("orphanDependents"),
            preconditions: has_any.then_some(preconditions),
            dry_run: query.all("dryRun").map(str::to_owned).collect(),
            ignore_store_read_error: query.flag(IGNORE_STORE_READ_ERROR),
        })
    }

    fn check(self) -> Result<(DeleteOptions, bool)> {
        let mut errors = ErrorList::new();
        let propagation = propagation(self.policy.as_deref(), self.orphan, &mut errors);
        let dry = dry_run(self.dry_run.iter().map(String::as_str), &mut errors);
        if self.ignore_store_read_error {
            self.check_unsafe(dry, &mut errors);
        }
        check(errors, "DeleteOptions")?;
        let options = DeleteOptions {
            grace_period_seconds: self.grace_period_seconds,
            propagation,
            accept_pending: self.orphan == Some(false),
            preconditions: self.preconditions.unwrap_or_default(),
            ignore_store_read_error: self.ignore_store_read_error,
        };
        Ok((options, dry))
    }

    /// What cannot be decoded is removed as it is: nothing else that options ask for can be honoured.
    fn check_unsafe(&self, dry_run: bool, errors: &mut ErrorList) {
        let given = [
            ("dryRun", dry_run),
            ("propagationPolicy", self.policy.is_some()),
            ("orphanDependents", self.orphan.is_some()),
            ("gracePeriodSeconds", self.grace_period_seconds.is_some()),
            ("preconditions", self.preconditions.is_some()),
        ];
        for (other, _) in given.into_iter().filter(|(_, given)| *given) {
            let path = Path::new(IGNORE_STORE_READ_ERROR);
            let why = format!("cannot be set together with .{other}");
            errors.push(field::invalid(&path, true, why));
        }
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
