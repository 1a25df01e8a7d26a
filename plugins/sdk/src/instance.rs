//! What the kinds' macros share: the one instance of a plugin, and the exports of `k3s:common/plugin`.

/// Expands a kind's contract. The author's crate exports it, so the export macro is public when a component
/// is built. Natively several kinds are compiled together, and public macros would collide: they are named
/// after the interface that all kinds export.
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

/// Natively, where nothing is exported, checks that `$plugin` implements the trait of its kind.
#[doc(hidden)]
#[macro_export]
macro_rules! __check {
    ($plugin:ty, $kind:path) => {
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(
            <$plugin as $kind>::Config,
        ) -> ::std::result::Result<$plugin, $crate::Sentence> = <$plugin as $kind>::new;
    };
}

/// Keeps `$state`, which `$make` creates from the configured plugin. The kind's macro has the generated
/// module of `k3s:common/plugin` in scope as `common`, and the kind's trait.
#[doc(hidden)]
#[macro_export]
macro_rules! __instance {
    ($plugin:ty, $state:ty, $make:expr) => {
        ::std::thread_local! {
            // A component has one thread. This is its memory between calls.
            static INSTANCE: ::std::cell::RefCell<Option<$state>> = const { ::std::cell::RefCell::new(None) };
        }

        /// The contract: `configure` is called first. If it was not, the call traps.
        fn with<T>(work: impl FnOnce(&mut $state) -> T) -> T {
            INSTANCE.with_borrow_mut(|slot| {
                let state = slot.as_mut().expect("called before `configure`");
                work(state)
            })
        }

        struct Exported;

        impl common::Guest for Exported {
            fn describe() -> common::Description {
                let (name, version) = (<$plugin>::NAME.to_owned(), <$plugin>::VERSION.to_owned());
                common::Description { name, version }
            }

            fn configure(config: Vec<u8>) -> Result<(), common::ConfigError> {
                $crate::log_panics();
                let settings = $crate::Settings::read(&config);
                let plugin = settings.and_then(<$plugin>::new);
                let make = $make;
                let plugin = plugin.map_err(|why| common::ConfigError::Invalid(why.into()))?;
                INSTANCE.set(Some(make(plugin)));
                Ok(())
            }
        }
    };
}
