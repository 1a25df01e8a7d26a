//! The images that the suite asks for, as data. They stand in for upstream's: the same programs where
//! they are upstream's own, on a file system of Debian's packages or of busybox.
//!
//! Names and tags: `test/utils/image/manifest.go` of the suite. Left out is what only specs outside of
//! conformance use.

use crate::go::Program;

/// Where most of the images are said to come from.
const REGISTRY: &str = "registry.k8s.io/e2e-test-images/";
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What stands in a layer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entry {
    Text(&'static str, &'static str),
    /// A program of the module's tools, with its mode.
    Program(&'static str, u32, Program),
    /// A file of the suite's sources.
    Source(&'static str, &'static str),
    Folder(&'static str, u32),
    Link(&'static str, &'static str),
}

/// A layer; equal ones are stored once.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Layer {
    /// Debian's packages.
    Debian,
    /// busybox with its applets, alone.
    Busybox,
    Entries(&'static [Entry]),
}

/// An image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Image {
    /// Names after the registry, or whole ones.
    pub(crate) names: &'static [&'static str],
    pub(crate) layers: &'static [Layer],
    pub(crate) entrypoint: &'static [&'static str],
    pub(crate) command: &'static [&'static str],
    pub(crate) user: &'static str,
}

const NONE: Image = Image {
    names: &[],
    layers: &[],
    entrypoint: &[],
    command: &[],
    user: "",
};

impl Image {
    /// Whole names.
    pub(crate) fn references(&self) -> Vec<String> {
        let whole = |name: &&str| match name.split_once('/') {
            Some(_) => (*name).to_owned(),
            None => format!("{REGISTRY}{name}"),
        };
        self.names.iter().map(whole).collect()
    }

    /// The environment of its containers.
    pub(crate) fn environment(&self) -> [&'static str; 1] {
        [PATH]
    }
}

const fn tool(name: &'static str, package: &'static str) -> Program {
    Program { name, package }
}

const AGNHOST: Layer = Layer::Entries(&[
    Entry::Program(
        "agnhost",
        0o755,
        tool("agnhost", "k8s.io/kubernetes/test/images/agnhost"),
    ),
    Entry::Link("agnhost-2", "agnhost"),
    Entry::Folder("uploads", 0o777),
    Entry::Source("localhost.crt", "agnhost/porter/localhost.crt"),
    Entry::Source("localhost.key", "agnhost/porter/localhost.key"),
]);

/// The user of specs about supplemental groups that an image defines.
const USERS: Layer = Layer::Entries(&[
    Entry::Text(
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\n\
         daemon:x:1:1:daemon:/usr/sbin:/bin/false\n\
         www-data:x:33:33:www-data:/var/www:/bin/false\n\
         user-defined-in-image:x:1000:1000::/home/user-defined-in-image:/bin/sh\n\
         nobody:x:65534:65534:nobody:/:/bin/false\n",
    ),
    Entry::Text(
        "etc/group",
        "root:x:0:\n\
         daemon:x:1:\n\
         www-data:x:33:\n\
         user-defined-in-image:x:1000:\n\
         group-defined-in-image:x:50000:user-defined-in-image\n\
         nogroup:x:65534:\n",
    ),
]);

const WEB_SERVER: Layer = Layer::Entries(&[
    Entry::Text(
        "etc/nginx/nginx.conf",
        "user www-data;\nworker_processes 1;\nevents {}\n\
         http { access_log /dev/stdout; error_log /dev/stderr; include /etc/nginx/conf.d/*.conf; }\n",
    ),
    Entry::Text(
        "etc/nginx/conf.d/default.conf",
        "server { listen 80; root /usr/share/nginx/html; }\n",
    ),
    Entry::Text(
        "usr/share/nginx/html/index.html",
        "<html><body><h1>It works!</h1></body></html>\n",
    ),
    Entry::Folder("var/log/nginx", 0o755),
]);

const SERVE: &[&str] = &["nginx", "-g", "daemon off;"];
const SHELL: &[&str] = &["sh"];
const TEST_WEBSERVER: &[&str] = &["test-webserver"];

const PAUSE: Image = Image {
    names: &["registry.k8s.io/pause:3.10.2"],
    layers: &[AGNHOST, Layer::Entries(&[Entry::Folder("run", 0o755)])],
    entrypoint: &["/agnhost", "pause"],
    user: "65535:65535",
    ..NONE
};
const BUSYBOX: Image = Image {
    names: &["busybox:1.37.0-1"],
    layers: &[Layer::Busybox],
    command: SHELL,
    ..NONE
};
const NONROOT: Image = Image {
    names: &["nonroot:1.5"],
    layers: &[Layer::Busybox],
    command: SHELL,
    user: "1234",
    ..NONE
};

