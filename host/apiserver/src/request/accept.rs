//! Content negotiation: the form of answer that the client accepts.

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
    /// Takes the first of the client's media types that this server has.
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
        let (mut any, mut is_served) = (false, false);
        for value in headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
        {
            for clause in value
                .split(',')
                .map(str::trim)
                .filter(|clause| !clause.is_empty())
            {
                any = true;
                is_served |= has_served_type(clause);
                if let Some(accept) = read(clause).filter(&fits) {
                    return Ok(accept);
                }
            }
        }
        match (any, is_served) {
            (false, _) => Ok(PLAIN),
            (true, true) => Err(Status::not_acceptable(REFUSAL).into()),
            (true, false) => Err(Status::no_producer(AVAILABLE).into()),
        }
    }
}

const AVAILABLE: &str = "application/json, application/yaml";
const REFUSAL: &str =
    "only the following media types are accepted: application/json, application/yaml";

/// Whether the router lets a type through; which form of it is meant is decided after that.
fn has_served_type(clause: &str) -> bool {
    let name = clause.split(';').next().unwrap_or_default().trim();
    let served = [
        "application/json",
        "application/yaml",
        "application/vnd.kubernetes.protobuf",
        "application/*",
        "*/*",
    ];
    served.iter().any(|known| name.eq_ignore_ascii_case(known))
}

fn read(clause: &str) -> Option<Accept> {
    let mut parts = clause.split(';').map(str::trim);
    let form = match parts.next()?.to_ascii_lowercase().as_str() {
        "application/json" | "*/*" | "application/*" => Form::Json,
        "application/yaml" | "application/x-yaml" => Form::Yaml,
        _ => return None,
    };
    let (mut kind, mut group, mut version) = ("", "", "");
    for parameter in parts {
        match parameter.split_once('=') {
            Some(("as", value)) => kind = value,
            Some(("g", value)) => group = value,
            Some(("v", value)) => version = value,
            _ => {}
        }
    }
    let shape = match (kind, group, version) {
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
        for browser in ["text/html", "text/*", "text/plain"] {
            assert_eq!(negotiate(browser), None, "{browser}");
        }
        assert_eq!(
            negotiate("application/yaml").map(|a| a.form),
            Some(Form::Yaml)
        );
    }
}
