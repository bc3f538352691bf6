//! What must be right before anything is claimed or started.

use super::*;
use crate::{release::model::stated, store::View};

/// The group and the app's name become one name on the platform.
const APPLICATIONS_MAX: usize = 200;
const COUNT_MAX: u32 = 100;

/// A request that has all it needs.
pub(super) struct Wanted {
    pub(super) release: String,
    pub(super) platform: String,
    pub(super) package: String,
    /// The newest where there is none.
    pub(super) version: Option<String>,
    pub(super) config_values: ConfigValues,
}

impl Wanted {
    /// Reads a request; the original's own sentences say what is missing.
    pub(super) fn read(request: &InstallRequest) -> Result<Wanted> {
        let properties = request.install_properties.as_ref();
        let properties =
            properties.ok_or_else(|| conflict("Install properties must not be null"))?;
        let identifier = request.package_identifier.as_ref();
        let identifier =
            identifier.ok_or_else(|| conflict("Package identifier must not be null"))?;
        let PackageIdentifier { package_name, package_version, .. } = identifier;
        let InstallProperties { release_name, platform_name, config_values } = properties;
        let release = stated(release_name.as_deref())
            .ok_or_else(|| conflict("Release name must not be empty"))?;
        let wanted = Wanted {
            platform: stated(platform_name.as_deref())
                .ok_or_else(|| conflict("Platform name must not be empty"))?,
            package: stated(package_name.as_deref())
                .ok_or_else(|| conflict("Package name must not be empty"))?,
            version: stated(package_version.as_deref()),
            config_values: config_values.clone().unwrap_or_default(),
            release,
        };
        check_name("Release name", &wanted.release)?;
        Ok(wanted)
    }
}

/// Names end up in URLs, in folders' names and on platforms.
fn check_name(what: &str, name: &str) -> Result<()> {
    let plain = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
    let ends = name.starts_with(|it: char| it.is_ascii_alphanumeric());
    if name.len() > 128 || !ends || !name.chars().all(plain) {
        return Err(conflict(&format!(
            "{what} [{name}] must begin with a letter or a digit and have at most 128 letters, \
             digits, dots, dashes and underscores"
        )));
    }
    Ok(())
}

/// Checks the applications of a manifest as a whole.
pub(super) fn applications(applications: &[Application]) -> Result<()> {
    if applications.len() > APPLICATIONS_MAX {
        return Err(conflict(&format!(
            "The manifest has more than {APPLICATIONS_MAX} applications"
        )));
    }
    for (index, it) in applications.iter().enumerate() {
        check_name("Application name", &it.name)?;
        if applications[..index].iter().any(|other| other.name == it.name) {
            return Err(conflict(&format!(
                "The manifest has two applications named [{}]",
                it.name
            )));
        }
        count(it)?;
    }
    Ok(())
}

/// How many instances an application has.
pub(super) fn count(application: &Application) -> Result<u32> {
    const COUNT: &str = "spring.cloud.deployer.count";
    let found = application.deployment_properties.iter().find(|(key, _)| key == COUNT);
    let Some((_, text)) = found else { return Ok(1) };
    let count = text.trim().parse().ok().filter(|it| (1..=COUNT_MAX).contains(it));
    count.ok_or_else(|| {
        conflict(&format!(
            "Application [{}]: `{COUNT}` must be a number from 1 to {COUNT_MAX}, and is `{text}`",
            application.name
        ))
    })
}

/// Refuses a name that is held by an operation or by a release that is not deleted.
pub(super) fn name_is_free_in(view: &(impl View + ?Sized), name: &str) -> Result<()> {
    if let Some(held) = operations::open_of(view, name)? {
        return Err(operations::busy(Kind::Install, &held));
    }
    match releases::latest_not_failed(view, name)? {
        Some(it) if it.status() != StatusCode::Deleted => Err(conflict(&format!(
            "Release with the name [{name}] already exists and it is not deleted."
        ))),
        _ => Ok(()),
    }
}

/// The same, over what is stored now.
pub(super) async fn name_is_free(app: &App, name: &str) -> Result<()> {
    let name = name.to_owned();
    app.store.read(move |view| name_is_free_in(view, &name)).await
}

/// Refuses a version that another install has taken since it was counted.
pub(super) fn version_is_next(view: &(impl View + ?Sized), begun: &Operation) -> Result<()> {
    let Operation { release: name, version, .. } = begun;
    let latest = releases::latest(view, name)?.map_or(0, |it| it.release.version);
    match *version == latest + 1 {
        true => Ok(()),
        false => Err(conflict(&format!("Release [{name}] has changed meanwhile: try again"))),
    }
}

/// The package that is meant.
pub(super) async fn find_package(app: &App, wanted: &Wanted) -> Result<PackageRow> {
    let (name, version) = (wanted.package.clone(), wanted.version.clone());
    let found = app.store.read(move |view| match &version {
        Some(version) => packages::find(view, &name, version),
        None => packages::newest(view, &name),
    });
    found.await?.ok_or_else(|| {
        conflict(&match &wanted.version {
            Some(version) => {
                format!("Can not find package '{}', version '{version}'", wanted.package)
            }
            None => format!("Can not find a package named '{}'", wanted.package),
        })
    })
}

/// Puts the release to the before-hooks. They may change its values or its
/// manifest; what it is and where it goes was allowed as it is.
pub(super) async fn review(app: &App, permit: &Permit, release: &Release) -> Result<Release> {
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
    permit.reviewed(app, release.clone(), shown(release), None, amended).await
}

fn conflict(message: &str) -> Error {
    Error::Conflict(message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(json: serde_json::Value) -> Result<Wanted> {
        Wanted::read(&serde_json::from_value(json).unwrap())
    }

    #[test]
    fn what_is_missing_is_said_in_the_original_words() {
        use serde_json::json;
        let package = json!({ "packageName": "log" });
        for (body, message) in [
            (json!({}), "Install properties must not be null"),
            (json!({ "installProperties": {} }), "Package identifier must not be null"),
            (
                json!({ "installProperties": { "releaseName": " " }, "packageIdentifier": package }),
                "Release name must not be empty",
            ),
            (
                json!({ "installProperties": { "releaseName": "a" }, "packageIdentifier": package }),
                "Platform name must not be empty",
            ),
            (
                json!({ "installProperties": { "releaseName": "a", "platformName": "default" },
                    "packageIdentifier": {} }),
                "Package name must not be empty",
            ),
        ] {
            assert_eq!(request(body).err().unwrap().to_string(), message);
        }
    }

    #[test]
    fn names_that_could_lead_elsewhere_are_refused() {
        for name in ["a", "myLogRelease1", "a.b-c_d"] {
            assert!(check_name("Release name", name).is_ok(), "{name}");
        }
        let long = "a".repeat(129);
        for name in ["..", "a/b", "a b", "-a", ".a", "ä", "a\n", "a\0", "{port:x}", &long] {
            assert!(check_name("Release name", name).is_err(), "{name}");
        }
    }
}
