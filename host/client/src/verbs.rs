//! The verbs of the API over a [`Client`]: kube's requests, answered with objects that keep their
//! bytes. `kube::Api` would decode every object into a tree or a struct at once.

use bytes::Bytes;
use http::Request;
use kube::core::request::Error as RequestError;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::object::{Obj, Object};
use crate::params::{DeleteParams, List, ListParams, Patch, PatchParams, PostParams, WatchParams};
use crate::resource::{Resource, escaped};
use crate::watch::WatchStream;

/// Page size of [`Client::list_all`], as client-go's pager.
const PAGE: u32 = 500;

type Built = std::result::Result<Request<Vec<u8>>, RequestError>;

/// Whether an answer carries whole objects or their metadata only (`PartialObjectMetadata`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Whole,
    Metadata,
}

impl Client {
    /// GET of one object.
    pub async fn get(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Object> {
        let request = resource.request(namespace);
        self.object(request.get(&escaped(name), &Default::default()))
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
        let request = resource.request(namespace);
        self.object(request.get_subresource(subresource, &escaped(name)))
            .await
    }

    /// One page; see [`Client::list_all`] for the whole.
    pub async fn list(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        params: &ListParams,
    ) -> Result<List> {
        self.page(resource, namespace, params, Form::Whole).await
    }

    /// All pages. A continue token that expired meanwhile starts over once without pages.
    pub async fn list_all(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        params: &ListParams,
    ) -> Result<List> {
        self.pages(resource, namespace, params, Form::Whole).await
    }

    /// All pages, with objects that have their metadata only.
    pub async fn list_all_metadata(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        params: &ListParams,
    ) -> Result<List> {
        self.pages(resource, namespace, params, Form::Metadata)
            .await
    }

    pub(crate) async fn pages(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        params: &ListParams,
        form: Form,
    ) -> Result<List> {
        let mut params = params.clone();
        params.limit.get_or_insert(PAGE);
        let mut whole = List::default();
        loop {
            match self.page(resource, namespace, &params, form).await {
                Ok(page) => {
                    whole.items.extend(page.items);
                    whole.resource_version = page.resource_version;
                    params.continue_token = page.continue_token;
                    params.resource_version = None;
                }
                Err(error) if error.is_gone() && params.continue_token.is_some() => {
                    params.continue_token = None;
                    params.limit = None;
                    return self.page(resource, namespace, &params, form).await;
                }
                Err(error) => return Err(error),
            }
            if params.continue_token.is_none() {
                return Ok(whole);
            }
        }
    }

    async fn page(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        params: &ListParams,
        form: Form,
    ) -> Result<List> {
        let request = resource.request(namespace);
        let request = match form {
            Form::Whole => request.list(params),
            Form::Metadata => request.list_metadata(params),
        };
        let bytes = self.call(request?).await?;
        decode_list(&bytes, resource)
    }

    /// POST to the collection.
    pub async fn create(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        object: &Value,
    ) -> Result<Object> {
        let request = resource.request(namespace);
        self.object(request.create(&PostParams::default(), encode(object)?))
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
        let request = resource.request(namespace);
        let (params, body) = (PostParams::default(), encode(object)?);
        self.object(request.create_subresource(subresource, &escaped(name), &params, body))
            .await
    }

    /// PUT of a whole object; its resourceVersion is the precondition.
    pub async fn update(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        object: &Value,
    ) -> Result<Object> {
        let name = escaped(object_name(object)?);
        let request = resource.request(namespace);
        self.object(request.replace(&name, &PostParams::default(), encode(object)?))
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
        let name = escaped(object_name(object)?);
        let request = resource.request(namespace);
        let (params, body) = (PostParams::default(), encode(object)?);
        self.object(request.replace_subresource(subresource, &name, &params, body))
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
        let request = resource.request(namespace);
        self.object(request.patch(&escaped(name), &PatchParams::default(), patch))
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
        let request = resource.request(namespace);
        let params = PatchParams::default();
        self.object(request.patch_subresource(subresource, &escaped(name), &params, patch))
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
        let request = resource.request(namespace);
        self.object(request.delete(&escaped(name), params)).await
    }

    /// DELETE of all objects that `select` picks.
    pub async fn delete_collection(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        params: &DeleteParams,
        select: &ListParams,
    ) -> Result<()> {
        let request = resource.request(namespace);
        self.call(request.delete_collection(params, select)?)
            .await?;
        Ok(())
    }

    /// Watches a collection from a version; the empty version starts with the present state. The
    /// stream ends with the server's time limit, or with an error; a 410 among them means: list
    /// again.
    pub async fn watch(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        params: &WatchParams,
        version: &str,
    ) -> Result<WatchStream> {
        self.events(resource, namespace, params, version, Form::Whole)
            .await
    }

    pub(crate) async fn events(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        params: &WatchParams,
        version: &str,
        form: Form,
    ) -> Result<WatchStream> {
        let request = resource.request(namespace);
        let request = match form {
            Form::Whole => request.watch(params, version),
            Form::Metadata => request.watch_metadata(params, version),
        };
        let body = self.open(request?).await?;
        Ok(WatchStream::new(body, resource.clone()))
    }

    async fn object(&self, request: Built) -> Result<Object> {
        let bytes = self.call(request?).await?;
        Obj::from_bytes(bytes)
    }
}

fn encode(object: &Value) -> Result<Vec<u8>> {
    serde_json::to_vec(object).map_err(Error::Encode)
}

fn object_name(object: &Value) -> Result<&str> {
    let name = object.get("metadata").and_then(|meta| meta.get("name"));
    let name = name.and_then(Value::as_str).filter(|name| !name.is_empty());
    name.ok_or(Error::Unnamed)
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

/// Items are copied out of the page: a slice would keep all five hundred objects of the page in
/// memory for as long as one of them has not changed.
fn decode_list(bytes: &[u8], resource: &Resource) -> Result<List> {
    let raw: RawList<'_> = serde_json::from_slice(bytes)
        .map_err(|e| Error::decode(format!("a list of {resource}"), e))?;
    let items = raw.items.unwrap_or_default().into_iter();
    let items = items.map(|item| {
        let bytes = Bytes::copy_from_slice(item.get().as_bytes());
        Obj::from_item(bytes, resource)
    });
    Ok(List {
        items: items.collect::<Result<_>>()?,
        resource_version: raw.metadata.resource_version,
        continue_token: Some(raw.metadata.continue_token).filter(|token| !token.is_empty()),
    })
}
