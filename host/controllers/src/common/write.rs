//! Writes that happen only when something differs.

use k3s_client::{Client, Obj, Object, Resource};
use k3s_meta::tree;
use serde_json::{Map, Value};

/// Replaces an object's status unless it is the same already. Empty and zero fields are left out
/// of `status` first, as upstream's encoder does, so that both sides compare alike.
pub(crate) async fn status(
    client: &Client,
    resource: &Resource,
    object: &Obj,
    mut status: Value,
) -> k3s_client::Result<Option<Object>> {
    prune(&mut status);
    let current = tree::map(object.value(), "status");
    if tree::same(&Value::Object(current.clone()), &status) {
        return Ok(None);
    }
    let mut whole = object.value().clone();
    tree::set(&mut whole, "status", status);
    let written = client.update_status(resource, object.ns(), &whole).await?;
    Ok(Some(written))
}

/// Sets the counts of a status. Zero is written by leaving the field out, as upstream's encoder does.
pub(crate) fn set_counts(status: &mut Map<String, Value>, counts: &[(&str, i64)]) {
    for (field, number) in counts {
        if *number != 0 {
            status.insert((*field).to_owned(), (*number).into());
        }
    }
}

/// Removes nulls and empty lists at the first level.
fn prune(status: &mut Value) {
    let Some(map) = status.as_object_mut() else {
        return;
    };
    map.retain(|_, value| match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        _ => true,
    });
}
