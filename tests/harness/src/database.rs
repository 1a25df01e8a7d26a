//! Database servers for tests: Debian's PostgreSQL and MariaDB in a folder of their own, on loopback,
//! as a user without rights. Dropping one ends it and removes its data.

use std::ffi::OsString;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::corner::Corner;
use crate::poll::until;
use crate::process::{Background, Output, run};

/// The password of every test database.
pub const PASSWORD: &str = "not-a-secret";

/// `nobody` and `nogroup`, the same on every Debian.
const USER: u32 = 65534;

/// Starting includes recovery after a kill, on a busy machine.
const START: Duration = Duration::from_secs(60);

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseKind {
    /// PostgreSQL.
    Postgres,
    /// MariaDB.
    MariaDb,
}

/// A database server.
#[derive(Debug)]
pub struct Database {
    kind: DatabaseKind,
    dir: tempfile::TempDir,
    port: u16,
    /// Words before a command that bring it to the server's place.
    prefix: Vec<OsString>,
    server: Option<Background>,
    settings: Vec<String>,
}

impl Database {
    /// A server that listens on the machine's loopback.
    ///
    /// # Errors
    /// When it is not installed or does not start.
    pub fn start(kind: DatabaseKind) -> Result<Self> {
        Self::start_with(kind, None, &[])
    }

    /// A server inside a corner.
    ///
    /// # Errors
    /// As [`Database::start`].
    pub fn start_in(kind: DatabaseKind, corner: &Corner) -> Result<Self> {
        Self::start_with(kind, Some(corner), &[])
    }

