//! Things by ids that count up, and the order that these make: the n-th of what is there
//! is found without a walk over those before it.
//!
//! Beside each register, one row for each thousand ids says how many of them are in
//! use; a page that starts far behind adds those up.

use super::{Change, Table, Take, View};
use crate::error::{Error, Result};

/// Ids that one row of counts stands for.
const BLOCK: u64 = 1000;
/// Rows of counts in one read.
const BLOCKS: usize = 256;

/// Things by their id.
pub(super) struct Register {
    /// (id, 20 digits) → the key that the thing is kept under.
    pub(super) ids: Table,
    /// (id / [`BLOCK`], 20 digits) → how many of those ids are in use, in decimal.
    pub(super) counts: Table,
}

impl Register {
    /// Notes where the thing of a new id is kept.
    pub(super) fn insert(
        &self,
        change: &mut (impl Change + ?Sized),
        id: u64,
        at: Vec<u8>,
    ) -> Result<()> {
        let count = self.count_of(change, id / BLOCK)?;
        change.put(self.counts, &number(id / BLOCK), (count + 1).to_string().into_bytes());
        change.put(self.ids, &number(id), at);
        Ok(())
    }

    /// Drops an id, if it is in use.
    pub(super) fn remove(&self, change: &mut (impl Change + ?Sized), id: u64) -> Result<()> {
        if self.find(change, id)?.is_none() {
            return Ok(());
        }
        change.delete(self.ids, &number(id));
        let block = number(id / BLOCK);
        match self.count_of(change, id / BLOCK)?.saturating_sub(1) {
            0 => change.delete(self.counts, &block),
            left => change.put(self.counts, &block, left.to_string().into_bytes()),
        }
        Ok(())
    }

    /// Where the thing of that id is kept.
    pub(super) fn find(&self, view: &(impl View + ?Sized), id: u64) -> Result<Option<Vec<u8>>> {
        view.get(self.ids, &number(id))
    }

    /// How many ids are in use.
    pub(super) fn count(&self, view: &(impl View + ?Sized)) -> Result<u64> {
        let mut all = 0;
        self.blocks(view, |_, count| {
            all += count;
            true
        })?;
        Ok(all)
    }

    /// The ids in use, in their order, without the first `skip`: `limit` of them at the
    /// most, each with where its thing is kept.
    pub(super) fn from(
        &self,
        view: &(impl View + ?Sized),
        skip: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>> {
        let (mut before, mut first) = (0, None);
        self.blocks(view, |block, count| {
            if before + count > skip {
                first = Some(block);
                return false;
            }
            before += count;
            true
        })?;
        let Some(block) = first else { return Ok(Vec::new()) };
        let inside = usize::try_from(skip - before).unwrap_or(usize::MAX);
        let rows = self.rows(view, block * BLOCK, inside.saturating_add(limit))?;
        Ok(rows.into_iter().skip(inside).collect())
    }

    /// The ids in use behind `after`, in their order.
    pub(super) fn after(
        &self,
        view: &(impl View + ?Sized),
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>> {
        self.rows(view, after.saturating_add(1), limit)
    }

    fn rows(
        &self,
        view: &(impl View + ?Sized),
        from: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Vec<u8>)>> {
        let rows = view.range(self.ids, &number(from), b"", Take { reverse: false, limit })?;
        rows.into_iter().map(|(id, at)| Ok((read_number(&id, "an id")?, at))).collect()
    }

    fn count_of(&self, view: &(impl View + ?Sized), block: u64) -> Result<u64> {
        let count = view.get(self.counts, &number(block))?;
        count.map_or(Ok(0), |it| read_number(&it, "a count of ids"))
    }

    /// Shows each block with its count, until `with` has seen enough.
    fn blocks(
        &self,
        view: &(impl View + ?Sized),
        mut with: impl FnMut(u64, u64) -> bool,
    ) -> Result<()> {
        let mut from = Vec::new();
        loop {
            let take = Take { reverse: false, limit: BLOCKS };
            let rows = view.range(self.counts, &from, b"", take)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            from = [last.as_slice(), b"\0"].concat();
            for (block, count) in &rows {
                let count = read_number(count, "a count of ids")?;
                if !with(read_number(block, "a block of ids")?, count) {
                    return Ok(());
                }
            }
        }
    }
}

fn number(id: u64) -> Vec<u8> {
    format!("{id:020}").into_bytes()
}

fn read_number(bytes: &[u8], what: &str) -> Result<u64> {
    let text = std::str::from_utf8(bytes).ok();
    text.and_then(|it| it.parse().ok()).ok_or_else(|| Error::Store {
        doing: format!("reading {what}: it is no number"),
        source: None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::in_memory::Rows;

    const NAMES: [&str; 2] = ["things", "things_counted"];
    const THINGS: Register = Register { ids: Table(NAMES[0]), counts: Table(NAMES[1]) };

    #[test]
    fn an_id_that_is_removed_twice_counts_once() {
        let mut memory = Rows::default();
        for id in 1..=3 {
            THINGS.insert(&mut memory, id, vec![]).unwrap();
        }
        THINGS.remove(&mut memory, 2).unwrap();
        THINGS.remove(&mut memory, 2).unwrap();
        assert_eq!(THINGS.count(&memory).unwrap(), 2);
        assert_eq!(THINGS.find(&memory, 2).unwrap(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_page_is_what_a_walk_would_find(
            steps in prop::collection::vec((1..4000_u64, any::<bool>()), 0..200),
            skip in 0..250_u64,
            limit in 0..40_usize,
        ) {
            let mut memory = Rows::default();
            let mut kept = std::collections::BTreeSet::new();
            for (id, stays) in steps {
                if kept.insert(id) {
                    THINGS.insert(&mut memory, id, id.to_string().into_bytes()).unwrap();
                }
                if !stays {
                    kept.remove(&id);
                    THINGS.remove(&mut memory, id).unwrap();
                }
            }
            let named = |id: u64| (id, id.to_string().into_bytes());
            let skipped = usize::try_from(skip).unwrap();
            let walked: Vec<_> =
                kept.iter().skip(skipped).take(limit).map(|it| named(*it)).collect();
            prop_assert_eq!(THINGS.from(&memory, skip, limit).unwrap(), walked);
            prop_assert_eq!(THINGS.count(&memory).unwrap(), kept.len() as u64);
            let behind: Vec<_> =
                kept.range(skip + 1..).take(limit).map(|it| named(*it)).collect();
            prop_assert_eq!(THINGS.after(&memory, skip, limit).unwrap(), behind);
        }
    }
}
