//! What a request to install must say.

use super::*;
use crate::release::{check::conflict, model::stated};

/// A request that has all it needs.
pub(super) struct Wanted {
    pub(super) release: String,
    pub(super) platform: String,
    pub(super) package: Meant,
    pub(super) config_values: ConfigValues,
}

/// Which package is meant.
pub(super) enum Meant {
    /// That of a name and a version; the newest where there is none.
    Named(String, Option<String>),
    /// That of an id.
    Id(u64),
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
        let package = || {
            let name = stated(package_name.as_deref())
                .ok_or_else(|| conflict("Package name must not be empty"))?;
            Ok(Meant::Named(name, stated(package_version.as_deref())))
        };
        Wanted::of(properties, package)
    }

    /// The same where the package is known by its id.
    pub(super) fn of_id(id: u64, properties: &InstallProperties) -> Result<Wanted> {
        Wanted::of(properties, || Ok(Meant::Id(id)))
    }

    fn of(
        properties: &InstallProperties,
        package: impl FnOnce() -> Result<Meant>,
    ) -> Result<Wanted> {
        let InstallProperties { release_name, platform_name, config_values } = properties;
        let release = stated(release_name.as_deref())
            .ok_or_else(|| conflict("Release name must not be empty"))?;
        let wanted = Wanted {
            platform: stated(platform_name.as_deref())
                .ok_or_else(|| conflict("Platform name must not be empty"))?,
            package: package()?,
            config_values: config_values.clone().unwrap_or_default(),
            release,
        };
        check::name("Release name", &wanted.release)?;
        Ok(wanted)
    }

    /// The package that is meant.
    pub(super) async fn package(&self, app: &App, permit: &Permit) -> Result<PackageRow> {
        match &self.package {
            Meant::Named(name, version) => {
                let found = package::find(app, &permit.caller, name, version.as_deref()).await?;
                found.ok_or_else(|| match version {
                    Some(version) => package::no_version(name, version),
                    None => conflict(&format!("Can not find a package named '{name}'")),
                })
            }
            Meant::Id(id) => package::find_by_id(app, &permit.caller, *id).await,
        }
    }
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
}
