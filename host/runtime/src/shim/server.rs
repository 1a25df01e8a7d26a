//! A shim's loop: one thread that waits for clients, for output, and for the end of processes.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use k3s_base::Clock;
use nix::poll::{PollFlags, PollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use super::connection::{Connection, Role};
use super::container::Container;
use super::error::{ShimError, Step};
use super::exec::Session;
use super::log::Stream;
use super::oci;
use super::poll::{PollSet, Source};
use super::protocol::{
    ExecExit, Kind, Phase, RemoteError, Request, Response, SOCKET, ShimPids, WindowSize, frame,
    message,
};
use super::setup::Prepared;

/// How often deadlines (stalled clients, undrained sessions) are checked while one may be running.
const TICK_MS: u16 = 500;

struct Shim {
    listener: UnixListener,
    child_exits: SignalFd,
    dir: PathBuf,
    oci_root: PathBuf,
    pids: ShimPids,
    clock: Clock,
    connections: BTreeMap<u64, Connection>,
    containers: BTreeMap<String, Container>,
    sessions: BTreeMap<u64, Session>,
    last_number: u64,
    done: bool,
}

/// Serves until a client asks for the end.
pub(super) fn run(prepared: Prepared) -> io::Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGCHLD);
    signals.thread_block()?;
    let child_exits =
        SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let oci_root = prepared.dir.join("oci");
    k3s_sys::fs::create_dirs_exactly(&oci_root, 0o700)?;
    let mut shim = Shim {
        listener: prepared.listener,
        child_exits,
        oci_root,
        dir: prepared.dir,
        pids: prepared.pids,
        clock: Clock::system(),
        connections: BTreeMap::new(),
        containers: BTreeMap::new(),
        sessions: BTreeMap::new(),
        last_number: 0,
        done: false,
    };
    k3s_sys::heap::give_back();
    while !shim.done {
        for (source, events) in shim.wait()? {
            shim.handle(source, events);
        }
        shim.housekeep();
    }
    shim.end()
}

impl Shim {
    /// Waits for the next events. Descriptors that belong to a process are left out while the other
    /// end does not keep up, so that the kernel makes the process wait.
    fn wait(&self) -> io::Result<Vec<(Source, PollFlags)>> {
        let mut set = PollSet::default();
        set.add(Source::Listener, self.listener.as_fd(), PollFlags::POLLIN);
        set.add(Source::Child, self.child_exits.as_fd(), PollFlags::POLLIN);
        for (&number, connection) in &self.connections {
            let mut events = PollFlags::empty();
            events.set(PollFlags::POLLIN, self.accepts_input(connection));
            events.set(PollFlags::POLLOUT, connection.wants_write());
            set.add(Source::Client(number), connection.fd(), events);
        }
        for (id, container) in &self.containers {
            set.add_stdio(
                &container.stdio,
                self.is_congested(&container.attached),
                |stream| Source::ContainerOut(id.clone(), stream),
                || Source::ContainerIn(id.clone()),
            );
        }
        for (&number, session) in &self.sessions {
            set.add_stdio(
                &session.stdio,
                self.is_congested(&session.connection),
                |stream| Source::SessionOut(number, stream),
                || Source::SessionIn(number),
            );
        }
        set.wait(self.timeout())
    }

