//! Content negotiation: the form of answer that the client accepts.

use std::cmp::Ordering;

use http::HeaderMap;
use http::header::ACCEPT;
use k3s_meta::Status;
use k3s_registry::Result;

/// The encoding of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `application/json`
    Json,
    /// `application/yaml`
    Yaml,
}

/// What the answer shows of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Whole objects.
    Whole,
    /// `meta.k8s.io/v1` Table.
    Table,
    /// `meta.k8s.io/v1` PartialObjectMetadata, or a list of them.
    Partial,
    /// `apidiscovery.k8s.io/v2` APIGroupDiscoveryList.
    Discovery,
}

/// What was agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accept {
    pub(crate) form: Form,
    pub(crate) shape: Shape,
}

const PLAIN: Accept = Accept {
    form: Form::Json,
    shape: Shape::Whole,
};

impl Accept {
    /// Takes that of the client's media types that it likes best, of those that this server has.
    ///
    /// # Errors
    /// 406 when it has none of them.
    pub(crate) fn negotiate(headers: &HeaderMap) -> Result<Self> {
        Self::first(headers, |_| true)
    }

    /// The same for an answer that is no stored object and has no columns.
    ///
    /// # Errors
    /// 406 when the client accepts nothing but a table.
    pub(crate) fn without_table(headers: &HeaderMap) -> Result<Self> {
        Self::first(headers, |accept| accept.shape != Shape::Table)
    }

    fn first(headers: &HeaderMap, fits: impl Fn(&Self) -> bool) -> Result<Self> {
        let values = headers.get_all(ACCEPT).iter();
        let values = values.filter_map(|value| value.to_str().ok());
        let mut clauses: Vec<Clause<'_>> = values
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|clause| !clause.is_empty())
            .map(Clause::read)
            .collect();
        if clauses.is_empty() {
            return Ok(PLAIN);
        }
        if !clauses.iter().any(Clause::is_routed) {
            return Err(Status::no_producer(AVAILABLE).into());
        }
        clauses.sort_by(Clause::by_preference);
        let mut accepted = clauses.iter().filter_map(Clause::accept);
        let refused = || Status::not_acceptable(REFUSAL).into();
        accepted.find(fits).ok_or_else(refused)
    }
}

const AVAILABLE: &str = "application/json, application/yaml";
const REFUSAL: &str =
    "only the following media types are accepted: application/json, application/yaml";

/// A media type that a client takes, with parameters.
struct Clause<'h> {
    media: &'h str,
    parameters: Vec<(&'h str, &'h str)>,
    quality: f32,
}

impl<'h> Clause<'h> {
    fn read(text: &'h str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default();
        let mut clause = Self {
            media,
            parameters: Vec::new(),
            quality: 1.0,
        };
        for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
            match name {
                "q" => clause.quality = value.parse().unwrap_or(0.0),
                name => clause.parameters.push((name, value)),
            }
        }
        clause
    }

    /// Whether upstream's router lets the type through, which reads it as it stands; which form of it is meant is
    /// decided after that.
    fn is_routed(&self) -> bool {
        const ROUTED: [&str; 4] = [
            "application/json",
            "application/yaml",
            "application/vnd.kubernetes.protobuf",
            "*/*",
        ];
        ROUTED.contains(&self.media)
    }

    /// The higher quality first, then types before wildcards.
    fn by_preference(&self, other: &Self) -> Ordering {
        let wildcards = |clause: &Self| {
            let (kind, form) = clause.media.split_once('/').unwrap_or(("", ""));
            (kind == "*", form == "*")
        };
        let quality = other.quality.total_cmp(&self.quality);
        quality.then_with(|| wildcards(self).cmp(&wildcards(other)))
    }

    /// What the clause means, if this server has it.
    fn accept(&self) -> Option<Accept> {
        let form = match self.media {
            "application/json" | "*/*" | "application/*" => Form::Json,
            "application/yaml" => Form::Yaml,
            _ => return None,
        };
        let value = |wanted: &str| {
            let mut parameters = self.parameters.iter();
            let found = parameters.rfind(|(name, _)| *name == wanted);
            found.map_or("", |(_, value)| *value)
        };
        let shape = match (value("as"), value("g"), value("v")) {
            ("", _, _) => Shape::Whole,
            ("Table", "meta.k8s.io", "v1") => Shape::Table,
            ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io", "v1") => {
                Shape::Partial
            }
            ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2") => Shape::Discovery,
            _ => return None,
        };
        Some(Accept { form, shape })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiate(text: &str) -> Option<Accept> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, text.parse().unwrap());
        Accept::negotiate(&headers).ok()
    }

    #[test]
    fn an_answer_without_columns_takes_the_next_form() {
        let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
        let without = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, text.parse().unwrap());
            Accept::without_table(&headers).ok()
        };
        assert_eq!(without(table), None);
        assert_eq!(without(&format!("{table}, application/json")), Some(PLAIN));
    }

    #[test]
    fn the_first_known_form_wins() {
        let kubectl = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(
            negotiate(kubectl),
            Some(Accept {
                form: Form::Json,
                shape: Shape::Table
            })
        );
        assert_eq!(
            negotiate("application/vnd.kubernetes.protobuf,application/json"),
            Some(PLAIN)
        );
        assert_eq!(negotiate("application/vnd.kubernetes.protobuf"), None);
        assert_eq!(
            negotiate("application/json;as=Table;g=meta.k8s.io;v=v1beta1, */*"),
            Some(PLAIN)
        );
        assert_eq!(negotiate("application/json;stream=watch"), Some(PLAIN));
        let yaml = negotiate("application/json;q=0.1, application/yaml;q=0.9");
        assert_eq!(yaml.map(|accept| accept.form), Some(Form::Yaml));
        let listed = negotiate("*/*, application/yaml").map(|accept| accept.form);
        assert_eq!(
            listed,
            Some(Form::Yaml),
            "a type is preferred to a wildcard"
        );
        assert_eq!(negotiate("application/*, */*"), Some(PLAIN));
        for browser in ["text/html", "text/*", "text/plain", "application/*"] {
            assert_eq!(negotiate(browser), None, "{browser}");
        }
        assert_eq!(
            negotiate("application/yaml").map(|a| a.form),
            Some(Form::Yaml)
        );
    }
}
