//! Registering a release.

use serde_json::{Value, to_value};

use super::{
    clock::rfc3339,
    conditions::digest,
    decode,
    dependencies::Ties,
    names::NamespaceName,
    resolve::UnitPlace,
    validate::{Checked, validate},
    wire,
    words::searched,
};
use crate::{
    app::App,
    authz::Permit,
    error::{Error, Result},
    login,
    store::{
        Change, audit,
        namespaces::{NamespaceRecord, namespace, namespace_insert},
        outbox::{Announcement, announce},
        search::{SearchedRecord, search_put},
        unit_releases::{PackageRecord, UnitReleaseRecord, unit_release, unit_release_insert},
        units::{UnitRecord, unit, unit_put},
    },
};

/// Reads and checks a register's body, in the order of the original's checks.
pub fn read_release(body: &[u8]) -> Result<Checked> {
    validate(decode::metadata(body)?)
}

/// Registers a release in `namespace`, which is created where it is missing.
///
/// The release, its unit and its namespace are kept in one transaction, together
/// with what the after-hooks will be told. A version, once registered, never
/// changes.
pub async fn register(
    app: &App,
    permit: &Permit,
    namespace: NamespaceName,
    release: Checked,
) -> Result<()> {
    let release = reviewed(app, permit, release).await?;
    let place = UnitPlace { namespace, unit: release.unit.clone() };
    let registration =
        Registration { by: registrar(permit), at: rfc3339(permit.at), ..Registration::default() };
    let object = Announcement::is_wanted(permit).then(|| object_of(&release)).transpose()?;
    let told = Announcement::of(permit, object);
    let prepared = Prepared::of(release);

    let work = move |change: &mut dyn Change| {
        insert(change, &place, &prepared, registration)?;
        announce(change, &told)
    };
    app.store.write(permit.audit(), work).await
}

/// Asks the before-hooks, which may change the release but not which one it is:
/// that is what the policy was asked about.
async fn reviewed(app: &App, permit: &Permit, release: Checked) -> Result<Checked> {
    if !permit.is_reviewed() {
        return Ok(release);
    }
    let object = object_of(&release)?;
    let amended = |object: Value, release: &Checked| {
        let amended = decode::amended(object).and_then(validate).map_err(|it| it.to_string())?;
        if (&amended.unit, &amended.version) != (&release.unit, &release.version) {
            return Err("the name and the version of a release stay as they are".to_owned());
        }
        Ok(amended)
    };
    permit.reviewed(app, release, object, None, amended).await
}

fn object_of(release: &Checked) -> Result<Value> {
    to_value(&release.metadata).map_err(|it| Error::Internal(it.to_string()))
}

/// The name that is shown as `uploaded_by`.
pub(super) fn registrar(permit: &Permit) -> String {
    login::shown_name(&permit.caller.principal).to_owned()
}

/// A release with all that is kept of it, made before the writer's turn.
pub(super) struct Prepared {
    release: Checked,
    line: Vec<u8>,
    digest: String,
    searched: SearchedRecord,
    ties: Ties,
}

impl Prepared {
    pub(super) fn of(release: Checked) -> Self {
        let line = wire::json_line(&release.metadata);
        Prepared {
            digest: digest(&line),
            line,
            searched: searched(&release.metadata),
            ties: Ties::of(&release.metadata),
            release,
        }
    }

    /// The release's metadata, as it is kept and answered.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }
}

/// Who registers, when, and what comes along where a release is taken over.
#[derive(Default)]
pub(super) struct Registration {
    /// Empty where unknown.
    pub(super) by: String,
    pub(super) at: String,
    /// The least number that the release gets in its unit.
    pub(super) number: u64,
    /// Its bytes.
    pub(super) package: Option<PackageRecord>,
}

/// Keeps a release and all that follows from it.
pub(super) fn insert(
    change: &mut dyn Change,
    place: &UnitPlace,
    prepared: &Prepared,
    registration: Registration,
) -> Result<()> {
    let Registration { by, at, number, package } = registration;
    let Prepared { release, line, digest, searched, ties } = prepared;
    if unit_release(change, place.key(), &release.version)?.is_some() {
        let message = format!("Release {}-v{} already exists", place.unit, release.version);
        return Err(Error::invalid("version", message));
    }
    if namespace(change, &place.namespace)?.is_none() {
        namespace_insert(change, &place.namespace, &NamespaceRecord::default())?;
    }
    let known = unit(change, &place.namespace, &place.unit)?;
    if known.as_ref().is_none_or(|it| it.is_followed_by(&release.version)) {
        search_put(change, place.key(), searched)?;
    }
    let recorded = audit::head(change)?.number + 1;
    let mut followed = followed(known, release, recorded);
    followed.releases = followed.releases.max(number);
    followed.uploaded_by.clone_from(&by);
    followed.uploaded_at.clone_from(&at);
    unit_put(change, &place.namespace, &place.unit, &followed);
    let record = UnitReleaseRecord {
        number: followed.releases,
        uploaded_by: by,
        uploaded_at: at,
        recorded,
        digest: digest.clone(),
        package,
        ..UnitReleaseRecord::default()
    };
    unit_release_insert(change, place.key(), &release.version, &record, line);
    ties.insert(change, place.key(), &release.version, record.recorded)
}

/// The unit after that release: described by the one with the greatest version.
fn followed(known: Option<UnitRecord>, release: &Checked, recorded: u64) -> UnitRecord {
    let mut unit = known.unwrap_or_else(|| UnitRecord { birth: recorded, ..UnitRecord::default() });
    if unit.is_followed_by(&release.version) {
        unit.description.clone_from(&release.metadata.description);
        unit.logo.clone_from(&release.metadata.logo);
        unit.latest_version = release.version.to_string();
        unit.all_yanked = false;
    }
    unit.releases += 1;
    unit.changes += 1;
    unit
}
