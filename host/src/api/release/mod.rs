//! The Spring Cloud Skipper API: packages and what runs of them.

mod about;
mod actuator;
mod address;
mod answer;
mod body;
mod changes;
mod index;
mod links;
mod management;
mod packages;
mod releases;
mod resources;
mod shapes;
mod spelling;
mod watch;

use std::sync::Arc;

use axum::{Extension, Router, extract::State, middleware};

pub(super) use self::{
    answer::failure,
    shapes::{FailureBody, HalLinks, PlainLinks},
    spelling::{Sent, respell},
};
use self::{
    body::Room,
    resources::{Index, NothingFound},
    shapes::{
        About, ActuatorPost, Health, LogInfo, NoBody, ReleaseList, ServerInfo, States,
        UploadRequest,
    },
};
use super::{
    openapi::{hal, json, map_of, nothing, typed},
    routes::{Route, Routes, delete, get, post},
};
use crate::{
    app::App,
    release::model::{
        CancelRequest, CancelResponse, Info, InstallProperties, InstallRequest, Manifest,
        PackageMetadata, Release, RollbackRequest, ScaleRequest, UpgradeRequest,
    },
};

const NAMES: &str = "The names of releases, with commas between; needed.";

/// The routes of this family, in the order of its documents.
pub(super) fn routes() -> Routes {
    let about = [get("about", "/api/about", about::about)
        .says("The versions of this server")
        .gives(200, hal::<About>())
        .as_written()];
    let packages = [
        get("packageLinks", "", index::package)
            .says("What can be done with packages")
            .gives(200, hal::<NoBody>())
            .as_written(),
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
        post("installPackageById", "/install/{id}", packages::install_by_id)
            .says("Puts the package of an id on a platform")
            .takes(json::<InstallProperties>())
            .gives(201, hal::<Release>())
            .refuses([400, 409, 413, 415])
            .as_written(),
        delete("deletePackage", "/{name}", packages::delete)
            .says("Deletes all versions of a package")
            .gives(200, nothing())
            .refuses([400, 409])
            .as_written(),
    ];
    let releases = [
        get("releaseLinks", "", index::release)
            .says("What can be done with releases")
            .gives(200, hal::<NoBody>())
            .as_written(),
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
        get("releaseStatuses", "/statuses", watch::statuses)
            .says("How these releases are now, by name")
            .query("names", NAMES)
            .gives(200, map_of::<Info>())
            .refuses([400])
            .as_written(),
        get("releaseStates", "/states", watch::states)
            .says("The state of each application of these releases")
            .query("names", NAMES)
            .gives(200, map_of::<States>())
            .refuses([400])
            .as_written(),
        get("releaseLogs", "/logs/{name}", watch::logs)
            .says("The end of the log of each application of a release")
            .gives(200, json::<LogInfo>())
            .refuses([400, 404, 409])
            .as_written(),
        get("applicationLogs", "/logs/{name}/{app}", watch::logs)
            .says("The end of the log of an application")
            .gives(200, json::<LogInfo>())
            .refuses([400, 404, 409])
            .as_written(),
        get("readActuator", "/actuator/{name}/{app}/{id}", actuator::read)
            .says("What an application says at one of its management endpoints")
            .query("endpoint", "The endpoint, below `/actuator/` of the application.")
            .header("Authorization", "Passed on to the application.")
            .gives(200, typed("text/plain").or("application/json"))
            .refuses([400, 404, 409])
            .as_written(),
        post("writeActuator", "/actuator/{name}/{app}/{id}", actuator::write)
            .says("Posts to a management endpoint of an application")
            .header("Authorization", "Passed on to the application.")
            .takes(json::<ActuatorPost>())
            .gives(200, typed("text/plain").or("application/json"))
            .refuses([400, 404, 409, 413, 415])
            .as_written(),
        post("upgradeRelease", "/upgrade", changes::upgrade)
            .says("Puts another version in the place of a release")
            .takes(json::<UpgradeRequest>())
            .gives(201, hal::<Release>())
            .refuses([400, 404, 409, 413, 415])
            .as_written(),
        post("rollbackRelease", "/rollback", changes::rollback)
            .says("Brings an earlier version of a release back")
            .takes(json::<RollbackRequest>())
            .gives(201, hal::<Release>())
            .refuses([400, 404, 409, 413, 415])
            .as_written(),
        post("rollbackReleaseTo", "/rollback/{name}/{version}", changes::rollback_to)
            .says("Brings that version of a release back; 0 is the one before")
            .gives(201, hal::<Release>())
            .refuses([400, 404, 409])
            .as_written(),
        post("scaleRelease", "/scale/{name}", changes::scale)
            .says("Changes how many instances of an application run")
            .takes(json::<ScaleRequest>())
            .gives(201, hal::<Release>())
            .refuses([400, 404, 409, 413, 415])
            .as_written(),
        post("cancelRelease", "/cancel", changes::cancel)
            .says("Cancels an upgrade or a rollback that waits to be healthy")
            .takes(json::<CancelRequest>())
            .gives(200, json::<CancelResponse>())
            .refuses([400, 404, 409, 413, 415])
            .as_written(),
        delete("deleteRelease", "/{name}", releases::delete)
            .says("Takes a release off its platform")
            .gives(200, hal::<Release>())
            .refuses([400, 404, 409])
            .as_written(),
        delete("deleteReleaseWithPackage", "/{name}/package", releases::delete_with_package)
            .says("Takes a release off its platform and deletes the package it was made of")
            .gives(200, hal::<Release>())
            .refuses([400, 404, 409])
            .as_written(),
    ];
    Routes::default()
        .group("Server", "", about)
        .group("Resources", "/api", links())
        .group("Packages", "/api/package", packages)
        .group("Releases", "/api/release", releases)
        .group("Resources", "/api", resources::routes())
        .group("Server", "/actuator", management())
}

fn links() -> Vec<Route> {
    let empty = |id, resource: &'static str| {
        let handler =
            move |State(app), Extension(caller), view| index::nothing(app, caller, view, resource);
        get(id, &format!("/{resource}"), handler)
            .says("Parts of the original's state machines, which are not here")
            .gives(200, json::<NothingFound>().or("application/hal+json"))
            .as_written()
    };
    vec![
        get("links", "", index::api)
            .says("What there is")
            .gives(200, json::<Index>().or("application/hal+json"))
            .as_written(),
        empty("stateMachineStates", "jpaRepositoryStates"),
        empty("stateMachineGuards", "jpaRepositoryGuards"),
        empty("stateMachineActions", "jpaRepositoryActions"),
        empty("stateMachineTransitions", "jpaRepositoryTransitions"),
        empty("stateMachines", "jpaRepositoryStateMachines"),
    ]
}

fn management() -> Vec<Route> {
    vec![
        get("management", "", management::index)
            .says("What can be asked about the server as a Spring application")
            .gives(200, hal::<NoBody>())
            .as_written(),
        get("managementHealth", "/health", management::health)
            .says("Whether the server is fit for work, as Spring tells it")
            .gives(200, json::<Health>())
            .refuses([503])
            .as_written()
            .unasked(),
        get("managementInfo", "/info", management::info)
            .says("What this server is, as Spring tells it")
            .gives(200, json::<ServerInfo>())
            .as_written(),
    ]
}

/// What all requests of this family go through.
pub(super) fn around(router: Router<Arc<App>>) -> Router<Arc<App>> {
    router.layer(Extension(Arc::new(Room::default()))).layer(middleware::from_fn(answer::tell))
}
