//! Sets of children that are replaced as a whole.

use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::{HashMap, HashSet};

use arrow_array::RecordBatch;
use catalog::Table;

use super::apply::{Store, doing};
use super::newest::Newest;
use super::read::{LISTED, json_list, kept};
use super::sql;
use crate::rows::{self, AS_OF, ID, PARENT};
use crate::{Change, WarehouseError, Write};

impl Store<'_> {
    /// Sets of children, judged by what is stored before the batch's own rows of their parents are.
    pub(super) fn children(&self, writes: &[Write]) -> Result<u64, WarehouseError> {
        let mut stored = 0;
        for sets in Sets::of(writes)? {
            let rows = Newest::of(sets.table, &sets.rows)?;
            stored += self
                .replace_children(&sets, rows)
                .map_err(|source| doing("replace rows of", sets.table, source))?;
        }
        Ok(stored)
    }

    fn replace_children(&self, sets: &Sets<'_>, mut rows: Newest<'_>) -> ::duckdb::Result<u64> {
        let replaced = self.not_older(sets)?;
        if replaced.is_empty() {
            return Ok(0);
        }
        let name = sql::name(self.schema, sets.table);
        let parents: Vec<&str> = replaced.iter().copied().collect();
        self.execute(&format!("DELETE FROM {name} WHERE {PARENT} IN ({LISTED})"), [json_list(&parents)])?;
        rows.retain(|(parent, _), _| replaced.contains(parent));
        self.insert_newest(sets.table, &rows)
    }

    /// The parents whose stored state is not newer than their set: their own, or else that of their children.
    fn not_older<'a>(&self, Sets { table, ages, .. }: &Sets<'a>) -> ::duckdb::Result<HashSet<&'a str>> {
        let known: Vec<&str> =
            ages.iter().filter(|(_, age)| age.is_some()).map(|(parent, _)| *parent).collect();
        let mut stored = match rows::parent_table(table) {
            Some(parents) => self.ages(parents, ID, &known)?,
            None => HashMap::new(),
        };
        let alone: Vec<&str> = known.into_iter().filter(|parent| !stored.contains_key(*parent)).collect();
        stored.extend(self.ages(table, PARENT, &alone)?);
        let is_newer = |parent: &str, age: i64| stored.get(parent).is_some_and(|stored| *stored > age);
        Ok(ages
            .iter()
            .filter(|(parent, age)| !age.is_some_and(|age| is_newer(parent, age)))
            .map(|(parent, _)| *parent)
            .collect())
    }

    /// How old the newest row is in which a column says so.
    fn ages(&self, table: &Table, column: &str, of: &[&str]) -> ::duckdb::Result<HashMap<String, i64>> {
        if of.is_empty() {
            return Ok(HashMap::new());
        }
        let ages = format!(
            "SELECT {column}, epoch_us(max({AS_OF})) FROM {} WHERE {column} IN ({LISTED}) GROUP BY ALL",
            sql::name(self.schema, table)
        );
        kept(self.connection, &ages, [json_list(of)], |row| Ok((row.get(0)?, row.get(1)?)))
    }
}

/// Sets of children of one table that are replaced together.
struct Sets<'a> {
    table: &'static Table,
    /// How old each parent's set is, if that is known.
    ages: BTreeMap<&'a str, Option<i64>>,
    rows: Vec<&'a RecordBatch>,
    /// The parents, and all others that `rows` name.
    named: HashSet<&'a str>,
}

impl<'a> Sets<'a> {
    /// Each table's in one go, as far as no parent is named twice: of two of its sets the later one stays.
    fn of(writes: &'a [Write]) -> Result<Vec<Self>, WarehouseError> {
        let mut all: BTreeMap<&str, (HashMap<&str, i64>, Vec<Self>)> = BTreeMap::new();
        for write in writes {
            let Change::ReplaceChildren { parents, rows } = &write.change else { continue };
            let table = write.table;
            let (of_parents, groups) = match all.entry(table.name) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert((rows::parent_ages(writes, table)?, Vec::new())),
            };
            let ages = rows::set_ages(of_parents, table, rows, parents)?;
            let named = rows::texts(table, rows, PARENT)?.iter().flatten();
            let named: HashSet<&str> = named.chain(parents.iter().map(String::as_str)).collect();
            let group = match groups.last_mut() {
                Some(last) if last.named.is_disjoint(&named) => last,
                Some(_) | None => groups.push_mut(Self {
                    table,
                    ages: BTreeMap::new(),
                    rows: Vec::new(),
                    named: HashSet::new(),
                }),
            };
            group
                .ages
                .extend(parents.iter().map(|parent| (parent.as_str(), ages.get(parent.as_str()).copied())));
            group.rows.push(rows);
            group.named.extend(named);
        }
        let groups = all.into_values().flat_map(|(_, groups)| groups);
        Ok(groups.filter(|sets| !sets.ages.is_empty()).collect())
    }
}
