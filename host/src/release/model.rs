//! What the release API shows, in its own JSON shapes.
//!
//! Fields are declared in the order in which they are written; a null is written
//! as a null. The same types are kept in the store, so a change here is a change
//! of a stored format.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A release: one version of a package's applications on a platform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    /// The name it was installed under.
    pub name: String,
    /// Counts from 1 for each name.
    pub version: u32,
    /// How it is.
    pub info: Info,
    /// The package that it was made from, whole: it outlives the package.
    pub pkg: Package,
    /// The values that the request gave.
    pub config_values: ConfigValues,
    /// What was rendered of the package and the values.
    pub manifest: Manifest,
    /// The platform account it is installed on.
    pub platform_name: String,
}

/// How a release is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Info {
    /// Its status.
    pub status: Status,
    /// When this version was made, in milliseconds since the Unix epoch.
    pub first_deployed: u64,
    /// The same; kept for the clients that read it.
    pub last_deployed: u64,
    /// Always null, also after a deletion: the original never sets it.
    pub deleted: Option<u64>,
    /// What happened last, in a sentence.
    pub description: String,
}

/// A release's status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// What the server thinks.
    pub status_code: StatusCode,
    /// What the platform says of each application: a JSON array, as text.
    pub platform_status: Option<String>,
}

/// What the server thinks of a release. Clients fail on any other word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum StatusCode {
    /// On its way.
    Unknown,
    /// Handed to the platform.
    Deployed,
    /// Taken off the platform.
    Deleted,
    /// Did not work.
    Failed,
}

/// A package as it was read from its zip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Package {
    /// What it says of itself.
    pub metadata: PackageMetadata,
    /// What its manifest is made of, in the order of their names.
    pub templates: Vec<Template>,
    /// Its sub-packages, in the order of their folders' names.
    #[schema(no_recursion)]
    pub dependencies: Vec<Package>,
    /// Its default values; null where it has no values file.
    pub config_values: Option<ConfigValues>,
    /// Manifests that the package brings ready-made.
    pub file_holders: Vec<FileHolder>,
}

/// What a package says of itself. Its id, its bytes and its object version are
/// never shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PackageMetadata {
    /// The version of the metadata's own form; free text.
    pub api_version: Option<String>,
    /// Where it was made; free text.
    pub origin: Option<String>,
    /// The repository that it is in; null for a sub-package.
    pub repository_id: Option<u64>,
    /// That repository's name.
    pub repository_name: Option<String>,
    /// Free text.
    pub kind: Option<String>,
    /// The package's name.
    pub name: String,
    /// The name for people.
    pub display_name: Option<String>,
    /// The package's version.
    pub version: String,
    /// Where its source is.
    pub package_source_url: Option<String>,
    /// Where more about it is.
    pub package_home_url: Option<String>,
    /// Words to find it by, in one text.
    pub tags: Option<String>,
    /// Who looks after it.
    pub maintainer: Option<String>,
    /// What it is, in a sentence.
    pub description: Option<String>,
    /// Its zip's digest, in hexadecimal. Where a remote repository's index has it, what
    /// is fetched is checked against it.
    pub sha256: Option<String>,
    /// Where its picture is.
    pub icon_url: Option<String>,
    /// The renderer that its templates are for; only shown where it is not the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renderer: Option<String>,
}

/// A template of a package.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = PackageTemplate)]
pub struct Template {
    /// Its file's name, without folders.
    pub name: String,
    /// Its text.
    pub data: String,
}

/// Values as a person wrote them: YAML text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ConfigValues {
    /// The text; null where none was given.
    pub raw: Option<String>,
}

/// A file that a package brings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FileHolder {
    /// The file's bytes, in base64.
    pub bytes: String,
    /// The file's name.
    pub name: String,
}

/// What the platform is told to run: YAML documents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Manifest {
    /// The text.
    pub data: String,
}

/// Which package to install.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PackageIdentifier {
    /// Read and not used, as in the original.
    pub repository_name: Option<String>,
    /// The package's name.
    pub package_name: Option<String>,
    /// Its version; the newest where absent or blank.
    pub package_version: Option<String>,
}

/// How to install it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InstallProperties {
    /// The name of the release.
    pub release_name: Option<String>,
    /// Values over the package's own.
    #[serde(deserialize_with = "object")]
    pub config_values: Option<ConfigValues>,
    /// The platform account.
    pub platform_name: Option<String>,
}

