//! The real program, as a process.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// How long anything may take before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Where the program is, and what it is started with. Made by [`program!`](crate::program).
pub struct Program {
    path: PathBuf,
    data: PathBuf,
    folder: Arc<TempDir>,
    variables: Vec<(String, String)>,
}

/// A server that is listening. It is killed when this is dropped.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    out: Arc<Mutex<String>>,
    log: Arc<Mutex<String>>,
    // Its data goes when the last server over it does.
    _folder: Arc<TempDir>,
}

/// What a command that ended by itself left.
#[derive(Debug)]
pub struct Ended {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub log: String,
}

impl Program {
    /// The program at that path, with a data folder of its own.
    pub fn at(path: &str) -> Program {
        let folder = Arc::new(tempfile::tempdir().expect("a folder can be made"));
        let data = folder.path().join("data");
        Program { path: path.into(), data, folder, variables: Vec::new() }
    }

    /// Keeps its data in that folder instead, and leaves it there.
    pub fn over(self, data: &Path) -> Self {
        Program { data: data.to_owned(), ..self }
    }

    /// Sets a variable of its environment. Nothing else is passed on but `PATH`.
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Writes a settings file, for `--config`.
    pub fn settings(&self, text: &str) -> PathBuf {
        let path = self.folder.path().join("chandlery.toml");
        std::fs::write(&path, text).expect("the settings can be written");
        path
    }

    /// The folder that holds everything the server keeps.
    pub fn data(&self) -> PathBuf {
        self.data.clone()
    }

    /// Runs a command that ends by itself.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        let output = self.command(arguments).output().expect("the program can be started");
        Ended {
            code: output.status.code().expect("it was not killed"),
            out: String::from_utf8(output.stdout).expect("it writes UTF-8"),
            log: String::from_utf8(output.stderr).expect("it writes UTF-8"),
        }
    }

    /// Starts `serve` with more arguments, and waits until it listens. Can be called
    /// again after the server has ended: the data is still there.
    #[track_caller]
    pub fn serve(&self, arguments: &[&str]) -> Running {
        let data = self.data();
        let own = ["serve", "--listen", "127.0.0.1:0", "--data", path_text(&data)];
        let mut command = self.command(&[&own, arguments].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program can be started");
        let out = collect(child.stdout.take().expect("it is piped"));
        let log = collect(child.stderr.take().expect("it is piped"));

        let mut running = Running {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            child,
            out,
            log,
            _folder: self.folder.clone(),
        };
        let line = running.wait_for_line("listening on http://");
        let address = line.trim_start_matches("listening on http://");
        running.address = address.parse().expect("it prints its address");
        running
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.args(arguments).env_clear().current_dir(self.folder.path());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        command
    }
}

fn path_text(path: &Path) -> &str {
    path.to_str().expect("the path is UTF-8")
}

/// Reads a stream to its end beside the test.
fn collect(stream: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let kept = text.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut kept = kept.lock().expect("nothing panics in here");
            kept.push_str(&line);
            kept.push('\n');
        }
    });
    text
}

impl Running {
    /// What it has written to standard output.
    pub fn out(&self) -> String {
        self.out.lock().expect("nothing panics in here").clone()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.log.lock().expect("nothing panics in here").clone()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on standard output that starts so, and gives it back.
    #[track_caller]
    pub fn wait_for_line(&mut self, start: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(line) = self.out().lines().find(|it| it.starts_with(start)) {
                return line.to_owned();
            }
            if let Some(status) = self.child.try_wait().expect("it can be looked at") {
                panic!("it ended with {status}:\n{}", self.log());
            }
            assert!(Instant::now() < deadline, "no line `{start}`:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until the log says so.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.log().contains(text) {
            assert!(Instant::now() < deadline, "no `{text}` in the log:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Sends a signal by name: `TERM`, `INT`, `KILL`.
    pub fn signal(&self, name: &str) {
        let (signal, pid) = (format!("-{name}"), self.pid().to_string());
        let sent = Command::new("kill").args([signal, pid]).status();
        let sent = sent.expect("`kill` can be started");
        assert!(sent.success(), "the signal {name} is sent");
    }

    /// Waits until the process has ended.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be looked at") {
                return status;
            }
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks it to stop and waits until it has.
    #[track_caller]
    pub fn stop(mut self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }

    /// Ends it at once, the way a crash does.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it can be waited for");
    }

    /// Opens a connection.
    pub async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("it listens")
    }

    /// Sends bytes over a new connection and reads what comes until its end.
    pub async fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        // It may have seen enough and closed before everything was sent.
        let _ = stream.write_all(bytes.as_ref()).await;
        read_to_end(&mut stream).await
    }

    /// Sends a GET over a new connection: the status and the body.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let answer = self.raw(request).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("it answers");
        (status(head), body.to_owned())
    }
}

/// The status code of a raw answer.
#[track_caller]
pub fn status(answer: &str) -> u16 {
    let code = answer.split(' ').nth(1).and_then(|it| it.parse().ok());
    code.unwrap_or_else(|| panic!("`{answer}` is an answer"))
}

/// Reads what comes until the server closes the connection.
pub async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    // A reset after the answer is an end, too.
    assert!(read.is_ok(), "the server closes the connection after `{text}`");
    text
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, for a test of this package.
#[macro_export]
macro_rules! program {
    () => {
        $crate::Program::at(env!("CARGO_BIN_EXE_chandlery-under-test"))
    };
}
