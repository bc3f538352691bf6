//! Writing a namespace out.
//!
//! The releases are those that are there when it begins: they are chosen by the number
//! of their registration, which only rises, and a release never changes. What else there
//! is (packages, documents, tags, counts) is as it is when its turn comes. No state of
//! the store is held for longer than a look, however slow the reader is; where releases
//! go in the meantime the stream breaks off.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::{self, Sender};

use super::{
    super::{
        names::{NamespaceName, UnitName},
        resolve::UnitPlace,
        version::Version,
    },
    BLOCK, End, FORMAT, Facts, Manifest, TAGS_MAX, UnitFacts, header, name, padding,
};
use crate::{
    app::App,
    authz::Permit,
    error::{Error, Result},
    inventory::wire,
    store::{
        View, audit,
        hooks_documents::{hooks_of_namespace, hooks_of_unit},
        namespaces::namespace,
        tags::tags_page,
        unit_releases::{
            PackageRecord, unit_release, unit_release_downloads, unit_release_metadata,
            unit_releases_page,
        },
        units::units_page,
    },
};

/// Releases that are chosen in one walk over the namespace.
const CHOSEN_MAX: usize = 50_000;
/// Rows read at once.
const PAGE: usize = 256;
/// How much is gathered before it is sent on, and how many such pieces wait.
const PIECE_BYTES: usize = 64 << 10;
const PIECES_MAX: usize = 4;

/// Where a release stands in the order of registrations.
type Turn = (u64, UnitName, u64);

/// Begins to write a namespace out.
pub async fn export(
    app: &Arc<App>,
    _: &Permit,
    name: NamespaceName,
) -> Result<impl Stream<Item = Result<Bytes>> + Send + use<>> {
    // So that what was downloaded before is counted.
    app.downloads.flush().await;
    let key = name.clone();
    let beginning = app.store.scan(move |view| beginning(view, &key, CHOSEN_MAX)).await?;
    let (sender, receiver) = mpsc::channel(PIECES_MAX);
    let app = app.clone();
    // It ends by itself when nobody listens any more.
    tokio::spawn(async move {
        let out = Out { sender, hash: Sha256::new(), gathered: Vec::new() };
        let mut writer = Writer { app, name, out, end: End::default() };
        if let Err(error) = writer.write(beginning).await {
            let _ = writer.out.sender.send(Err(error)).await;
        }
    });
    Ok(stream::unfold(receiver, |mut it| async { Some((it.recv().await?, it)) }))
}

/// What is known when the writing begins.
struct Beginning {
    manifest: Manifest,
    /// The number of the last registration that counts.
    last: u64,
    releases: u64,
    chosen: BTreeMap<Turn, Version>,
}

fn beginning(view: &dyn View, name: &NamespaceName, chosen_max: usize) -> Result<Beginning> {
    let record = namespace(view, name)?;
    let record = record.ok_or_else(|| Error::not_found("namespace", name.as_str()))?;
    let manifest = Manifest {
        format: FORMAT,
        server: concat!("chandlery ", env!("CARGO_PKG_VERSION")).to_owned(),
        namespace: name.to_string(),
        record,
        hooks: hooks_of_namespace(view, name)?,
    };
    let last = audit::head(view)?.number;
    let (chosen, releases) = choose(view, name, None, last, chosen_max)?;
    Ok(Beginning { manifest, last, releases, chosen })
}

/// The first releases behind a turn, and how many there are in all.
fn choose(
    view: &dyn View,
    name: &NamespaceName,
    behind: Option<&Turn>,
    last: u64,
    chosen_max: usize,
) -> Result<(BTreeMap<Turn, Version>, u64)> {
    let (mut chosen, mut count, mut at) = (BTreeMap::new(), 0, None);
    loop {
        let page = unit_releases_page(view, name, at, PAGE)?;
        for it in page.releases {
            let turn = (it.record.recorded, it.unit, it.record.number);
            if turn.0 > last || behind.is_some_and(|behind| turn <= *behind) {
                continue;
            }
            count += 1;
            chosen.insert(turn, it.version);
            if chosen.len() > chosen_max {
                chosen.pop_last();
            }
        }
        at = page.next;
        if at.is_none() {
            return Ok((chosen, count));
        }
    }
}

struct Writer {
    app: Arc<App>,
    name: NamespaceName,
    out: Out,
    end: End,
}

impl Writer {
    async fn write(&mut self, beginning: Beginning) -> Result<()> {
        let Beginning { manifest, last, releases, mut chosen } = beginning;
        self.out.json(name::MANIFEST, &manifest).await?;
        while let Some((turn, _)) = chosen.last_key_value() {
            let behind = turn.clone();
            for ((_, unit, _), version) in std::mem::take(&mut chosen) {
                self.release(unit, version).await?;
            }
            if self.end.releases == releases {
                break;
            }
            let name = self.name.clone();
            let more = move |view: &dyn View| {
                choose(view, &name, Some(&behind), last, CHOSEN_MAX).map(|it| it.0)
            };
            chosen = self.app.store.scan(more).await?;
        }
        if self.end.releases != releases {
            return Err(self.gone());
        }
        self.units().await?;
        self.out.end(self.end.clone()).await
    }

