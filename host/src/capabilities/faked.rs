//! The world outside as a test of a plugin wants it to be.
//!
//! Only what would leave the server is faked: whatever the host checks, fills in and
//! bounds on the way is done as in production.

use crate::plugins::types::{
    HttpError, HttpRequest, HttpResponse, Label, LogLevel, ProcessError, ProcessOutput,
    ProcessSpec, ProcessState,
};

/// What answers in place of the network, the system and the clock.
pub trait Faked: Send + Sync {
    /// Answers a request that the grant covers, its secrets filled in.
    fn http(&self, request: HttpRequest) -> Result<HttpResponse, HttpError>;

    /// Starts a process that the grant covers.
    fn start(&self, name: &str, spec: &ProcessSpec) -> Result<ProcessState, ProcessError>;

    /// Looks at a process.
    fn status(&self, name: &str) -> Result<ProcessState, ProcessError>;

    /// Ends a process.
    fn stop(&self, name: &str) -> Result<ProcessState, ProcessError>;

    /// Forgets a process.
    fn forget(&self, name: &str) -> Result<(), ProcessError>;

    /// Reads the end of an output.
    fn tail(&self, name: &str, output: ProcessOutput) -> Result<String, ProcessError>;

    /// The ports of the processes that run.
    fn ports(&self) -> Vec<u16>;

    /// The bytes behind an address that the grant covers.
    fn artifact(&self, uri: &str) -> Option<Vec<u8>>;

    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> u64;

    /// Nanoseconds since some moment.
    fn monotonic_ns(&self) -> u64;

    /// Randomness that is the same each time.
    fn random(&self, bytes: &mut [u8]);

    /// Hears of a log line.
    fn log(&self, level: LogLevel, message: &str, fields: &[Label]);
}
