//! A gRPC call over a Unix socket arrives, whatever `:authority` the client made up.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use hyper_util::rt::TokioIo;
use k3s_cri::v1::image_service_client::ImageServiceClient;
use k3s_cri::v1::image_service_server::{ImageService, ImageServiceServer};
use k3s_cri::v1::{
    ImageFsInfoRequest, ImageFsInfoResponse, ImageStatusRequest, ImageStatusResponse,
    ListImagesRequest, ListImagesResponse, PullImageRequest, PullImageResponse, RemoveImageRequest,
    RemoveImageResponse,
};
use tonic::{Request, Response, Status};

struct Echo;

#[tonic::async_trait]
impl ImageService for Echo {
    async fn list_images(
        &self,
        _: Request<ListImagesRequest>,
    ) -> Result<Response<ListImagesResponse>, Status> {
        Ok(Response::new(ListImagesResponse::default()))
    }
    async fn image_status(
        &self,
        _: Request<ImageStatusRequest>,
    ) -> Result<Response<ImageStatusResponse>, Status> {
        Err(Status::unimplemented("not part of this test"))
    }
    async fn pull_image(
        &self,
        request: Request<PullImageRequest>,
    ) -> Result<Response<PullImageResponse>, Status> {
        let image_ref = request.into_inner().image.unwrap_or_default().image;
        Ok(Response::new(PullImageResponse { image_ref }))
    }
    async fn remove_image(
        &self,
        _: Request<RemoveImageRequest>,
    ) -> Result<Response<RemoveImageResponse>, Status> {
        Err(Status::unimplemented("not part of this test"))
    }
    async fn image_fs_info(
        &self,
        _: Request<ImageFsInfoRequest>,
    ) -> Result<Response<ImageFsInfoResponse>, Status> {
        Err(Status::unimplemented("not part of this test"))
    }
}

async fn serve(path: &std::path::Path) -> tokio::task::JoinHandle<()> {
    let listener = k3s_cri::bind(path).unwrap();
    tokio::spawn(async move {
        let incoming = k3s_cri::Incoming::new(listener);
        tonic::transport::Server::builder()
            .add_service(ImageServiceServer::new(Echo))
            .serve_with_incoming(incoming)
            .await
            .unwrap();
    })
}

#[tokio::test]
async fn our_client_calls_and_a_busy_socket_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cri.sock");
    let server = serve(&path).await;
    let (_, mut images) = k3s_cri::connect(&format!("unix://{}", path.display()))
        .await
        .unwrap();
    assert!(
        images
            .list_images(ListImagesRequest::default())
            .await
            .unwrap()
            .into_inner()
            .images
            .is_empty()
    );
    assert_eq!(
        k3s_cri::bind(&path).unwrap_err().kind(),
        std::io::ErrorKind::AddrInUse
    );
    server.abort();
}

/// `h2` as a client cannot be made to send an invalid authority, so the client half of the byte
/// stream is forged: a valid name of the same length is overwritten on its way.
#[tokio::test]
async fn an_authority_made_from_a_path_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cri.sock");
    let server = serve(&path).await;
    let connect_to = path.clone();
    let channel = tonic::transport::Endpoint::from_static("http://zqzqzqzq")
        .connect_with_connector(tower::service_fn(move |_: tonic::transport::Uri| {
            let path = connect_to.clone();
            async move {
                let upstream = tokio::net::UnixStream::connect(path).await?;
                let (near, far) = tokio::io::duplex(1 << 16);
                tokio::spawn(forge(far, upstream));
                Ok::<_, std::io::Error>(TokioIo::new(near))
            }
        }))
        .await
        .unwrap();
    let mut images = ImageServiceClient::new(channel);
    for name in ["first", "second", "third"] {
        let image = Some(k3s_cri::v1::ImageSpec {
            image: name.into(),
            ..Default::default()
        });
        let answer = images
            .pull_image(PullImageRequest {
                image,
                ..Default::default()
            })
            .await
            .unwrap();
        assert_eq!(answer.into_inner().image_ref, name);
    }
    server.abort();
}

async fn forge(near: tokio::io::DuplexStream, upstream: tokio::net::UnixStream) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (mut from_client, mut to_client) = tokio::io::split(near);
    let (mut from_server, mut to_server) = upstream.into_split();
    let answers =
        tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut buf = vec![0; 1 << 16];
    let mut forged = 0;
    while let Ok(count @ 1..) = from_client.read(&mut buf).await {
        // The field as an HPACK literal with incremental indexing, Huffman coded ('z' 1111011,
        // 'q' 1110110): found by its name index and replaced by a raw literal of the same size.
        if let Some(at) = buf[..count]
            .windows(2)
            .position(|pair| pair[0] == 0x41 && pair[1] & 0x80 != 0)
        {
            let length = usize::from(buf[at + 1] & 0x7f);
            buf[at + 1] = u8::try_from(length).unwrap();
            buf[at + 2..at + 2 + length].fill(b'/');
            forged += 1;
        }
        if to_server.write_all(&buf[..count]).await.is_err() {
            break;
        }
    }
    assert!(forged > 0, "the client sent no literal authority to forge");
    answers.abort();
}