    async fn release(&mut self, unit: UnitName, version: Version) -> Result<()> {
        let place = UnitPlace { namespace: self.name.clone(), unit };
        let find = move |view: &dyn View| {
            let key = place.key();
            let metadata = unit_release_metadata(view, key, &version)?;
            let Some(record) = unit_release(view, key, &version)? else { return Ok(None) };
            let downloads = unit_release_downloads(view, key, &version)?;
            Ok(metadata.map(|it| (it, record, downloads)))
        };
        let found = self.app.store.read(find).await?;
        let (metadata, record, downloads) = found.ok_or_else(|| self.gone())?;
        let facts = Facts {
            number: record.number,
            uploaded_by: record.uploaded_by,
            uploaded_at: record.uploaded_at,
            downloads,
            package: record.package,
            yanked: record.yanked,
        };
        self.end.releases += 1;
        let number = self.end.releases;
        self.out.entry(&name::metadata(number), &metadata).await?;
        self.out.json(&name::facts(number), &facts).await?;
        match &facts.package {
            Some(package) => self.package(number, package).await,
            None => Ok(()),
        }
    }

    async fn package(&mut self, number: u64, package: &PackageRecord) -> Result<()> {
        self.end.packages += 1;
        self.out.head(&name::package(number), package.size).await?;
        if package.size > 0 {
            let mut bytes = self.app.blobs.get(&package.sha256, 0..package.size).await?;
            while let Some(piece) = bytes.next().await {
                self.out.add(&piece?).await?;
            }
        }
        self.out.fill(package.size).await
    }

    /// What units have beside their releases.
    async fn units(&mut self) -> Result<()> {
        let mut after = String::new();
        loop {
            let (name, behind) = (self.name.clone(), after.clone());
            let units = move |view: &dyn View| {
                let there = namespace(view, &name)?.is_some();
                Ok((there, units_page(view, &name, &behind, PAGE)?))
            };
            let (there, units) = self.app.store.read(units).await?;
            if !there {
                return Err(self.gone());
            }
            let is_last = units.len() < PAGE;
            for (unit, _) in units {
                self.unit(&unit).await?;
                after = unit;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    async fn unit(&mut self, unit: &str) -> Result<()> {
        let place = UnitPlace::parse(self.name.as_str(), unit)?;
        let (mut after, mut is_first) = (String::new(), true);
        loop {
            let (key, behind) = (place.clone(), after.clone());
            let find = move |view: &dyn View| {
                let tags = tags_page(view, key.key(), &behind, TAGS_MAX)?;
                Ok((hooks_of_unit(view, key.key())?, tags))
            };
            let (hooks, tags) = self.app.store.read(find).await?;
            let hooks = if is_first { hooks } else { Default::default() };
            let is_last = tags.len() < TAGS_MAX;
            after = tags.last().map(|it| it.0.clone()).unwrap_or_default();
            let tags = tags.into_iter().map(|(tag, version)| (tag, version.to_string()));
            let facts = UnitFacts { unit: unit.to_owned(), hooks, tags: tags.collect() };
            if !facts.hooks.hooks.is_empty() || !facts.tags.is_empty() {
                self.end.units += 1;
                self.out.json(&name::unit(self.end.units), &facts).await?;
            }
            if is_last {
                return Ok(());
            }
            is_first = false;
        }
    }

    fn gone(&self) -> Error {
        Error::Conflict(format!("releases of `{}` went while they were exported", self.name))
    }
}

/// Where it is written to.
struct Out {
    sender: Sender<Result<Bytes>>,
    hash: Sha256,
    gathered: Vec<u8>,
}

impl Out {
    async fn json(&mut self, name: &str, value: &impl Serialize) -> Result<()> {
        self.entry(name, &wire::json_line(value)).await
    }

    async fn entry(&mut self, name: &str, contents: &[u8]) -> Result<()> {
        self.head(name, contents.len() as u64).await?;
        self.add(contents).await?;
        self.fill(contents.len() as u64).await
    }

    async fn head(&mut self, name: &str, size: u64) -> Result<()> {
        let header = header(name, size);
        let header = header.ok_or_else(|| Error::Internal(format!("`{name}` is no entry")))?;
        self.add(&header).await
    }

    async fn fill(&mut self, size: u64) -> Result<()> {
        self.add(&[0; BLOCK][..padding(size)]).await
    }

    async fn end(&mut self, end: End) -> Result<()> {
        let sha256 = hex::encode(self.hash.clone().finalize());
        self.json(name::END, &End { sha256, ..end }).await?;
        self.add(&[0; 2 * BLOCK]).await?;
        self.send().await
    }

    async fn add(&mut self, bytes: &[u8]) -> Result<()> {
        self.hash.update(bytes);
        self.gathered.extend_from_slice(bytes);
        match self.gathered.len() >= PIECE_BYTES {
            true => self.send().await,
            false => Ok(()),
        }
    }

    async fn send(&mut self) -> Result<()> {
        let piece = std::mem::take(&mut self.gathered).into();
        let nobody = |_| Error::Conflict("nobody takes the export any more".to_owned());
        self.sender.send(Ok(piece)).await.map_err(nobody)
    }
}
