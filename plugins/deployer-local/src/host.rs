//! What is asked of the host, so that the rules can be tested without one.

use chandlery_sdk::{
    artifacts::{self, ArtifactError},
    http::{self, HttpError, Request, Response},
    process::{self, Output, Piece, ProcessError, Spec, StartAt, State},
};

/// The host's side.
pub(crate) trait Host {
    fn start(&self, name: &str, spec: &Spec) -> Result<State, ProcessError>;
    fn status(&self, names: &[String]) -> Vec<Result<State, ProcessError>>;
    fn stop(&self, name: &str, grace_ms: u32) -> Result<State, ProcessError>;
    fn forget(&self, name: &str) -> Result<(), ProcessError>;
    fn tail(&self, name: &str, output: Output, max_bytes: u32) -> Result<String, ProcessError>;
    fn read_lines(&self, name: &str, output: Output, read: &Read) -> Result<Piece, ProcessError>;
    fn send(&self, request: &Request) -> Result<Response, HttpError>;
    fn first_bytes(&self, uri: &str, count: u32) -> Result<Vec<u8>, ArtifactError>;
}

/// What is wanted of an output.
pub(crate) struct Read {
    pub(crate) start: StartAt,
    pub(crate) max_bytes: u32,
    pub(crate) unfinished: bool,
}

/// The real one.
pub(crate) struct Guest;

impl Host for Guest {
    fn start(&self, name: &str, spec: &Spec) -> Result<State, ProcessError> {
        process::start(name, spec)
    }

    fn status(&self, names: &[String]) -> Vec<Result<State, ProcessError>> {
        process::status(names)
    }

    fn stop(&self, name: &str, grace_ms: u32) -> Result<State, ProcessError> {
        process::stop(name, grace_ms)
    }

    fn forget(&self, name: &str) -> Result<(), ProcessError> {
        process::forget(name)
    }

    fn tail(&self, name: &str, output: Output, max_bytes: u32) -> Result<String, ProcessError> {
        process::tail(name, output, max_bytes)
    }

    fn read_lines(&self, name: &str, output: Output, read: &Read) -> Result<Piece, ProcessError> {
        process::read_lines(name, output, &read.start, read.max_bytes, read.unfinished)
    }

    fn send(&self, request: &Request) -> Result<Response, HttpError> {
        http::send(request)
    }

    fn first_bytes(&self, uri: &str, count: u32) -> Result<Vec<u8>, ArtifactError> {
        artifacts::read(uri, 0, count)
    }
}