/// Images of the quick selection: without Debian's packages.
pub(crate) const QUICK: &[Image] = &[
    Image {
        names: AGNHOST_NAMES,
        layers: &[Layer::Busybox, AGNHOST, USERS],
        entrypoint: &["/agnhost"],
        command: &["pause"],
        ..NONE
    },
    PAUSE,
    BUSYBOX,
    NONROOT,
];

const AGNHOST_NAMES: &[&str] = &["agnhost:2.63.0", "agnhost:2.55"];

/// Images of the whole suite.
pub(crate) const ALL: &[Image] = &[
    Image {
        names: AGNHOST_NAMES,
        layers: &[Layer::Debian, AGNHOST, USERS],
        entrypoint: &["/agnhost"],
        command: &["pause"],
        ..NONE
    },
    PAUSE,
    BUSYBOX,
    NONROOT,
    Image {
        names: &["nginx:1.15-4"],
        layers: &[Layer::Debian, WEB_SERVER],
        command: SERVE,
        ..NONE
    },
    // Specs of updates need an image that differs from the one before.
    Image {
        names: &["nginx:1.27-0"],
        layers: &[
            Layer::Debian,
            WEB_SERVER,
            Layer::Entries(&[Entry::Text("etc/version", "1.27\n")]),
        ],
        command: SERVE,
        ..NONE
    },
    Image {
        names: &["kitten:1.8"],
        layers: &[
            Layer::Debian,
            AGNHOST,
            Layer::Entries(&[
                Entry::Source("kitten.jpg", "kitten/html/kitten.jpg"),
                Entry::Source("data.json", "kitten/html/data.json"),
            ]),
        ],
        entrypoint: &["/agnhost"],
        command: TEST_WEBSERVER,
        ..NONE
    },
    Image {
        names: &["nautilus:1.8"],
        layers: &[
            Layer::Debian,
            AGNHOST,
            Layer::Entries(&[
                Entry::Source("nautilus.jpg", "nautilus/html/nautilus.jpg"),
                Entry::Source("data.json", "nautilus/html/data.json"),
            ]),
        ],
        entrypoint: &["/agnhost"],
        command: TEST_WEBSERVER,
        ..NONE
    },
    Image {
        names: &["perl:5.26"],
        layers: &[Layer::Debian],
        command: &["perl"],
        ..NONE
    },
    Image {
        names: &[
            "glibc-dns-testing:2.0.0",
            "jessie-dnsutils:1.7",
            "ipc-utils:1.4",
        ],
        layers: &[Layer::Debian],
        command: SHELL,
        ..NONE
    },
    Image {
        names: &["nonewprivs:1.4"],
        layers: &[
            Layer::Debian,
            // Set-user-ID and set-group-ID: the spec is about what an execution may gain.
            Layer::Entries(&[Entry::Program(
                "usr/local/bin/nnp",
                0o6755,
                tool("nnp", "k8s.io/kubernetes/test/images/nonewprivs"),
            )]),
        ],
        command: &["nnp"],
        ..NONE
    },
    Image {
        names: &["resource-consumer:1.14"],
        layers: &[
            Layer::Debian,
            Layer::Entries(&[
                Entry::Program(
                    "consumer",
                    0o755,
                    tool(
                        "resource-consumer",
                        "k8s.io/kubernetes/test/images/resource-consumer",
                    ),
                ),
                Entry::Program(
                    "consume-cpu/consume-cpu",
                    0o755,
                    tool(
                        "consume-cpu",
                        "k8s.io/kubernetes/test/images/resource-consumer/consume-cpu",
                    ),
                ),
            ]),
        ],
        entrypoint: &["/consumer"],
        ..NONE
    },
    Image {
        names: &["regression-issue-74839:1.4"],
        layers: &[
            Layer::Busybox,
            Layer::Entries(&[Entry::Program(
                "regression-issue-74839",
                0o755,
                tool(
                    "regression-issue-74839",
                    "k8s.io/kubernetes/test/images/regression-issue-74839",
                ),
            )]),
        ],
        entrypoint: &["/regression-issue-74839"],
        ..NONE
    },
    Image {
        names: &["sample-apiserver:1.29.2"],
        layers: &[
            Layer::Busybox,
            Layer::Entries(&[Entry::Program(
                "sample-apiserver",
                0o755,
                tool("sample-apiserver", "k8s.io/sample-apiserver"),
            )]),
        ],
        entrypoint: &["/sample-apiserver"],
        ..NONE
    },
    Image {
        names: &["registry.k8s.io/etcd:3.6.8-0"],
        layers: &[
            Layer::Busybox,
            Layer::Entries(&[Entry::Program(
                "usr/local/bin/etcd",
                0o755,
                tool("etcd", "go.etcd.io/etcd/server/v3"),
            )]),
        ],
        command: &["etcd"],
        ..NONE
    },
];
