//! `k3s:host`: what every plugin may call. Nothing here blocks.

use k3s_wit_bindings::host::k3s::host::log::Level;
use k3s_wit_bindings::host::k3s::host::{clock, log, random};
use tracing::{debug, error, info, trace, warn};
use wasmtime::component::{HasSelf, Linker};

use crate::log_rate::Verdict;
use crate::state::PluginState;

/// A longer line is cut here.
const LINE_BYTES: usize = 8 << 10;

/// More random bytes are not given at a time.
const RANDOM_BYTES: u32 = 64 << 10;

pub(crate) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<PluginState<T>>,
) -> wasmtime::Result<()> {
    log::add_to_linker::<_, HasSelf<PluginState<T>>>(linker, |state| state)?;
    clock::add_to_linker::<_, HasSelf<PluginState<T>>>(linker, |state| state)?;
    random::add_to_linker::<_, HasSelf<PluginState<T>>>(linker, |state| state)
}

impl<T: 'static> log::Host for PluginState<T> {
    fn log(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        let plugin = self.name.as_str();
        let Verdict::Write { dropped_before } = self.log_rate.line(self.clock.elapsed()) else {
            return Ok(());
        };
        if dropped_before > 0 {
            warn!(
                plugin,
                lines = dropped_before,
                "log lines were dropped, as there were too many"
            );
        }
        let message = cut(&message);
        match level {
            Level::Error => error!(plugin, "{message}"),
            Level::Warn => warn!(plugin, "{message}"),
            Level::Info => info!(plugin, "{message}"),
            Level::Debug => debug!(plugin, "{message}"),
            Level::Trace => trace!(plugin, "{message}"),
        }
        Ok(())
    }

    fn enabled(&mut self, level: Level) -> wasmtime::Result<bool> {
        Ok(match level {
            Level::Error => tracing::enabled!(tracing::Level::ERROR),
            Level::Warn => tracing::enabled!(tracing::Level::WARN),
            Level::Info => tracing::enabled!(tracing::Level::INFO),
            Level::Debug => tracing::enabled!(tracing::Level::DEBUG),
            Level::Trace => tracing::enabled!(tracing::Level::TRACE),
        })
    }
}

/// At most [`LINE_BYTES`], at a character's end.
fn cut(message: &str) -> &str {
    message
        .get(..message.floor_char_boundary(LINE_BYTES))
        .unwrap_or_default()
}

impl<T: 'static> clock::Host for PluginState<T> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(u64::try_from(self.clock.now().as_nanosecond()).unwrap_or_default())
    }

    fn monotonic(&mut self) -> wasmtime::Result<u64> {
        Ok(u64::try_from(self.clock.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

impl<T: 'static> random::Host for PluginState<T> {
    fn bytes(&mut self, count: u32) -> wasmtime::Result<Vec<u8>> {
        let mut bytes = vec![0; count.min(RANDOM_BYTES) as usize];
        self.random.fill(&mut bytes);
        Ok(bytes)
    }
}
