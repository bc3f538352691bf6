//! Lists of packages, as their ids: a page of them is small, whatever the packages hold.

use super::{PACKAGE_IDS, PACKAGES, PAGE, PackageRow};
use crate::{
    error::Result,
    store::{Table, Take, View, decode, ids::Register, prefix},
};

/// What is kept of an id is a key of [`PACKAGES`].
pub(super) const IDS: Register =
    Register { ids: PACKAGE_IDS, counts: Table("package_ids_counted") };

/// How many packages there are.
pub fn count(view: &(impl View + ?Sized)) -> Result<u64> {
    IDS.count(view)
}

/// The ids of `limit` packages in the order of their ids, without the first `skip`.
pub fn ids_from(view: &(impl View + ?Sized), skip: u64, limit: usize) -> Result<Vec<u64>> {
    Ok(IDS.from(view, skip, limit)?.into_iter().map(|(id, _)| id).collect())
}

/// The ids of `limit` packages in the order of their names, or in its reverse, without
/// the first `skip`.
pub fn ids_by_name(
    view: &(impl View + ?Sized),
    reverse: bool,
    mut skip: u64,
    limit: usize,
) -> Result<Vec<u64>> {
    let mut ids = Vec::new();
    walk(view, (Vec::new(), Vec::new()), reverse, |row: PackageRow| {
        match skip {
            0 => ids.push(row.id),
            _ => skip -= 1,
        }
        Ok(ids.len() < limit)
    })?;
    Ok(ids)
}

/// Shows every package, in no order that means anything.
pub fn each_row(
    view: &(impl View + ?Sized),
    mut with: impl FnMut(PackageRow) -> Result<()>,
) -> Result<()> {
    walk(view, (Vec::new(), Vec::new()), false, |row| with(row).map(|()| true))
}

/// The ids of up to `limit` packages behind the id `after` whose name contains `part`,
/// ignoring case; in the order of ids. Fewer are all that are left.
pub fn ids_containing(
    view: &(impl View + ?Sized),
    part: &str,
    mut after: u64,
    limit: usize,
) -> Result<Vec<u64>> {
    let part = part.to_lowercase();
    let mut found = Vec::new();
    while found.len() < limit {
        let rows = IDS.after(view, after, PAGE)?;
        let Some((last, _)) = rows.last() else { break };
        after = *last;
        let named = |row: &[u8]| {
            let name = row.split(|it| *it == 0).next().unwrap_or_default();
            String::from_utf8_lossy(name).to_lowercase().contains(&part)
        };
        found.extend(rows.iter().filter(|(_, row)| named(row)).map(|(id, _)| *id));
    }
    found.truncate(limit);
    Ok(found)
}

/// The ids of all packages of that name, in their order.
pub fn ids_named(view: &(impl View + ?Sized), name: &str) -> Result<Vec<u64>> {
    // Such a name is no part of a key, so nothing has it.
    if name.contains('\0') {
        return Ok(Vec::new());
    }
    let mut ids = Vec::new();
    walk(view, prefix(&[name]), false, |row| {
        ids.push(row.id);
        Ok(true)
    })?;
    ids.sort_unstable();
    Ok(ids)
}

/// Shows the packages of a range of keys, until `with` has seen enough.
fn walk(
    view: &(impl View + ?Sized),
    (mut from, mut to): (Vec<u8>, Vec<u8>),
    reverse: bool,
    mut with: impl FnMut(PackageRow) -> Result<bool>,
) -> Result<()> {
    loop {
        let rows = view.range(PACKAGES, &from, &to, Take { reverse, limit: PAGE })?;
        let Some((last, _)) = rows.last() else { return Ok(()) };
        match reverse {
            true => to = last.clone(),
            false => from = [last.as_slice(), b"\0"].concat(),
        }
        let is_last_page = rows.len() < PAGE;
        for (_, value) in rows {
            if !with(decode(&value)?)? {
                return Ok(());
            }
        }
        if is_last_page {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        release::model::PackageMetadata,
        store::{in_memory::Rows, packages::insert},
    };

    #[test]
    fn packages_are_listed_by_id_by_name_and_by_a_part_of_it() {
        let mut memory = Rows::default();
        for name in ["time", "log", "Logger", "ticktock", "blog"] {
            put(&mut memory, name, "1.0.0");
        }
        put(&mut memory, "log", "0.9.0");

        assert_eq!(count(&memory).unwrap(), 6);
        assert_eq!(ids_from(&memory, 1, 3).unwrap(), [2, 3, 4]);
        assert_eq!(ids_by_name(&memory, false, 0, 9).unwrap(), [3, 5, 6, 2, 4, 1]);
        assert_eq!(ids_by_name(&memory, true, 1, 2).unwrap(), [4, 2]);
        assert_eq!(ids_containing(&memory, "LOG", 0, 9).unwrap(), [2, 3, 5, 6]);
        assert_eq!(ids_containing(&memory, "log", 2, 2).unwrap(), [3, 5]);
        assert_eq!(ids_named(&memory, "log").unwrap(), [2, 6]);
        assert!(ids_named(&memory, "lo").unwrap().is_empty());
        assert!(ids_named(&memory, "log\x001.0.0").unwrap().is_empty());
        let mut names = Vec::new();
        each_row(&memory, |it| {
            names.push(it.metadata.name);
            Ok(())
        })
        .unwrap();
        assert_eq!(names.len(), 6);
    }

    fn put(memory: &mut Rows, name: &str, version: &str) {
        let metadata = PackageMetadata {
            name: name.into(),
            version: version.into(),
            ..PackageMetadata::default()
        };
        insert(memory, metadata, "00".into(), 1).unwrap();
    }
}
