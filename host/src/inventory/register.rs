//! Registering a release.

use serde_json::{Value, to_value};

use super::{
    clock::rfc3339,
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
        unit_releases::{UnitReleaseRecord, unit_release, unit_release_insert},
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
    let (by, at) = (registrar(permit), rfc3339(permit.at));
    let told = Announcement::of(permit, Some(object_of(&release)?));
    let prepared = Prepared::of(release);

    let work = move |change: &mut dyn Change| {
        insert(change, &place, &prepared, by, at)?;
        announce(change, &told)
    };
    app.store.write(permit.audit(), work).await
}

/// Asks the before-hooks, which may change the release but not which one it is:
/// that is what the policy was asked about.
async fn reviewed(app: &App, permit: &Permit, release: Checked) -> Result<Checked> {
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
fn registrar(permit: &Permit) -> String {
    login::shown_name(&permit.caller.principal).to_owned()
}

/// A release with all that is kept of it, made before the writer's turn.
pub(super) struct Prepared {
    release: Checked,
    line: Vec<u8>,
    searched: SearchedRecord,
    ties: Ties,
}

impl Prepared {
    pub(super) fn of(release: Checked) -> Self {
        Prepared {
            line: wire::json_line(&release.metadata),
            searched: searched(&release.metadata),
            ties: Ties::of(&release.metadata),
            release,
        }
    }
}

pub(super) fn insert(
    change: &mut dyn Change,
    place: &UnitPlace,
    prepared: &Prepared,
    by: String,
    at: String,
) -> Result<()> {
    let Prepared { release, line, searched, ties } = prepared;
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
    let record = followed(known, release, &by, &at);
    unit_put(change, &place.namespace, &place.unit, &record);
    let record = UnitReleaseRecord {
        number: record.releases,
        uploaded_by: by,
        uploaded_at: at,
        recorded: audit::head(change)?.number + 1,
        package: None,
    };
    unit_release_insert(change, place.key(), &release.version, &record, line);
    ties.insert(change, place.key(), &release.version, record.recorded)
}

/// The unit after that release: described by the one with the greatest version.
fn followed(known: Option<UnitRecord>, release: &Checked, by: &str, at: &str) -> UnitRecord {
    let releases = known.as_ref().map_or(0, |it| it.releases) + 1;
    let described = match known {
        Some(known) if !known.is_followed_by(&release.version) => known,
        _ => UnitRecord {
            description: release.metadata.description.clone(),
            logo: release.metadata.logo.clone(),
            latest_version: release.version.to_string(),
            uploaded_by: String::new(),
            uploaded_at: String::new(),
            releases,
        },
    };
    UnitRecord { uploaded_by: by.to_owned(), uploaded_at: at.to_owned(), releases, ..described }
}