    /// The same with settings (`ssl=on`), given as `-c` or `--`.
    ///
    /// # Errors
    /// As [`Database::start`].
    pub fn start_with(
        kind: DatabaseKind,
        corner: Option<&Corner>,
        settings: &[String],
    ) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("k3s-database")
            .tempdir_in("/var/tmp")?;
        chown(dir.path(), Some(USER), Some(USER)).context("chown (are you root?)")?;
        let prefix = corner.map(prefix_of).unwrap_or_default();
        let mut database = Self {
            kind,
            dir,
            port: free_port()?,
            prefix,
            server: None,
            settings: settings.to_vec(),
        };
        database.create()?;
        database.resume()?;
        Ok(database)
    }

    /// K3s' `--datastore-endpoint` for one of its databases.
    #[must_use]
    pub fn endpoint(&self, database: &str) -> String {
        match self.kind {
            DatabaseKind::Postgres => format!(
                "postgres://k3s:{PASSWORD}@127.0.0.1:{}/{database}",
                self.port
            ),
            DatabaseKind::MariaDb => format!(
                "mysql://k3s:{PASSWORD}@tcp(127.0.0.1:{})/{database}",
                self.port
            ),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its folder, for certificates and the like; belongs to the server's user.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// SIGKILL, as if the machine had lost its power.
    ///
    /// # Errors
    /// When there is no server.
    pub fn kill(&mut self) -> Result<()> {
        let pid = self.file("pid");
        let line = match self.kind {
            DatabaseKind::Postgres => format!(
                "kill -9 $(head -1 {})",
                self.file("data/postmaster.pid").display()
            ),
            DatabaseKind::MariaDb => format!("kill -9 $(cat {})", pid.display()),
        };
        self.sh(&line)?.ok()?;
        let mut server = self.server.take().context("no server")?;
        server.wait(Duration::from_secs(10))?;
        Ok(())
    }

    /// Starts it (again) and waits until it answers.
    ///
    /// # Errors
    /// With its log when it does not.
    pub fn resume(&mut self) -> Result<()> {
        let end = std::time::Instant::now() + START;
        loop {
            self.launch()?;
            let answered = until("the database answers", START, || {
                if !self.server.as_mut().is_some_and(Background::is_running) {
                    return Ok(false);
                }
                self.ask("SELECT 1").map(|_| true)
            });
            match answered {
                Ok(true) => return Ok(()),
                // What a killed server leaves (processes that still end) can be in the way at first.
                Ok(false) if std::time::Instant::now() < end => {
                    self.server = None;
                    std::thread::sleep(Duration::from_millis(100));
                }
                Ok(false) => bail!("the database ended: {}", self.log()),
                Err(error) => return Err(error).with_context(|| self.log()),
            }
        }
    }

    /// Runs SQL as the administrator, in the administrator's database.
    ///
    /// # Errors
    /// When it fails.
    pub fn ask(&self, sql: &str) -> Result<String> {
        let database = match self.kind {
            DatabaseKind::Postgres => "postgres",
            DatabaseKind::MariaDb => "mysql",
        };
        self.ask_in(database, sql)
    }

    /// The same in another database.
    ///
    /// # Errors
    /// When it fails.
    pub fn ask_in(&self, database: &str, sql: &str) -> Result<String> {
        let mut command = match self.kind {
            DatabaseKind::Postgres => {
                let mut command = self.command(&postgres_tool("psql")?);
                command
                    .args(["-X", "-A", "-t", "-U", "postgres", "-d", database, "-h"])
                    .arg(self.dir.path());
                command.args(["-p", &self.port.to_string(), "-c", sql]);
                command
            }
            DatabaseKind::MariaDb => {
                let mut command = self.command(Path::new("/usr/bin/mariadb"));
                command
                    .args(["--no-defaults", "-N", "-u", "root", "-S"])
                    .arg(self.file("sock"))
                    .args(["-e", sql, database]);
                command
            }
        };
        run(&mut command, None, Duration::from_secs(20))?.ok()
    }

    fn create(&self) -> Result<()> {
        let mut command = match self.kind {
            DatabaseKind::Postgres => {
                let mut command = self.command(&postgres_tool("initdb")?);
                command.arg("-D").arg(self.file("data")).args([
                    "-U",
                    "postgres",
                    "--auth-local=trust",
                ]);
                command.args([
                    "--auth-host=scram-sha-256",
                    "--no-sync",
                    "--no-locale",
                    "--encoding=UTF8",
                ]);
                command
            }
            DatabaseKind::MariaDb => {
                let mut command = self.command(Path::new("/usr/bin/mariadb-install-db"));
                command.args([
                    "--no-defaults",
                    "--auth-root-authentication-method=normal",
                    "--skip-test-db",
                ]);
                command.arg(format!("--datadir={}", self.file("data").display()));
                command
            }
        };
        run(&mut command, None, START)?.ok()?;
        fs::write(self.file("init.sql"), self.users())?;
        Ok(())
    }

    /// The user of the tests; it may create databases.
    fn users(&self) -> String {
        match self.kind {
            DatabaseKind::Postgres => format!(
                "DO $$ BEGIN CREATE ROLE k3s LOGIN CREATEDB PASSWORD '{PASSWORD}'; \
                 EXCEPTION WHEN duplicate_object THEN NULL; END $$"
            ),
            DatabaseKind::MariaDb => format!(
                "CREATE USER IF NOT EXISTS 'k3s'@'%' IDENTIFIED BY '{PASSWORD}';\nGRANT ALL ON *.* TO 'k3s'@'%';\n"
            ),
        }
    }

    fn launch(&mut self) -> Result<()> {
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.file("log"))?;
        let port = self.port.to_string();
        let mut command = match self.kind {
            DatabaseKind::Postgres => {
                let mut command = self.command(&postgres_tool("postgres")?);
                command
                    .arg("-D")
                    .arg(self.file("data"))
                    .args(["-p", &port, "-k"])
                    .arg(self.dir.path());
                command.args([
                    "-c",
                    "listen_addresses=127.0.0.1",
                    "-c",
                    "max_connections=60",
                ]);
                command.args(self.settings.iter().flat_map(|s| ["-c", s]));
                command
            }
            DatabaseKind::MariaDb => {
                let mut command = self.command(Path::new("/usr/sbin/mariadbd"));
                let file =
                    |option: &str, name: &str| format!("--{option}={}", self.file(name).display());
                command.args([
                    "--no-defaults",
                    "--bind-address=127.0.0.1",
                    "--skip-name-resolve",
                    "--port",
                    &port,
                ]);
                command.args([
                    file("datadir", "data"),
                    file("socket", "sock"),
                    file("pid-file", "pid"),
                ]);
                command.args([
                    file("init-file", "init.sql"),
                    "--innodb-flush-log-at-trx-commit=1".to_owned(),
                ]);
                command.args(self.settings.iter().map(|s| format!("--{s}")));
                command
            }
        };
        self.server = Some(Background::start(&mut command, log)?);
        if self.kind == DatabaseKind::Postgres {
            let users = self.users();
            // Fails when the server ends again at once; the caller sees that.
            let _ = until("the user of the tests", START, || {
                if self.server.as_mut().is_some_and(Background::is_running) {
                    self.ask(&users)
                } else {
                    Ok(String::new())
                }
            });
        }
        Ok(())
    }

    fn command(&self, program: &Path) -> Command {
        let id = USER.to_string();
        let mut words: Vec<OsString> = self.prefix.clone();
        words.extend(
            ["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups"].map(OsString::from),
        );
        words.push(program.into());
        let mut words = words.into_iter();
        let mut command = Command::new(words.next().unwrap_or_default());
        // Servers that start at the same time clean up each other's files in a common folder.
        command
            .args(words)
            .current_dir("/")
            .env("TMPDIR", self.dir.path());
        command
    }

    fn sh(&self, line: &str) -> Result<Output> {
        let mut command = self.command(Path::new("/bin/sh"));
        run(command.args(["-c", line]), None, Duration::from_secs(10))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.file("log")).unwrap_or_default()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // In a corner the server is not our child, and ends with the corner at the latest.
        if self.server.is_some() {
            let _ = self.kill();
        }
    }
}

/// What brings a command into the corner.
fn prefix_of(corner: &Corner) -> Vec<OsString> {
    let command = corner.command("setpriv");
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let mut words: Vec<OsString> = words.map(OsString::from).collect();
    words.pop();
    words
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// A program of the newest PostgreSQL that is installed.
fn postgres_tool(name: &str) -> Result<PathBuf> {
    let versions =
        fs::read_dir("/usr/lib/postgresql").context("no PostgreSQL; run `cargo xtask test`")?;
    let found = versions
        .filter_map(Result::ok)
        .map(|e| e.path().join("bin").join(name))
        .filter(|p| p.exists());
    found
        .max()
        .with_context(|| format!("PostgreSQL without {name}"))
}
