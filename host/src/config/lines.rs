//! On which line of a settings file each key is set.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

/// The lines of a file, and the keys on them.
pub(super) struct Lines {
    starts: Vec<usize>,
    keys: BTreeMap<String, usize>,
}

impl Lines {
    /// Finds the keys of a TOML text; none where it does not parse.
    pub(super) fn of_text(text: &str) -> Lines {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(ends).collect();
        let mut lines = Lines { starts, keys: BTreeMap::new() };
        if let Ok(table) = DeTable::parse(text) {
            lines.table(table.get_ref(), "");
        }
        lines
    }

    /// The line of a byte, counted from 1.
    pub(super) fn at(&self, byte: usize) -> usize {
        self.starts.partition_point(|it| *it <= byte)
    }

    /// The line of a key, or of the nearest that it is part of; 0 where unknown.
    pub(super) fn of(&self, key: &str) -> usize {
        let mut key = key;
        loop {
            match (self.keys.get(key), key.rsplit_once('.')) {
                (Some(line), _) => return *line,
                (None, Some((parent, _))) => key = parent,
                (None, None) => return 0,
            }
        }
    }

    fn table(&mut self, table: &DeTable<'_>, prefix: &str) {
        for (name, value) in table {
            let dot = if prefix.is_empty() { "" } else { "." };
            let key = format!("{prefix}{dot}{}", name.get_ref());
            self.value(value.get_ref(), name.span().start, &key);
        }
    }

    fn value(&mut self, value: &DeValue<'_>, start: usize, key: &str) {
        let line = self.at(start);
        self.keys.insert(key.to_owned(), line);
        match value {
            DeValue::Table(table) => self.table(table, key),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.value(item.get_ref(), item.span().start, &format!("{key}.{index}"));
                }
            }
            _ => {}
        }
    }
}
