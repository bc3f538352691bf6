//! Releases: packages that are uploaded, rendered and put on a platform.
//!
//! A package comes by [`upload`] as a zip ([`archive`]) and is read by
//! [`package`], its values are merged by [`values`] and rendered by [`render`]
//! through the renderer in force; [`manifest`] reads what came out, and [`compose`] does
//! all of that for one version of a release without keeping anything. [`difference`]
//! tells what differs between two, application by application. [`install`],
//! [`upgrade`], [`rollback`], [`scale`] and [`delete`] are durable operations that
//! [`engine`] brings to their end, and [`cancel`] ends one that waits;
//! [`repositories`] are where packages come from besides uploads; [`resource`] fetches
//! what is to run, [`platform`] says where, [`status`] how it is, [`logs`] what it wrote,
//! and [`actuator`] passes requests on to it; [`lists`] what there is. [`overview`] tells
//! how a release really is, and [`plan`] what would be done, for our own endpoints.
//! [`model`] holds what the API shows.

pub mod actuator;
pub mod archive;
pub mod cancel;
mod check;
pub mod compose;
pub mod delete;
pub mod delete_package;
pub mod difference;
pub mod engine;
pub mod install;
pub mod lists;
pub mod logs;
pub mod manifest;
pub mod metadata;
pub mod model;
pub mod overview;
pub mod package;
pub mod plan;
pub mod platform;
pub mod render;
pub mod repositories;
pub mod resource;
pub mod rollback;
pub mod scale;
pub mod status;
mod steps;
pub mod upgrade;
pub mod upload;
pub mod values;
pub mod yaml;

use crate::error::{Error, Result};

/// Does work that takes a while beside the async threads.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|it| Err(Error::Internal(format!("working on a release: {it}"))))
}
