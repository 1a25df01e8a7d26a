//! An empty WASI 0.2, for components whose language imports it: time and randomness are real, what is
//! printed goes to the log, and everything else is not there. There are no files, sockets, arguments or
//! environment variables to reach by it; what cannot be answered with "nothing" traps with its name.
//!
//! Defined by name and type at load, from what the component imports, so that no version of the
//! interfaces is fixed here.

use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};
use wasmtime::component::{Component, Linker, LinkerInstance, Resource, ResourceType, Val};
use wasmtime::{Error, StoreContextMut};

use crate::log_rate::Verdict;
use crate::state::PluginState;

/// Bytes a stream takes at a time.
const WRITE_BYTES: u64 = 4096;
const OUT: u32 = 1;
const OTHER: u32 = 0;

/// What every WASI resource here stands for.
struct Empty;

/// Offers every `wasi:` import of the component.
pub(crate) fn add_empty<T: Send + 'static>(
    linker: &mut Linker<PluginState<T>>,
    component: &Component,
) -> wasmtime::Result<()> {
    let (engine, ty) = (component.engine(), component.component_type());
    for (name, import) in ty.imports(engine) {
        let ComponentItem::ComponentInstance(interface) = import.ty else {
            continue;
        };
        if !name.starts_with("wasi:") {
            continue;
        }
        let mut instance = linker.instance(name)?;
        for (item, export) in interface.exports(engine) {
            match export.ty {
                ComponentItem::Resource(_) => {
                    instance.resource(item, ResourceType::host::<Empty>(), |_, _| Ok(()))?;
                }
                ComponentItem::ComponentFunc(function) => {
                    add_function(&mut instance, name, item, &function)?
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn add_function<T: Send + 'static>(
    instance: &mut LinkerInstance<'_, PluginState<T>>,
    interface: &str,
    item: &str,
    function: &ComponentFunc,
) -> wasmtime::Result<()> {
    // `wasi:io/streams@0.2.3` → `io/streams`
    let short = interface
        .trim_start_matches("wasi:")
        .split('@')
        .next()
        .unwrap_or_default();
    let (full, returns) = (format!("{short}#{item}"), function.results().next());
    instance.func_new(item, move |mut store, _, arguments, results| {
        let Some(result) = results.first_mut() else {
            return if full.ends_with("exit") {
                Err(Error::msg("it called exit"))
            } else {
                Ok(())
            };
        };
        *result = answer(&mut store, &full, arguments, returns.as_ref())?;
        Ok(())
    })
}

/// What a function with a result gives.
fn answer<T: Send + 'static>(
    store: &mut StoreContextMut<'_, PluginState<T>>,
    function: &str,
    arguments: &[Val],
    returns: Option<&Type>,
) -> wasmtime::Result<Val> {
    let wall = |store: &StoreContextMut<'_, PluginState<T>>| store.data().clock.now();
    let number = |at: usize| match arguments.get(at) {
        Some(Val::U64(n)) => *n,
        _ => 0,
    };
    Ok(match function {
        "clocks/monotonic-clock#now" => {
            Val::U64(u64::try_from(store.data().clock.elapsed().as_nanos()).unwrap_or(u64::MAX))
        }
        "clocks/monotonic-clock#resolution" => Val::U64(1),
        "clocks/wall-clock#now" => {
            let now = wall(store);
            let seconds = u64::try_from(now.as_second()).unwrap_or_default();
            datetime(
                seconds,
                u32::try_from(now.subsec_nanosecond()).unwrap_or_default(),
            )
        }
        "clocks/wall-clock#resolution" => datetime(0, 1),
        "random/random#get-random-bytes" | "random/insecure#get-insecure-random-bytes" => {
            random_bytes(store, number(0))
        }
        "random/random#get-random-u64" | "random/insecure#get-insecure-random-u64" => {
            random_u64(store)
        }
        "random/insecure-seed#insecure-seed" => {
            Val::Tuple(vec![random_u64(store), random_u64(store)])
        }
        "cli/stdout#get-stdout" | "cli/stderr#get-stderr" => handle(store, OUT)?,
        "cli/stdin#get-stdin" => handle(store, OTHER)?,
        "io/streams#[method]output-stream.check-write" => {
            Val::Result(Ok(Some(Box::new(Val::U64(WRITE_BYTES)))))
        }
        "io/streams#[method]output-stream.write"
        | "io/streams#[method]output-stream.blocking-write-and-flush" => {
            print(store, arguments.get(1));
            Val::Result(Ok(None))
        }
        "io/streams#[method]output-stream.flush"
        | "io/streams#[method]output-stream.blocking-flush" => Val::Result(Ok(None)),
        "io/streams#[method]input-stream.read"
        | "io/streams#[method]input-stream.blocking-read" => {
            Val::Result(Err(Some(Box::new(Val::Variant("closed".to_owned(), None)))))
        }
        _ => nothing(returns)
            .ok_or_else(|| Error::msg(format!("{function} is not there: this WASI is empty")))?,
    })
}

/// "Nothing", for types that can say so.
fn nothing(returns: Option<&Type>) -> Option<Val> {
    match returns? {
        Type::List(_) => Some(Val::List(Vec::new())),
        Type::Option(_) => Some(Val::Option(None)),
        _ => None,
    }
}

fn datetime(seconds: u64, nanoseconds: u32) -> Val {
    Val::Record(vec![
        ("seconds".to_owned(), Val::U64(seconds)),
        ("nanoseconds".to_owned(), Val::U32(nanoseconds)),
    ])
}

fn handle<T: 'static>(
    store: &mut StoreContextMut<'_, PluginState<T>>,
    which: u32,
) -> wasmtime::Result<Val> {
    let resource = Resource::<Empty>::new_own(which);
    Ok(Val::Resource(resource.try_into_resource_any(store)?))
}

fn random_bytes<T>(store: &StoreContextMut<'_, PluginState<T>>, count: u64) -> Val {
    // More is not given at a time by the host's own interface either.
    let mut bytes = vec![0; usize::try_from(count).unwrap_or(usize::MAX).min(64 << 10)];
    store.data().random.fill(&mut bytes);
    Val::List(bytes.into_iter().map(Val::U8).collect())
}

fn random_u64<T>(store: &StoreContextMut<'_, PluginState<T>>) -> Val {
    Val::U64(u64::from_le_bytes(store.data().random.bytes()))
}

/// A line of standard output or error, into the log at its rate.
fn print<T>(store: &mut StoreContextMut<'_, PluginState<T>>, bytes: Option<&Val>) {
    let Some(Val::List(bytes)) = bytes else {
        return;
    };
    let bytes: Vec<u8> = bytes
        .iter()
        .filter_map(|b| if let Val::U8(b) = b { Some(*b) } else { None })
        .collect();
    let text = String::from_utf8_lossy(&bytes);
    let state = store.data_mut();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let now = state.clock.elapsed();
        if let Verdict::Write { .. } = state.log_rate.line(now) {
            tracing::info!(plugin = state.name.as_str(), "{line}");
        }
    }
}
