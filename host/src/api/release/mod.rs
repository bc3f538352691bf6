//! The Spring Cloud Skipper API: packages and what runs of them.

mod about;
mod answer;
mod body;
mod links;
mod packages;
mod releases;
mod shapes;

use std::sync::Arc;

use axum::{Extension, Router, middleware};

pub(super) use self::{
    answer::failure,
    shapes::{FailureBody, HalLinks, PlainLinks},
};
use self::{
    body::Room,
    shapes::{About, ReleaseList, UploadRequest},
};
use super::{
    openapi::{hal, json},
    routes::{Routes, delete, get, post},
};
use crate::{
    app::App,
    release::model::{Info, InstallRequest, Manifest, PackageMetadata, Release},
};

/// The routes of this family, in the order of its documents.
pub(super) fn routes() -> Routes {
    let about = [get("about", "/api/about", about::about)
        .says("The versions of this server")
        .gives(200, hal::<About>())
        .as_written()];
    let packages = [
        post("uploadPackage", "/upload", packages::upload)
            .says("Keeps a package")
            .takes(json::<UploadRequest>())
            .gives(201, hal::<PackageMetadata>())
            .refuses([400, 409, 413, 415])
            .as_written(),
        post("installPackage", "/install", packages::install)
            .says("Puts a package on a platform")
            .takes(json::<InstallRequest>())
            .gives(201, hal::<Release>())
            .refuses([400, 409, 413, 415])
            .as_written(),
    ];
    let releases = [
        get("listReleases", "/list", releases::list)
            .says("Every release that is deployed or failed")
            .gives(200, json::<ReleaseList>().or("application/hal+json"))
            .as_written(),
        get("listReleasesByName", "/list/{name}", releases::list_by_name)
            .says("Those whose name contains that")
            .gives(200, json::<ReleaseList>().or("application/hal+json"))
            .refuses([400])
            .as_written(),
        get("releaseStatus", "/status/{name}", releases::status)
            .says("How a release is now")
            .gives(200, hal::<Info>())
            .refuses([400, 404])
            .as_written(),
        get("releaseVersionStatus", "/status/{name}/{version}", releases::status)
            .says("How a version of a release is now")
            .gives(200, hal::<Info>())
            .refuses([400, 404])
            .as_written(),
        get("releaseManifest", "/manifest/{name}", releases::manifest)
            .says("What the platform was told to run")
            .gives(200, hal::<Manifest>())
            .refuses([400, 404])
            .as_written(),
        get("releaseVersionManifest", "/manifest/{name}/{version}", releases::manifest)
            .says("What the platform was told to run for a version of a release")
            .gives(200, hal::<Manifest>())
            .refuses([400, 404])
            .as_written(),
        delete("deleteRelease", "/{name}", releases::delete)
            .says("Takes a release off its platform")
            .gives(200, hal::<Release>())
            .refuses([400, 404, 409])
            .as_written(),
    ];
    Routes::default().group("Server", "", about).group("Packages", "/api/package", packages).group(
        "Releases",
        "/api/release",
        releases,
    )
}

/// What all requests of this family go through.
pub(super) fn around(router: Router<Arc<App>>) -> Router<Arc<App>> {
    router.layer(Extension(Arc::new(Room::default()))).layer(middleware::from_fn(answer::tell))
}
