//! The verbs of the API over a [`Client`].

use http::Method;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::object::{Obj, Object};
use crate::params::{DeleteParams, List, ListParams, Patch, WatchParams};
use crate::resource::Resource;
use crate::watch::WatchStream;

const JSON: &str = "application/json";
/// Falls back to whole objects where the server does not know the projection.
const METADATA: &str =
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
const METADATA_LIST: &str =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
/// Page size of [`Client::list_all`], as client-go's pager.
const PAGE: u32 = 500;

impl Client {
    /// GET of one object.
    pub async fn get(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Object> {
        self.object(
            Method::GET,
            resource.path(namespace, Some(name), None),
            None,
        )
        .await
    }

    /// GET of a subresource, for instance `scale`.
    pub async fn get_subresource(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        subresource: &str,
    ) -> Result<Object> {
        self.object(
            Method::GET,
            resource.path(namespace, Some(name), Some(subresource)),
            None,
        )
        .await
    }

    /// One page; see [`Client::list_all`] for the whole.
    pub async fn list(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        params: &ListParams,
    ) -> Result<List> {
        let path = params.query().after(resource.path(namespace, None, None));
        let accept = if params.metadata_only {
            METADATA_LIST
        } else {
            JSON
        };
        let bytes = self.call(Method::GET, path, accept, None).await?;
        decode_list(&bytes, resource)
    }

    /// All pages. A continue token that expired meanwhile starts over once without pages.
    pub async fn list_all(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        params: &ListParams,
    ) -> Result<List> {
        let mut params = ListParams {
            limit: Some(params.limit.unwrap_or(PAGE)),
            ..params.clone()
        };
        let mut whole = List::default();
        loop {
            match self.list(resource, namespace, &params).await {
                Ok(page) => {
                    whole.items.extend(page.items);
                    whole.resource_version = page.resource_version;
                    params.continue_token = page.continue_token;
                    params.resource_version = None;
                }
                Err(error) if error.is_gone() && params.continue_token.is_some() => {
                    let unpaged = ListParams {
                        limit: None,
                        continue_token: None,
                        ..params
                    };
                    return self.list(resource, namespace, &unpaged).await;
                }
                Err(error) => return Err(error),
            }
            if params.continue_token.is_none() {
                return Ok(whole);
            }
        }
    }

    /// POST to the collection.
    pub async fn create(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        object: &Value,
    ) -> Result<Object> {
        self.object(
            Method::POST,
            resource.path(namespace, None, None),
            Some((JSON, object)),
        )
        .await
    }

    /// POST to a subresource of an object: `binding`, `eviction`, `token`.
    pub async fn create_subresource(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        subresource: &str,
        object: &Value,
    ) -> Result<Object> {
        self.object(
            Method::POST,
            resource.path(namespace, Some(name), Some(subresource)),
            Some((JSON, object)),
        )
        .await
    }

    /// PUT of a whole object; its resourceVersion is the precondition.
    pub async fn update(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        object: &Value,
    ) -> Result<Object> {
        let name = object_name(object)?;
        self.object(
            Method::PUT,
            resource.path(namespace, Some(name), None),
            Some((JSON, object)),
        )
        .await
    }

    /// PUT of the `status` subresource.
    pub async fn update_status(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        object: &Value,
    ) -> Result<Object> {
        self.update_subresource(resource, namespace, "status", object)
            .await
    }

    /// PUT of any subresource that takes the whole object (`status`, `scale`, `finalize`).
    pub async fn update_subresource(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        subresource: &str,
        object: &Value,
    ) -> Result<Object> {
        let name = object_name(object)?;
        self.object(
            Method::PUT,
            resource.path(namespace, Some(name), Some(subresource)),
            Some((JSON, object)),
        )
        .await
    }

    /// PATCH of an object.
    pub async fn patch(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        patch: &Patch,
    ) -> Result<Object> {
        self.object(
            Method::PATCH,
            resource.path(namespace, Some(name), None),
            Some(patch.parts()),
        )
        .await
    }

    /// PATCH of the `status` subresource.
    pub async fn patch_status(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        patch: &Patch,
    ) -> Result<Object> {
        self.patch_subresource(resource, namespace, name, "status", patch)
            .await
    }

    /// PATCH of any subresource.
    pub async fn patch_subresource(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        subresource: &str,
        patch: &Patch,
    ) -> Result<Object> {
        self.object(
            Method::PATCH,
            resource.path(namespace, Some(name), Some(subresource)),
            Some(patch.parts()),
        )
        .await
    }

    /// DELETE of an object. The answer is the object where it stays for a while (grace,
    /// finalizers), or a `Status`.
    pub async fn delete(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        params: &DeleteParams,
    ) -> Result<Object> {
        let body = params.to_value();
        self.object(
            Method::DELETE,
            resource.path(namespace, Some(name), None),
            Some((JSON, &body)),
        )
        .await
    }

    /// DELETE of all objects that `select` picks.
    pub async fn delete_collection(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        params: &DeleteParams,
        select: &ListParams,
    ) -> Result<()> {
        let path = select.query().after(resource.path(namespace, None, None));
        self.call(Method::DELETE, path, JSON, Some((JSON, &params.to_value())))
            .await
            .map(drop)
    }

    /// Watches a collection. The stream ends with the server's time limit, or with an error; a 410
    /// among them means: list again.
    pub async fn watch(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        params: &WatchParams,
    ) -> Result<WatchStream> {
        let path = params.query().after(resource.path(namespace, None, None));
        let accept = if params.metadata_only { METADATA } else { JSON };
        let response = self.open(path, accept).await?;
        Ok(WatchStream::new(response.into_body(), resource.clone()))
    }

    async fn object(
        &self,
        method: Method,
        path: String,
        body: Option<(&str, &Value)>,
    ) -> Result<Object> {
        let bytes = self.call(method, path, JSON, body).await?;
        Obj::from_bytes(bytes)
    }
}

fn object_name(object: &Value) -> Result<&str> {
    object
        .get("metadata")
        .and_then(|meta| meta.get("name"))
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty())
        .ok_or_else(|| Error::Request("the object to write has no metadata.name".into()))
}

#[derive(Deserialize)]
struct RawList<'a> {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ListMeta {
    resource_version: String,
    #[serde(rename = "continue")]
    continue_token: String,
}

fn decode_list(bytes: &[u8], resource: &Resource) -> Result<List> {
    let raw: RawList<'_> = serde_json::from_slice(bytes)
        .map_err(|e| Error::decode(format!("a list of {resource}"), e))?;
    let items = raw.items.unwrap_or_default();
    Ok(List {
        items: items
            .into_iter()
            .map(|item| Obj::from_item(item.get().as_bytes(), resource))
            .collect::<Result<_>>()?,
        resource_version: raw.metadata.resource_version,
        continue_token: Some(raw.metadata.continue_token).filter(|token| !token.is_empty()),
    })
}
