//! The harness that every test over HTTP uses.
//!
//! [`Host`] is a whole server without a socket, over a data folder of its own:
//! requests go straight into the API. Use it for everything that is not about
//! the network or the process itself:
//!
//! ```no_run
//! # async fn example() {
//! use chandlery_tests::Host;
//! let host = Host::start().await;
//! host.get("/health").await.expect(200);
//! # }
//! ```
//!
//! [`Program`] is the real program as a process that listens on a port of its own,
//! for tests about sockets, signals, settings and crashes. Cargo tells the tests of
//! a package only where the binaries of that package are, so this package has one
//! with the product's own `main`; [`program!`] fills its path in:
//!
//! ```text
//! let program = chandlery_tests::program!();
//! let server = program.serve(&["--log-format", "json"]);
//! assert_eq!(server.get("/health").await.0, 200);
//! server.kill();
//! let server = program.serve(&[]); // over the same data
//! assert!(server.stop().success());
//! ```

mod answer;
mod catalogue;
mod connection;
pub mod dry_run;
pub mod guest;
mod host;
mod program;
mod stream;

pub use self::{
    answer::Answer,
    catalogue::{Catalogue, Release},
    connection::Connection,
    dry_run::DryRun,
    host::{Client, Host, HostBuilder, Remains},
    program::{Ended, PATIENCE, Program, Running, read_to_end, status},
    stream::{Block, EventStream},
};
