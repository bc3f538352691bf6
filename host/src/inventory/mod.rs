//! The Inventory's rules: units, their releases, and the bytes behind them. One
//! file for each verb, and one for each thing that has rules of its own.

mod clock;
mod conditions;
mod decode;
mod dependencies;
mod diff;
mod download;
mod download_url;
mod graph;
mod hard_delete;
mod hooks_document;
mod json;
pub mod metadata;
mod names;
mod namespaces;
mod next_version;
mod previous;
mod read;
mod register;
pub mod release_id;
mod resolve;
mod search;
mod tags;
mod transfer;
mod upload;
mod validate;
pub mod version;
mod wipe;
pub mod wire;
mod words;
mod yank;

pub use conditions::{ETag, Expected, digest};
pub use dependencies::{Ties, Upstream, upstream};
pub use diff::{Change, Diff, diff};
pub use download::{Downloads, download, package};
pub use graph::{
    DownstreamRelease, DownstreamReleases, ProvidingRelease, Surroundings, downstream, providers,
    surroundings,
};
pub use hard_delete::{hard_delete, spawn_deletions};
pub use hooks_document::{
    hooks_etag, namespace_hooks, read_hooks, replace_namespace_hooks, replace_unit_hooks,
    unit_hooks,
};
pub use metadata::ReleaseMetadata;
pub use names::{NamespaceName, UnitName};
pub use namespaces::{add_namespace, read_namespace_update, read_new_namespace, update_namespace};
pub use next_version::next_version;
pub use previous::previous;
pub use read::{
    Application, Namespace, PAGE_ROWS, Release, VersionDetail, Yanked, metadata, namespace,
    namespaces, namespaces_named_or_public, release, release_and_metadata, release_record, unit,
    units, version_details, versions,
};
pub use register::{read_release, register};
pub use release_id::ReleaseId;
pub use resolve::{UnitPlace, meant, resolve};
pub use search::{Hit, Hits, Search, SearchRequest, search};
pub use tags::{Tag, Tagging, delete_tag, no_tag, read_tagging, set_tag, tags, tags_etag};
pub use transfer::{Importing, Summary, begin_import, export, import};
pub use upload::{expect_package, take_in, upload, upload_version};
pub use validate::Checked;
pub use version::{Version, VersionQuery};
pub use wipe::wipe;
pub use words::searched;
pub use yank::{Yanking, read_yanked, read_yanking, unyank, yank, yank_warning};
