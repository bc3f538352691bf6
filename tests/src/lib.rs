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

mod answer;
pub mod guest;
mod host;

pub use self::{
    answer::Answer,
    host::{Client, Host, HostBuilder},
};
