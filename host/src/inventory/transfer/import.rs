//! Taking a namespace in.
//!
//! Each release is kept whole, with its package and all that follows from it, in one
//! transaction of its own, as a register keeps it. What broke off is taken up by sending
//! the same stream again: what is there already, and is the same, is passed over; what
//! is there and differs stays as it is, and is reported.

use bytes::Bytes;
use futures::{Stream, StreamExt};
use serde::Serialize;
use serde_json::{Value, json, to_value};
use sha2::{Digest, Sha256};

use super::{
    super::{
        hooks_document,
        names::{NamespaceName, UnitName},
        register::{Prepared, Registration, insert},
        resolve::UnitPlace,
        tags::Tag,
        version::Version,
        yank,
    },
    End, FORMAT, Facts, Manifest, UnitFacts,
    beside::{Known, ensure_namespace, keep_unit, known},
    claims::{check, check_hooks},
    name,
    reader::{Entry, Reader, wrong},
};
use crate::{
    app::App,
    authz::{Permit, Target},
    blobs::Stored,
    error::{Error, Result},
    inventory::read_release,
    store::{
        Change, View, blob_refs,
        outbox::{Announcement, announce},
        unit_releases::{unit_release, unit_release_downloads_add, unit_release_owner},
    },
};

/// What an entry may have besides what a register may send.
const JSON_BESIDE_BYTES: u64 = 64 << 10;
/// Conflicts that are told one by one.
const REASONS_MAX: usize = 100;

/// A stream whose manifest was read.
pub struct Importing<S> {
    reader: Reader<S>,
    manifest: Manifest,
    /// The namespace that it goes to.
    pub namespace: NamespaceName,
}

/// What an import came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Summary {
    /// The namespace that it went to.
    pub namespace: String,
    /// Releases in the stream.
    pub releases: u64,
    /// Releases that are here now and were not before.
    pub imported: u64,
    /// Releases that were here already, the same.
    pub skipped: u64,
    /// Releases, tags and hooks documents that are here and differ; they stay as they are.
    pub conflicts: u64,
    /// The first of these.
    pub reasons: Vec<ConflictReason>,
}

/// Something that is here already and differs.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ConflictReason {
    /// The release, tag or unit.
    pub of: String,
    /// How it differs.
    pub reason: String,
}

impl Summary {
    fn conflict(&mut self, of: impl Into<String>, reason: impl Into<String>) {
        self.conflicts += 1;
        if self.reasons.len() < REASONS_MAX {
            self.reasons.push(ConflictReason { of: of.into(), reason: reason.into() });
        }
    }
}

/// Reads whose stream it is. It goes to the namespace of that name, or to `other`.
pub async fn begin_import<S>(app: &App, body: S, other: Option<&str>) -> Result<Importing<S>>
where
    S: Stream<Item = Result<Bytes>> + Send + Unpin,
{
    let mut reader = Reader::new(body, app.config.limits.import_bytes_max);
    let entry = reader.expect(name::MANIFEST).await?;
    let value: Value = reader.json(&entry, json_bytes_max(app)).await?;
    match value.get("format").and_then(Value::as_u64) {
        Some(format) if format == u64::from(FORMAT) => {}
        Some(format) => {
            let message = format!("it has the format {format}, and this server reads {FORMAT}");
            return Err(wrong(&message));
        }
        None => return Err(wrong("its manifest tells no format")),
    }
    let manifest: Manifest = serde_json::from_value(value)
        .map_err(|it| wrong(&format!("`{}` cannot be read: {it}", name::MANIFEST)))?;
    check_hooks(&manifest.hooks, hooks_document::NAMESPACE_HOOKS)?;
    let namespace = NamespaceName::parse(other.unwrap_or(&manifest.namespace))?;
    Ok(Importing { reader, manifest, namespace })
}

/// Takes in what the stream has. The before-hooks are asked once, about the manifest.
pub async fn import<S>(app: &App, permit: &Permit, from: &mut Importing<S>) -> Result<Summary>
where
    S: Stream<Item = Result<Bytes>> + Send + Unpin,
{
    let mut object = to_value(&from.manifest).map_err(|it| Error::Internal(it.to_string()))?;
    object["namespace"] = from.namespace.as_str().into();
    let fixed = |_, _: &()| Err("an import can only be let pass or refused".to_owned());
    permit.reviewed(app, (), object, None, fixed).await?;
    let Importing { reader, manifest, namespace } = from;
    let summary = Summary { namespace: namespace.to_string(), ..Summary::default() };
    let mut import = Import { app, permit, manifest, namespace, summary };
    import.run(reader).await?;
    Ok(import.summary)
}

