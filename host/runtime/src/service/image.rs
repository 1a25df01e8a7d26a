//! `runtime.v1.ImageService`.

use std::path::Path;

use k3s_cri::v1;
use k3s_cri::v1::image_service_server::ImageService;
use tonic::{Request, Response, Status};

use super::{Service, blocking};
use crate::error::{Context, Error};
use crate::image::model::Image;
use crate::image::reference::Reference;
use crate::image::registries::Credentials;

fn to_cri(image: &Image) -> v1::Image {
    // The kubelet checks whether the image runs as root: a number, or else a name.
    let user = image.config.user.split(':').next().unwrap_or_default();
    let uid = user.parse().ok().map(|value| v1::Int64Value { value });
    v1::Image {
        id: image.id.clone(),
        repo_tags: image.tags.iter().cloned().collect(),
        repo_digests: image.digests.iter().cloned().collect(),
        size: image.size_bytes,
        username: if uid.is_none() {
            user.to_owned()
        } else {
            String::new()
        },
        uid,
        spec: None,
        pinned: image.pinned,
    }
}

fn credentials(
    auth: Option<v1::AuthConfig>,
    reference: &Reference,
) -> Result<Option<Credentials>, Status> {
    let Some(auth) = auth else { return Ok(None) };
    let server = auth
        .server_address
        .trim_start_matches("https://")
        .trim_start_matches("http://")
        .split('/')
        .next()
        .unwrap_or_default();
    let known_names = [
        reference.domain.as_str(),
        "index.docker.io",
        "registry-1.docker.io",
    ];
    let other_server = !server.is_empty() && !known_names.contains(&server);
    if other_server {
        return Ok(None);
    }
    Credentials::from_fields(
        &auth.username,
        &auth.password,
        &auth.auth,
        &auth.identity_token,
        &auth.registry_token,
    )
    .map_err(|error| Status::invalid_argument(error.to_string()))
}

/// The use of one file system below `path`.
fn usage(path: &Path, timestamp: i64) -> Result<v1::FilesystemUsage, Error> {
    let usage = k3s_sys::fs::disk_usage(path).context(|| format!("measure {}", path.display()))?;
    Ok(v1::FilesystemUsage {
        timestamp,
        fs_id: Some(v1::FilesystemIdentifier {
            mountpoint: path.to_string_lossy().into_owned(),
        }),
        used_bytes: Some(v1::UInt64Value { value: usage.bytes }),
        inodes_used: Some(v1::UInt64Value {
            value: usage.inodes,
        }),
    })
}

#[tonic::async_trait]
impl ImageService for Service {
    async fn list_images(
        &self,
        request: Request<v1::ListImagesRequest>,
    ) -> Result<Response<v1::ListImagesResponse>, Status> {
        let name = request
            .into_inner()
            .filter
            .and_then(|filter| filter.image)
            .map(|image| image.image)
            .filter(|name| !name.is_empty());
        let images = match name {
            Some(name) => self.manager.images.resolve(&name).into_iter().collect(),
            None => self.manager.images.list(),
        };
        Ok(Response::new(v1::ListImagesResponse {
            images: images.iter().map(|image| to_cri(image)).collect(),
        }))
    }

    async fn image_status(
        &self,
        request: Request<v1::ImageStatusRequest>,
    ) -> Result<Response<v1::ImageStatusResponse>, Status> {
        let request = request.into_inner();
        let found = self
            .manager
            .images
            .resolve(&request.image.unwrap_or_default().image);
        let mut info = std::collections::HashMap::new();
        if let (Some(image), true) = (&found, request.verbose) {
            let text = serde_json::json!({"chain": image.chain, "config": image.config});
            info.insert("info".to_owned(), text.to_string());
        }
        Ok(Response::new(v1::ImageStatusResponse {
            image: found.map(|image| to_cri(&image)),
            info,
        }))
    }

    async fn pull_image(
        &self,
        request: Request<v1::PullImageRequest>,
    ) -> Result<Response<v1::PullImageResponse>, Status> {
        let request = request.into_inner();
        let name = request.image.unwrap_or_default().image;
        let reference =
            Reference::parse(&name).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let secret = credentials(request.auth, &reference)?;
        let image = self
            .puller
            .pull(&reference, secret)
            .await
            .map_err(Error::from)?;
        Ok(Response::new(v1::PullImageResponse {
            image_ref: image.id.clone(),
        }))
    }

    async fn remove_image(
        &self,
        request: Request<v1::RemoveImageRequest>,
    ) -> Result<Response<v1::RemoveImageResponse>, Status> {
        let name = request.into_inner().image.unwrap_or_default().image;
        if let Some(image) = self.manager.images.resolve(&name) {
            let manager = self.manager.clone();
            blocking(move || {
                manager
                    .images
                    .remove(&image.id)
                    .context(|| format!("remove image {}", image.id))?;
                manager.collect_layers()
            })
            .await?;
        }
        Ok(Response::new(v1::RemoveImageResponse {}))
    }

    async fn image_fs_info(
        &self,
        _: Request<v1::ImageFsInfoRequest>,
    ) -> Result<Response<v1::ImageFsInfoResponse>, Status> {
        let manager = self.manager.clone();
        let answer = blocking(move || {
            let timestamp = manager.now_ns();
            Ok(v1::ImageFsInfoResponse {
                image_filesystems: vec![usage(manager.images.snapshots.dir(), timestamp)?],
                container_filesystems: vec![usage(&manager.records("containers"), timestamp)?],
            })
        });
        Ok(Response::new(answer.await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_for_another_server_is_not_shown() {
        let reference = Reference::parse("ghcr.io/a/b").unwrap();
        let auth = |server: &str| {
            Some(v1::AuthConfig {
                username: "u".into(),
                password: "p".into(),
                server_address: server.into(),
                ..Default::default()
            })
        };
        assert!(credentials(auth(""), &reference).unwrap().is_some());
        assert!(
            credentials(auth("https://ghcr.io/v1/"), &reference)
                .unwrap()
                .is_some()
        );
        assert!(credentials(auth("quay.io"), &reference).unwrap().is_none());
    }

    #[test]
    fn the_user_is_a_number_or_a_name() {
        let of = |user: &str| {
            to_cri(&Image {
                config: crate::image::model::RunConfig {
                    user: user.into(),
                    ..Default::default()
                },
                ..Default::default()
            })
        };
        assert_eq!(of("101:102").uid.unwrap().value, 101);
        assert_eq!((of("web").uid, of("web").username.as_str()), (None, "web"));
    }
}