    /// Whether one of these connections has more output waiting than it may.
    fn is_congested<'a>(&self, connections: impl IntoIterator<Item = &'a u64>) -> bool {
        connections
            .into_iter()
            .filter_map(|number| self.connections.get(number))
            .any(Connection::congested)
    }

    /// No limit, unless a deadline is running that [`Shim::housekeep`] checks.
    fn timeout(&self) -> PollTimeout {
        let has_deadline = self.sessions.values().any(Session::exited)
            || self.connections.values().any(Connection::congested);
        if has_deadline {
            PollTimeout::from(TICK_MS)
        } else {
            PollTimeout::NONE
        }
    }

    /// A process that does not read its input makes the sender wait.
    fn accepts_input(&self, connection: &Connection) -> bool {
        match &connection.role {
            Role::Exec(number) => self
                .sessions
                .get(number)
                .is_none_or(|session| session.stdio.accepts_input()),
            Role::Attach { id, .. } => self
                .containers
                .get(id)
                .is_none_or(|container| container.stdio.accepts_input()),
            _ => true,
        }
    }

    fn handle(&mut self, source: Source, events: PollFlags) {
        match source {
            Source::Listener => self.accept(),
            Source::Child => self.reap(),
            Source::Client(number) => self.serve(number, events),
            Source::ContainerOut(id, stream) => self.container_output(&id, stream),
            Source::ContainerIn(id) => {
                if let Some(container) = self.containers.get_mut(&id) {
                    container.stdio.flush();
                }
            }
            Source::SessionOut(number, stream) => self.session_output(number, stream),
            Source::SessionIn(number) => {
                if let Some(session) = self.sessions.get_mut(&number) {
                    session.stdio.flush();
                }
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if let Ok(connection) = Connection::new(stream) {
                self.last_number += 1;
                self.connections.insert(self.last_number, connection);
            }
        }
    }

    /// Collects every process that ended: first processes, sessions, and orphans of either.
    fn reap(&mut self) {
        while matches!(self.child_exits.read_signal(), Ok(Some(_))) {}
        while let Ok(Some(exit)) = k3s_sys::process::reap() {
            let running = |container: &&mut Container| {
                container.state.phase == Phase::Running && container.state.pid == exit.pid
            };
            if let Some(container) = self.containers.values_mut().find(running) {
                container.on_exit(exit.code, &self.clock);
                let id = container.state.id.clone();
                self.publish(&id);
            } else if let Some(session) = self
                .sessions
                .values_mut()
                .find(|session| session.pid == exit.pid && !session.exited())
            {
                session.on_exit(exit.code, self.clock.elapsed());
            }
        }
    }

    fn publish(&mut self, id: &str) {
        let Some(container) = self.containers.get(id) else {
            return;
        };
        let bytes = message(&Response::States(vec![container.state.clone()]));
        let now = self.clock.elapsed();
        for connection in self
            .connections
            .values_mut()
            .filter(|connection| connection.role == Role::Subscriber)
        {
            connection.send(&bytes, now);
        }
    }

    fn serve(&mut self, number: u64, events: PollFlags) {
        let now = self.clock.elapsed();
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        let wrote = if events.contains(PollFlags::POLLOUT) {
            connection.flush(now)
        } else {
            Ok(())
        };
        let alive = match wrote {
            Ok(()) if events.intersects(PollFlags::POLLIN | PollFlags::POLLHUP) => {
                connection.fill()
            }
            Ok(()) => Ok(!events.intersects(PollFlags::POLLERR | PollFlags::POLLNVAL)),
            Err(error) => Err(error),
        };
        loop {
            let Some(connection) = self.connections.get_mut(&number) else {
                return;
            };
            match connection.next_frame() {
                Ok(Some((kind, payload))) => self.on_frame(number, kind, &payload),
                Ok(None) => break,
                Err(_) => return self.disconnect(number),
            }
        }
        if !alive.unwrap_or(false) {
            self.disconnect(number);
        }
    }

    fn on_frame(&mut self, number: u64, kind: Kind, payload: &[u8]) {
        let Some(role) = self
            .connections
            .get(&number)
            .map(|connection| connection.role.clone())
        else {
            return;
        };
        match (role, kind) {
            (Role::New, Kind::Message) => match serde_json::from_slice(payload) {
                Ok(request) => self.request(number, request),
                Err(error) => self.answer(number, Err(ShimError::Request(error))),
            },
            (Role::Exec(session), kind) => {
                if let Some(session) = self.sessions.get_mut(&session) {
                    if kind == Kind::Kill {
                        let _ = k3s_sys::process::kill(session.pid, nix::libc::SIGKILL);
                    } else {
                        input(&mut session.stdio, kind, payload);
                    }
                }
            }
            (Role::Attach { id, stdin }, kind) => {
                if let (Some(container), true) =
                    (self.containers.get_mut(&id), stdin || kind == Kind::Resize)
                {
                    input(&mut container.stdio, kind, payload);
                }
            }
            _ => self.disconnect(number),
        }
    }

    fn request(&mut self, number: u64, request: Request) {
        let result = match request {
            Request::Subscribe => return self.subscribe(number),
            Request::Exec(exec) => return self.exec(number, &exec),
            Request::Attach { id, stdin } => return self.attach(number, id, stdin),
            Request::Create(create) => self.create(*create),
            Request::Start { id } => {
                let (root, clock) = (self.oci_root.clone(), self.clock.clone());
                let started = self.with(&id, |container| container.start(&root, &clock));
                self.publish(&id);
                started
            }
            Request::Signal { id, signal, all } => self.with(&id, |container| {
                container.signal(signal, all).step("signal the processes")
            }),
            Request::ReopenLog { id } => self.with(&id, |container| {
                container.log.reopen().step("open the log again")
            }),
            Request::Remove { id } => self.remove(&id),
            Request::Shutdown => self.shutdown(),
        };
        self.answer(number, result);
    }

    fn with(
        &mut self,
        id: &str,
        call: impl FnOnce(&mut Container) -> Result<(), ShimError>,
    ) -> Result<(), ShimError> {
        self.containers
            .get_mut(id)
            .ok_or_else(|| ShimError::NotFound(id.to_owned()))
            .and_then(call)
    }

    fn create(&mut self, create: super::protocol::Create) -> Result<(), ShimError> {
        if self.containers.contains_key(&create.id) {
            return Err(ShimError::Exists(create.id));
        }
        let id = create.id.clone();
        self.containers
            .insert(id.clone(), Container::create(create)?);
        self.publish(&id);
        Ok(())
    }

    fn remove(&mut self, id: &str) -> Result<(), ShimError> {
        let Some(container) = self.containers.get_mut(id) else {
            return Ok(());
        };
        if container.state.phase == Phase::Running {
            return Err(ShimError::Running(id.to_owned()));
        }
        container
            .remove(&self.oci_root)
            .step("remove what is left of the container")?;
        self.containers.remove(id);
        k3s_sys::heap::give_back();
        Ok(())
    }

    fn shutdown(&mut self) -> Result<(), ShimError> {
        if let Some(container) = self
            .containers
            .values()
            .find(|container| container.state.phase == Phase::Running)
        {
            return Err(ShimError::Running(container.state.id.clone()));
        }
        self.done = true;
        Ok(())
    }

    fn answer(&mut self, number: u64, result: Result<(), ShimError>) {
        let now = self.clock.elapsed();
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.send(
                &message(&result.map_or_else(
                    |error| Response::Failed(RemoteError::new(&error)),
                    |()| Response::Done,
                )),
                now,
            );
            connection.role = Role::Closing;
        }
    }

    fn subscribe(&mut self, number: u64) {
        let states = self
            .containers
            .values()
            .map(|container| container.state.clone())
            .collect();
        let now = self.clock.elapsed();
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.role = Role::Subscriber;
            connection.send(&message(&Response::States(states)), now);
        }
    }

    fn exec(&mut self, number: u64, exec: &super::protocol::Exec) {
        let bundle = match self.containers.get(&exec.id) {
            None => return self.answer(number, Err(ShimError::NotFound(exec.id.clone()))),
            Some(container) => match container.require(Phase::Running) {
                Err(error) => return self.answer(number, Err(error)),
                Ok(()) => container.bundle().to_path_buf(),
            },
        };
        match oci::exec(exec, &bundle, &self.oci_root) {
            Err(error) => self.answer(number, Err(error)),
            Ok(started) => {
                self.last_number += 1;
                self.sessions.insert(
                    self.last_number,
                    Session::new(started.pid, started.stdio, number),
                );
                self.begin(number, Role::Exec(self.last_number));
            }
        }
    }

    fn attach(&mut self, number: u64, id: String, stdin: bool) {
        let attached = self.with(&id, |container| {
            container.require(Phase::Running)?;
            container.attached.push(number);
            Ok(())
        });
        match attached {
            Ok(()) => self.begin(number, Role::Attach { id, stdin }),
            Err(error) => self.answer(number, Err(error)),
        }
    }

    fn begin(&mut self, number: u64, role: Role) {
        let now = self.clock.elapsed();
        if let Some(connection) = self.connections.get_mut(&number) {
            connection.send(&message(&Response::Done), now);
            connection.role = role;
        }
    }

    fn container_output(&mut self, id: &str, stream: Stream) {
        let Some(container) = self.containers.get_mut(id) else {
            return;
        };
        let data = container.read(stream, &self.clock);
        if data.is_empty() {
            return;
        }
        let (bytes, now) = (frame(kind_of(stream), &data), self.clock.elapsed());
        for number in &container.attached {
            if let Some(connection) = self.connections.get_mut(number) {
                connection.send(&bytes, now);
            }
        }
    }

    fn session_output(&mut self, number: u64, stream: Stream) {
        let Some(session) = self.sessions.get_mut(&number) else {
            return;
        };
        let Some(data) = session.stdio.read(stream).filter(|data| !data.is_empty()) else {
            return;
        };
        let now = self.clock.elapsed();
        if let Some(connection) = session
            .connection
            .and_then(|number| self.connections.get_mut(&number))
        {
            connection.send(&frame(kind_of(stream), &data), now);
        }
    }

    fn disconnect(&mut self, number: u64) {
        let Some(connection) = self.connections.remove(&number) else {
            return;
        };
        match connection.role {
            Role::Exec(session) => {
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.abandon();
                }
            }
            Role::Attach { id, stdin } => {
                if let Some(container) = self.containers.get_mut(&id) {
                    container.attached.retain(|&other| other != number);
                    if stdin && container.stdin_once() {
                        container.stdio.push_eof();
                    }
                }
            }
            Role::New | Role::Subscriber | Role::Closing => {}
        }
    }

    /// Ends what is finished: sessions, attachments of ended containers, clients that read nothing.
    fn housekeep(&mut self) {
        self.close_finished_sessions();
        self.close_drained_attachments();
        self.drop_connections();
    }

    fn close_finished_sessions(&mut self) {
        let now = self.clock.elapsed();
        let finished: Vec<_> = self
            .sessions
            .iter()
            .filter_map(|(&number, session)| Some((number, session.finished(now)?)))
            .collect();
        for (number, code) in finished {
            let Some(session) = self.sessions.remove(&number) else {
                continue;
            };
            let exit = serde_json::to_vec(&ExecExit { code }).unwrap_or_default();
            self.close_with(session.connection, &frame(Kind::Exit, &exit));
        }
    }

    fn close_drained_attachments(&mut self) {
        let is_over = |container: &&mut Container| {
            container.state.phase == Phase::Exited && container.stdio.drained()
        };
        let ended: Vec<_> = self
            .containers
            .values_mut()
            .filter(is_over)
            .flat_map(|container| std::mem::take(&mut container.attached))
            .collect();
        for number in ended {
            self.close_with(Some(number), &frame(Kind::Exit, b"{\"code\":0}"));
        }
    }

    /// Writes what is waiting, and drops connections that are finished, stalled or gone.
    fn drop_connections(&mut self) {
        let now = self.clock.elapsed();
        let mut gone: Vec<u64> = Vec::new();
        for (&number, connection) in &mut self.connections {
            if connection.flush(now).is_err() || connection.finished() || connection.stalled(now) {
                gone.push(number);
            }
        }
        gone.into_iter().for_each(|number| self.disconnect(number));
    }

    fn close_with(&mut self, number: Option<u64>, last: &[u8]) {
        let now = self.clock.elapsed();
        if let Some(connection) = number.and_then(|number| self.connections.get_mut(&number)) {
            connection.send(last, now);
            connection.role = Role::Closing;
        }
    }

    /// Removes everything but the folder, which belongs to the server.
    fn end(mut self) -> io::Result<()> {
        if let Some(init) = self.pids.init {
            k3s_sys::process::kill(init, nix::libc::SIGKILL)?;
        }
        for container in self.containers.values_mut() {
            container.remove(&self.oci_root)?;
        }
        k3s_sys::fs::remove_all(&self.dir.join(SOCKET))
    }
}

fn kind_of(stream: Stream) -> Kind {
    match stream {
        Stream::Stdout => Kind::Stdout,
        Stream::Stderr => Kind::Stderr,
    }
}

fn input(stdio: &mut super::stdio::Stdio, kind: Kind, payload: &[u8]) {
    match kind {
        Kind::Stdin => stdio.push(payload),
        Kind::StdinEof => stdio.push_eof(),
        Kind::Resize => {
            if let Ok(size) = serde_json::from_slice::<WindowSize>(payload) {
                stdio.resize(size);
            }
        }
        Kind::Message | Kind::Stdout | Kind::Stderr | Kind::Exit | Kind::Kill => {}
    }
}