/// A request to install a package.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InstallRequest {
    /// Which package.
    #[serde(deserialize_with = "object")]
    pub package_identifier: Option<PackageIdentifier>,
    /// How.
    #[serde(deserialize_with = "object")]
    pub install_properties: Option<InstallProperties>,
}

/// How to upgrade it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UpgradeProperties {
    /// The release.
    pub release_name: Option<String>,
    /// Values over the package's own and, unless the settings say otherwise, over those
    /// of the version before.
    #[serde(deserialize_with = "object")]
    pub config_values: Option<ConfigValues>,
}

/// A request to put another version in the place of a release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct UpgradeRequest {
    /// Which package.
    #[serde(deserialize_with = "object")]
    pub package_identifier: Option<PackageIdentifier>,
    /// How.
    #[serde(deserialize_with = "object")]
    pub upgrade_properties: Option<UpgradeProperties>,
    /// How long its applications may take to be healthy, in milliseconds.
    pub timeout: Option<i64>,
    /// Whether applications are started anew although they do not differ.
    pub force: Option<bool>,
    /// With `force`, only these besides those that differ; all where there are none.
    pub app_names: Option<Vec<String>>,
}

/// A request to bring an earlier version back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RollbackRequest {
    /// The release.
    pub release_name: Option<String>,
    /// The version that comes back; 0 is the one before.
    pub version: Option<i64>,
    /// How long its applications may take to be healthy, in milliseconds.
    pub timeout: Option<i64>,
}

impl Default for RollbackRequest {
    // What is left out is 0, and only a null is nothing: so the original has it.
    fn default() -> Self {
        RollbackRequest { release_name: None, version: Some(0), timeout: None }
    }
}

/// A request to change how many instances run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScaleRequest {
    /// Which applications.
    pub scale: Option<Vec<ScaleItem>>,
}

/// How many instances of one application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScaleItem {
    /// The application.
    pub name: Option<String>,
    /// Its instances.
    pub count: Option<i64>,
    /// Without effect, of which a `Warning` of the answer tells.
    pub properties: Option<Map<String, Value>>,
}

/// A request to cancel what waits to be healthy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct CancelRequest {
    /// The release.
    pub release_name: Option<String>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CancelResponse {
    /// Whether there was something to cancel.
    pub accepted: bool,
}

/// What a field of a request says: trimmed, and nothing where that leaves nothing.
pub fn stated(field: Option<&str>) -> Option<String> {
    field.map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned)
}

/// Reads an object or null. Left to itself, serde takes a list for a struct, too.
fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    from.deserialize_any(Object(PhantomData))
}

struct Object<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    // Read right here, so that who keeps track of the path sees each field.
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_written_in_the_documented_order_with_its_nulls() {
        let metadata = PackageMetadata { name: "log".into(), ..PackageMetadata::default() };

        let text = serde_json::to_string(&metadata).unwrap();

        assert_eq!(
            text,
            concat!(
                r#"{"apiVersion":null,"origin":null,"repositoryId":null,"repositoryName":null,"#,
                r#""kind":null,"name":"log","displayName":null,"version":"","#,
                r#""packageSourceUrl":null,"packageHomeUrl":null,"tags":null,"maintainer":null,"#,
                r#""description":null,"sha256":null,"iconUrl":null}"#,
            )
        );
    }

    #[test]
    fn a_status_code_is_upper_case() {
        assert_eq!(serde_json::to_string(&StatusCode::Deployed).unwrap(), r#""DEPLOYED""#);
    }

    #[test]
    fn an_install_request_may_leave_out_or_null_what_it_does_not_need() {
        let text = r#"{"installProperties":{"configValues":null,"releaseName":"a","more":1}}"#;

        let request: InstallRequest = serde_json::from_str(text).unwrap();

        assert_eq!(request.package_identifier, None);
        assert_eq!(request.install_properties.unwrap().release_name.as_deref(), Some("a"));
    }

    #[test]
    fn a_list_is_no_object() {
        for text in [
            r#"{"installProperties":[]}"#,
            r#"{"packageIdentifier":["a"]}"#,
            r#"{"installProperties":{"configValues":["a: 1"]}}"#,
            r#"{"installProperties":"text"}"#,
        ] {
            assert!(serde_json::from_str::<InstallRequest>(text).is_err(), "{text}");
        }
    }
}
