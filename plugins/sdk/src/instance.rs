//! What the kinds' macros have in common: the one instance of a plugin, and the exports of
//! `k3s:common/plugin`.

/// Expands a kind's contract. What makes exports of it is for the author's crate, so it is public where
/// components are built; elsewhere (unit tests) several kinds stand beside each other, which public ones
/// could not, as they are named after the interface that all kinds have in common.
#[cfg(any(
    test,
    feature = "cni",
    feature = "datastore",
    feature = "ingress",
    feature = "load-balancer",
    feature = "storage"
))]
macro_rules! contract {
    ({ $($options:tt)* }) => {
        #[cfg(target_arch = "wasm32")]
        wit_bindgen::generate!({
            with: {
                "k3s:host/log@0.1.0": crate::host::k3s::host::log,
                "k3s:host/clock@0.1.0": crate::host::k3s::host::clock,
                "k3s:host/random@0.1.0": crate::host::k3s::host::random,
            },
            generate_all,
            pub_export_macro: true,
            export_macro_name: "export_raw",
            $($options)*
        });
        #[cfg(not(target_arch = "wasm32"))]
        wit_bindgen::generate!({
            with: {
                "k3s:host/log@0.1.0": crate::host::k3s::host::log,
                "k3s:host/clock@0.1.0": crate::host::k3s::host::clock,
                "k3s:host/random@0.1.0": crate::host::k3s::host::random,
            },
            generate_all,
            $($options)*
        });
    };
}

/// Keeps `$state`, made by `$make` from the plugin once it is configured. The kind's macro has the
/// generated module of `k3s:common/plugin` in scope as `common`, and the kind's trait.
#[doc(hidden)]
#[macro_export]
macro_rules! __instance {
    ($plugin:ty, $state:ty, $make:expr) => {
        ::std::thread_local! {
            // A component has one thread; this is its memory between calls.
            static INSTANCE: ::std::cell::RefCell<Option<$state>> = const { ::std::cell::RefCell::new(None) };
        }

        /// The contract: `configure` comes before anything else. Where it did not, the call traps.
        fn with<T>(work: impl FnOnce(&mut $state) -> T) -> T {
            INSTANCE.with_borrow_mut(|slot| work(slot.as_mut().expect("called before it was configured")))
        }

        struct Exported;

        impl common::Guest for Exported {
            fn describe() -> common::Description {
                let (name, version) = (<$plugin>::NAME.to_owned(), <$plugin>::VERSION.to_owned());
                common::Description { name, version }
            }

            fn configure(config: Vec<u8>) -> Result<(), common::ConfigError> {
                $crate::log_panics();
                let plugin = $crate::config(&config).and_then(<$plugin>::new);
                let make = $make;
                INSTANCE.set(Some(make(plugin.map_err(common::ConfigError::Invalid)?)));
                Ok(())
            }
        }
    };
}