impl<S: Stream<Item = Result<Bytes>> + Send + Unpin> Importing<S> {
    /// Reads on over what will not be kept, so that the sender comes to read why.
    pub async fn skip(&mut self, limit_bytes: u64) {
        self.reader.skip(limit_bytes).await;
    }
}

struct Import<'a> {
    app: &'a App,
    permit: &'a Permit,
    manifest: &'a Manifest,
    namespace: &'a NamespaceName,
    summary: Summary,
}

impl Import<'_> {
    async fn run<S>(&mut self, reader: &mut Reader<S>) -> Result<()>
    where
        S: Stream<Item = Result<Bytes>> + Send + Unpin,
    {
        let mut counts = End::default();
        let mut entry = reader.next().await?;
        while entry.name.starts_with(name::RELEASES) {
            counts.releases += 1;
            entry.is(&name::metadata(counts.releases))?;
            let has_package = self.release(reader, &entry, counts.releases).await?;
            counts.packages += u64::from(has_package);
            entry = reader.next().await?;
        }
        while entry.name.starts_with(name::UNITS) {
            counts.units += 1;
            entry.is(&name::unit(counts.units))?;
            let facts: UnitFacts = reader.json(&entry, json_bytes_max(self.app)).await?;
            self.unit(facts).await?;
            entry = reader.next().await?;
        }
        entry.is(name::END)?;
        counts.sha256 = reader.sha256_before();
        let end: End = reader.json(&entry, JSON_BESIDE_BYTES).await?;
        if end != counts {
            return Err(wrong("its bytes are not those that its end speaks of"));
        }
        reader.end().await?;
        self.summary.releases = counts.releases;
        self.finish().await
    }

    /// Takes a release in. Says whether it has a package.
    async fn release<S>(
        &mut self,
        reader: &mut Reader<S>,
        entry: &Entry,
        number: u64,
    ) -> Result<bool>
    where
        S: Stream<Item = Result<Bytes>> + Send + Unpin,
    {
        let of = |error: Error| match error {
            Error::Invalid { message, .. } => wrong(&format!("release {number}: {message}")),
            other => other,
        };
        let metadata = reader.contents(entry, json_bytes_max(self.app)).await?;
        let release = read_release(&metadata).map_err(of)?;
        let entry = reader.expect(&name::facts(number)).await?;
        let facts: Facts = reader.json(&entry, JSON_BESIDE_BYTES).await?;
        check(&facts).map_err(of)?;

        let place = UnitPlace { namespace: self.namespace.clone(), unit: release.unit.clone() };
        let version = release.version.clone();
        let prepared = Prepared::of(release);
        let known = self.known(&place, &version, prepared.line(), &facts).await?;
        let has_package = facts.package.is_some();
        let mut stored = None;
        if let Some(package) = &facts.package {
            let entry = reader.expect(&name::package(number)).await?;
            if entry.size != package.size {
                return Err(of(Error::invalid("size", "its package has another size")));
            }
            let (bytes, sha256) = match known {
                Known::Nothing => {
                    let bytes = self.take_in(reader, &entry).await?;
                    let sha256 = bytes.sha256.clone();
                    (Some(bytes), sha256)
                }
                _ => (None, digest(reader, &entry).await?),
            };
            reader.fill(&entry).await?;
            if sha256 != package.sha256 {
                return Err(of(Error::invalid("sha256", "its package has other bytes")));
            }
            stored = bytes;
        }
        let known = match known {
            Known::Nothing => {
                self.keep(place.clone(), version.clone(), prepared, facts, stored).await?
            }
            known => known,
        };
        match known {
            Known::Nothing => self.summary.imported += 1,
            Known::Same => self.summary.skipped += 1,
            Known::Other(reason) => {
                self.summary.conflict(format!("{}-v{version}", place.unit), reason);
            }
        }
        Ok(has_package)
    }

    async fn known(
        &self,
        place: &UnitPlace,
        version: &Version,
        line: &[u8],
        facts: &Facts,
    ) -> Result<Known> {
        let (place, version, line) = (place.clone(), version.clone(), line.to_vec());
        let package = facts.package.clone();
        let find = move |view: &dyn View| known(view, &place, &version, &line, package.as_ref());
        self.app.store.read(find).await
    }

    async fn take_in<S>(&self, reader: &mut Reader<S>, entry: &Entry) -> Result<Stored>
    where
        S: Stream<Item = Result<Bytes>> + Send + Unpin,
    {
        let limit_bytes = self.app.config.limits.package_bytes_max;
        if entry.size > limit_bytes {
            return Err(Error::TooLarge { what: "package", limit_bytes });
        }
        self.app.blobs.put(reader.pieces(entry), limit_bytes).await
    }

    async fn keep(
        &self,
        place: UnitPlace,
        version: Version,
        prepared: Prepared,
        facts: Facts,
        stored: Option<Stored>,
    ) -> Result<Known> {
        let target = Target {
            kind: "version".to_owned(),
            namespace: place.namespace.to_string(),
            name: place.unit.to_string(),
            version: Some(version.to_string()),
            labels: Vec::new(),
        };
        let audit = self.permit.audit_of(&target);
        let manifest = self.manifest.clone();
        // What holds the collector off comes back when the change is committed.
        let work = move |change: &mut dyn Change| {
            let package = facts.package.clone();
            let known = known(change, &place, &version, prepared.line(), package.as_ref())?;
            if !matches!(known, Known::Nothing) {
                return Ok((known, stored));
            }
            ensure_namespace(change, &place.namespace, &manifest)?;
            let registration = Registration {
                by: facts.uploaded_by,
                at: facts.uploaded_at,
                number: facts.number,
                package: facts.package,
            };
            insert(change, &place, &prepared, registration)?;
            if facts.yanked.is_some() {
                let release = unit_release(change, place.key(), &version)?;
                let release = release.ok_or_else(|| place.no_release(&version))?;
                yank::put(change, &place, &version, release, facts.yanked)?;
            }
            if let Some(package) = &package {
                let owner = unit_release_owner(place.key(), &version);
                blob_refs::refer(change, &package.sha256, &owner);
            }
            if facts.downloads > 0 {
                unit_release_downloads_add(change, place.key(), &version, facts.downloads)?;
            }
            Ok((Known::Nothing, stored))
        };
        Ok(self.app.store.write(audit, work).await?.0)
    }

    /// Takes in what a unit has beside its releases.
    async fn unit(&mut self, facts: UnitFacts) -> Result<()> {
        let unit =
            UnitName::parse(&facts.unit).map_err(|it| wrong(&format!("a unit's entry: {it}")))?;
        check_hooks(&facts.hooks, hooks_document::UNIT_HOOKS)?;
        let place = UnitPlace { namespace: self.namespace.clone(), unit };
        let mut tags = Vec::new();
        for (tag, version) in facts.tags {
            let read = Tag::parse(&tag).ok().zip(Version::parse(&version));
            let Some(read) = read else {
                return Err(wrong(&format!("the tag `{tag}` of `{}` is none", place.unit)));
            };
            tags.push(read);
        }
        let (key, hooks) = (place.clone(), facts.hooks);
        let work = move |change: &mut dyn Change| keep_unit(change, &key, &hooks, &tags);
        for (of, reason) in self.app.store.write(self.permit.audit(), work).await? {
            self.summary.conflict(of, reason);
        }
        Ok(())
    }

    /// Tells the after-hooks, and makes a namespace that no release has made.
    async fn finish(&self) -> Result<()> {
        let (namespace, manifest) = (self.namespace.clone(), self.manifest.clone());
        let told = Announcement::of(self.permit, Some(json!(self.summary)));
        let work = move |change: &mut dyn Change| {
            ensure_namespace(change, &namespace, &manifest)?;
            announce(change, &told)
        };
        self.app.store.write(self.permit.audit(), work).await
    }
}

async fn digest<S>(reader: &mut Reader<S>, entry: &Entry) -> Result<String>
where
    S: Stream<Item = Result<Bytes>> + Send + Unpin,
{
    let mut hash = Sha256::new();
    let mut pieces = std::pin::pin!(reader.pieces(entry));
    while let Some(piece) = pieces.next().await {
        hash.update(&piece?);
    }
    Ok(hex::encode(hash.finalize()))
}

fn json_bytes_max(app: &App) -> u64 {
    app.config.limits.json_bytes_max.saturating_add(JSON_BESIDE_BYTES)
}
