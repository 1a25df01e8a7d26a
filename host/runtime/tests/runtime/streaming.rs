//! Exec, attach and port-forward over WebSocket.

use futures_util::{SinkExt, StreamExt};
use k3s_cri::v1::{AttachRequest, ExecRequest, PortForwardRequest};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::harness::{Node, SLEEP, eventually, shell};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn open(url: &str, protocol: &str) -> Result<Socket, tokio_tungstenite::tungstenite::Error> {
    let mut request = url
        .replacen("http://", "ws://", 1)
        .into_client_request()
        .unwrap();
    request
        .headers_mut()
        .insert("sec-websocket-protocol", protocol.parse().unwrap());
    tokio_tungstenite::connect_async(request)
        .await
        .map(|(socket, _)| socket)
}

/// Output by channel until the end, or until `until` is true of it.
async fn collect(socket: &mut Socket, until: impl Fn(&[Vec<u8>; 5]) -> bool) -> [Vec<u8>; 5] {
    let mut out: [Vec<u8>; 5] = Default::default();
    while !until(&out) {
        let next = tokio::time::timeout(std::time::Duration::from_secs(20), socket.next())
            .await
            .expect("a message");
        match next {
            Some(Ok(Message::Binary(data))) => {
                out[usize::from(data[0])].extend_from_slice(&data[1..])
            }
            Some(Ok(Message::Close(_))) | None | Some(Err(_)) => break,
            Some(Ok(_)) => {}
        }
    }
    out
}

