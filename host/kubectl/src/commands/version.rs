//! `kubectl version`.

use serde_json::{Value, json};

use crate::cli::{Globals, Version};
use crate::error::Failure;
use crate::print::{self, Format};
use crate::session::Session;

pub(crate) async fn run(globals: &Globals, args: &Version, client: &str) -> Result<(), Failure> {
    let server = if args.client {
        None
    } else {
        Some(
            Session::open(globals)?
                .client
                .get_path::<Value>("/version")
                .await?,
        )
    };
    match args.output.as_deref() {
        None => {
            println!("Client Version: {client}");
            if let Some(server) = server {
                println!(
                    "Server Version: {}",
                    server
                        .get("gitVersion")
                        .and_then(Value::as_str)
                        .unwrap_or_default()
                );
            }
        }
        Some(format @ ("json" | "yaml")) => {
            let mut all = json!({"clientVersion": {"gitVersion": client}});
            if let (Some(map), Some(server)) = (all.as_object_mut(), server) {
                map.insert("serverVersion".into(), server);
            }
            print!("{}", print::object(&all, Format::parse(Some(format))?)?);
        }
        Some(other) => {
            return Err(Failure::local(format!(
                "--output must be 'yaml' or 'json', not {other:?}"
            )));
        }
    }
    Ok(())
}
