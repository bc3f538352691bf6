//! What a version of a release will be: its values, its manifest and its
//! applications, as the before-hooks leave them. Nothing is stored here, claimed or
//! started, so a plan goes the same way as what it plans.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    check,
    manifest::{self, Application},
    model::{ConfigValues, Info, Manifest, Package, Release, Status, StatusCode},
    platform::Platform,
    render::{self, Facts},
    values::Values,
};
use crate::{
    app::App,
    authz::Permit,
    clock::now_ms,
    error::Result,
    store::releases::{Provenance, ReleaseRow},
};

/// What a version of a release is made of.
pub struct Draft {
    /// The release's name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// Where it goes.
    pub platform: Platform,
    /// The package, whole.
    pub pkg: Package,
    /// The digest of the package's zip.
    pub package_sha256: String,
    /// The values over the package's own.
    pub config_values: ConfigValues,
    /// The manifest, where it is there already; it is rendered where it is not, and
    /// where a hook changes the values.
    pub manifest: Option<Rendered>,
    /// What the release says of itself at first.
    pub description: &'static str,
}

/// A manifest that was rendered before.
pub struct Rendered {
    /// Its text.
    pub text: String,
    /// The digest of the component that rendered it.
    pub renderer_sha256: String,
}

/// How the before-hooks are asked.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// What is done: `release:install`.
    pub action: &'static str,
    /// Whether it is only planned.
    pub is_trial: bool,
    /// What runs now, if anything.
    pub previous: Option<&'a Release>,
}

/// A version of a release, ready to be claimed and started.
#[derive(Clone)]
pub struct Composition {
    /// The release, its status `UNKNOWN`, and what it was made of and by.
    pub row: ReleaseRow,
    /// The values that it was rendered with: the request's over the package's.
    pub values: Values,
    /// Its applications, checked as a whole.
    pub applications: Vec<Application>,
}

/// Merges the values, renders the manifest, lets the before-hooks see the release and
/// reads its applications.
pub async fn compose(
    app: &App,
    permit: &Permit,
    draft: Draft,
    ask: Ask<'_>,
) -> Result<Composition> {
    let plugins = &permit.caller.plugins;
    let facts = Facts {
        release: draft.name.clone(),
        revision: draft.version,
        platform: draft.platform.account.clone(),
    };
    let mut values = render::model(&draft.pkg, draft.config_values.raw.as_deref()).await?;
    let named = render::renderer(&draft.pkg).to_owned();
    let renderer = || plugins.digest(&named).unwrap_or_default().to_owned();
    let mut rendered = match draft.manifest {
        Some(rendered) => rendered,
        None => Rendered {
            text: render::manifest(plugins, &draft.pkg, &values, &facts).await?,
            renderer_sha256: renderer(),
        },
    };
    let now = now_ms();
    let mut release = Release {
        name: draft.name,
        version: draft.version,
        info: Info {
            status: Status { status_code: StatusCode::Unknown, platform_status: None },
            first_deployed: now,
            last_deployed: now,
            deleted: None,
            description: draft.description.to_owned(),
        },
        pkg: draft.pkg,
        config_values: draft.config_values,
        manifest: Manifest { data: rendered.text.clone() },
        platform_name: draft.platform.account.clone(),
    };
    let reviewed = review(app, permit, &release, ask).await?;
    if reviewed.config_values != release.config_values {
        release.config_values = reviewed.config_values;
        values = render::model(&release.pkg, release.config_values.raw.as_deref()).await?;
        rendered = Rendered {
            text: render::manifest(plugins, &release.pkg, &values, &facts).await?,
            renderer_sha256: renderer(),
        };
    } else if reviewed.manifest.data != rendered.text {
        rendered.text = reviewed.manifest.data;
    }
    let applications = manifest::read(rendered.text.clone()).await?;
    check::applications(&applications)?;

    release.manifest.data = rendered.text;
    let provenance = Provenance {
        package_sha256: draft.package_sha256,
        manifest_sha256: hex::encode(Sha256::digest(&release.manifest.data)),
        renderer_sha256: rendered.renderer_sha256,
        deployer_sha256: plugins.digest(&draft.platform.deployer()).unwrap_or_default().to_owned(),
        operation_id: Uuid::new_v4().to_string(),
    };
    let row = ReleaseRow { release, apps: Vec::new(), provenance };
    Ok(Composition { row, values, applications })
}

/// Puts the release to the before-hooks. They may change its values or its
/// manifest; what it is and where it goes was allowed as it is.
async fn review(app: &App, permit: &Permit, release: &Release, ask: Ask<'_>) -> Result<Release> {
    let amended = |object, release: &Release| {
        let amended: Release =
            serde_json::from_value(object).map_err(|it| format!("it is no release: {it}"))?;
        let same = amended.name == release.name
            && amended.version == release.version
            && amended.platform_name == release.platform_name
            && amended.pkg == release.pkg;
        match same {
            true => Ok(amended),
            false => Err("only `configValues` and `manifest` of a release may change".to_owned()),
        }
    };
    if !permit.caller.plugins.has_before_hooks(ask.action, &permit.target) {
        return Ok(release.clone());
    }
    let previous = ask.previous.map(shown);
    let (release, object) = (release.clone(), shown(release));
    match ask.is_trial {
        true => permit.tried(app, ask.action, release, object, previous, amended).await,
        false => permit.reviewed(app, release, object, previous, amended).await,
    }
}

/// A release in the API's own shape, for hooks.
pub(super) fn shown(release: &Release) -> serde_json::Value {
    serde_json::to_value(release).expect("a release is plain data")
}