async fn send(socket: &mut Socket, channel: u8, data: &[u8]) {
    socket
        .send(Message::binary([&[channel], data].concat()))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_gets_input_and_gives_output_and_status() {
    let node = Node::start().await;
    let sandbox = node.sandbox("ws").await;
    let id = node.run(&sandbox, shell("c", SLEEP)).await;
    let request = ExecRequest {
        container_id: id.clone(),
        cmd: ["sh", "-c", "cat; echo done >&2; exit 5"]
            .map(str::to_owned)
            .to_vec(),
        stdin: true,
        stdout: true,
        stderr: true,
        tty: false,
    };
    let url = node
        .runtime
        .clone()
        .exec(request)
        .await
        .unwrap()
        .into_inner()
        .url;
    assert!(
        open(&url, "v3.channel.k8s.io").await.is_err(),
        "an unknown protocol is refused"
    );
    let mut socket = open(&url, "v5.channel.k8s.io").await.unwrap();
    send(&mut socket, 0, b"typed\n").await;
    send(&mut socket, 255, &[0]).await;
    let [_, stdout, stderr, status, _] = collect(&mut socket, |_| false).await;
    assert_eq!(
        (stdout.as_slice(), stderr.as_slice()),
        (&b"typed\n"[..], &b"done\n"[..])
    );
    let status: serde_json::Value = serde_json::from_slice(&status).unwrap();
    assert_eq!(
        (
            &status["status"],
            &status["reason"],
            &status["details"]["causes"][0]["message"]
        ),
        (&"Failure".into(), &"NonZeroExitCode".into(), &"5".into())
    );
    assert!(
        open(&url, "v5.channel.k8s.io").await.is_err(),
        "a URL is good once"
    );
    node.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_has_a_size_and_hangs_up() {
    let node = Node::start().await;
    let sandbox = node.sandbox("tty").await;
    let id = node.run(&sandbox, shell("c", SLEEP)).await;
    let request = ExecRequest {
        container_id: id.clone(),
        cmd: vec!["sh".into()],
        stdin: true,
        stdout: true,
        stderr: false,
        tty: true,
    };
    let url = node
        .runtime
        .clone()
        .exec(request)
        .await
        .unwrap()
        .into_inner()
        .url;
    let mut socket = open(&url, "v4.channel.k8s.io").await.unwrap();
    send(&mut socket, 4, br#"{"Width":99,"Height":33}"#).await;
    send(&mut socket, 0, b"stty size; echo mark$((1+1))\n").await;
    let text = |out: &[Vec<u8>; 5]| String::from_utf8_lossy(&out[1]).into_owned();
    let out = collect(&mut socket, |out| text(out).contains("mark2")).await;
    assert!(text(&out).contains("33 99"), "{}", text(&out));
    send(&mut socket, 0, b"exit\n").await;
    let out = collect(&mut socket, |_| false).await;
    assert!(String::from_utf8_lossy(&out[3]).contains("Success"));
    // A client that goes away takes its shell with it.
    let request = ExecRequest {
        container_id: id.clone(),
        cmd: ["sh", "-c", "sleep 12345"].map(str::to_owned).to_vec(),
        stdin: true,
        stdout: true,
        stderr: false,
        tty: true,
    };
    let url = node
        .runtime
        .clone()
        .exec(request)
        .await
        .unwrap()
        .into_inner()
        .url;
    let socket = open(&url, "v4.channel.k8s.io").await.unwrap();
    eventually("the command runs", || async {
        node.output(&id, "ps")
            .await
            .contains("sleep 12345")
            .then_some(())
    })
    .await;
    drop(socket);
    eventually("the command is gone", || async {
        (!node.output(&id, "ps").await.contains("sleep 12345")).then_some(())
    })
    .await;
    node.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attached_clients_see_output_and_type() {
    let node = Node::start().await;
    let sandbox = node.sandbox("attach").await;
    let mut config = shell(
        "c",
        "while read line; do echo got $line; [ $line = end ] && exit 0; done",
    );
    (config.stdin, config.stdin_once) = (true, true);
    let id = node.run(&sandbox, config).await;
    let request = AttachRequest {
        container_id: id.clone(),
        stdin: true,
        stdout: true,
        stderr: true,
        tty: false,
    };
    let url = node
        .runtime
        .clone()
        .attach(request)
        .await
        .unwrap()
        .into_inner()
        .url;
    let mut socket = open(&url, "v5.channel.k8s.io").await.unwrap();
    send(&mut socket, 0, b"one\n").await;
    let out = collect(&mut socket, |out| out[1].ends_with(b"got one\n")).await;
    assert_eq!(out[1], b"got one\n");
    send(&mut socket, 0, b"end\n").await;
    collect(&mut socket, |_| false).await;
    assert_eq!(node.exited(&id).await.exit_code, 0);
    let log = node.log("attach", "c").await;
    assert!(
        log.contains("stdout F got one") && log.contains("stdout F got end"),
        "{log}"
    );
    node.remove_sandbox(&sandbox).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_are_forwarded_over_channels_in_pairs() {
    let node = Node::start().await;
    let sandbox = node.sandbox("forward").await;
    let request = |port: Vec<i32>| PortForwardRequest {
        pod_sandbox_id: sandbox.clone(),
        port,
    };
    let offer = |port: Vec<i32>| {
        let mut runtime = node.runtime.clone();
        async move { runtime.port_forward(request(port)).await }
    };
    assert!(offer(vec![70_000]).await.is_err(), "no such port");
    // Nobody listens in a sandbox that runs no container.
    let url = offer(vec![81, 600]).await.unwrap().into_inner().url;
    let mut socket = open(&url, "v4.channel.k8s.io").await.unwrap();
    let [data, error, second_data, second_error, _] = collect(&mut socket, |_| false).await;
    assert_eq!(data, 81_u16.to_le_bytes());
    assert_eq!(second_data, 600_u16.to_le_bytes());
    assert_eq!(error[..2], 81_u16.to_le_bytes());
    let text = String::from_utf8_lossy(&error[2..]).into_owned();
    assert!(
        text.starts_with(&format!("error forwarding port 81 to pod {sandbox}"))
            && text.contains("connection refused"),
        "{text}"
    );
    assert_eq!(second_error[..2], 600_u16.to_le_bytes());
    node.remove_sandbox(&sandbox).await;
}
