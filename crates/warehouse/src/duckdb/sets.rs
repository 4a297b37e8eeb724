//! Sets of children that are replaced as a whole.

use std::collections::btree_map::{BTreeMap, Entry};
use std::collections::{HashMap, HashSet};

use arrow_array::RecordBatch;
use catalog::Table;
use serde_json::json;

use super::apply::{Store, doing, wide};
use super::sql;
use crate::rows::{self, PARENT};
use crate::{Change, WarehouseError, Write};

impl Store<'_> {
    /// Sets of children, judged by what is stored before the batch's own rows of their parents are.
    pub(super) fn children(&self, writes: &[Write]) -> Result<u64, WarehouseError> {
        let mut stored = 0;
        for sets in Sets::of(writes)? {
            stored += self
                .replace_children(&sets)
                .map_err(|source| doing("replace rows of", sets.table, source))?;
        }
        Ok(stored)
    }

    fn replace_children(&self, sets: &Sets<'_>) -> ::duckdb::Result<u64> {
        let name = sql::name(self.schema, sets.table);
        self.connection.execute_batch("CREATE TEMP TABLE sets (parent VARCHAR)")?;
        self.connection.execute(&self.newer_sets(sets.table), [sets.ages()])?;
        let delete = format!("DELETE FROM {name} AS t USING temp.main.sets AS s WHERE t._parent = s.parent");
        self.connection.execute_batch(&delete)?;
        let stored = match sets.rows.iter().all(|rows| rows.num_rows() == 0) {
            true => 0,
            false => self.insert_children(sets)?,
        };
        self.connection.execute_batch("DROP TABLE temp.main.sets")?;
        Ok(wide(stored))
    }

    fn insert_children(&self, Sets { table, rows, .. }: &Sets<'_>) -> ::duckdb::Result<usize> {
        let name = sql::name(self.schema, table);
        self.stage(&name, rows)?;
        let insert = format!(
            "INSERT INTO {name} ({columns}) SELECT {columns} FROM temp.main.stage AS s
                WHERE _parent IN (SELECT parent FROM temp.main.sets)
                QUALIFY row_number() OVER (PARTITION BY _parent, id ORDER BY _as_of DESC, s.rowid DESC) = 1",
            columns = sql::columns(table)
        );
        let stored = self.connection.execute(&insert, [])?;
        self.connection.execute_batch("DROP TABLE temp.main.stage")?;
        Ok(stored)
    }

    /// Takes `[{parent, age}]` and keeps the parents whose stored state is not newer.
    fn newer_sets(&self, table: &Table) -> String {
        let name = sql::name(self.schema, table);
        let parent = rows::parent_table(table).map_or_else(
            || "NULL".to_owned(),
            |parent| {
                let parent = sql::name(self.schema, parent);
                format!("(SELECT max(epoch_us(p._as_of)) FROM {parent} AS p WHERE p.id = s.parent)")
            },
        );
        format!(
            "INSERT INTO temp.main.sets SELECT DISTINCT s.parent FROM (
                SELECT unnest(from_json(?::JSON, '[{{\"parent\":\"VARCHAR\",\"age\":\"BIGINT\"}}]'), recursive := true)
            ) AS s WHERE s.age IS NULL OR s.age >= COALESCE({parent},
                (SELECT max(epoch_us(c._as_of)) FROM {name} AS c WHERE c._parent = s.parent), s.age)"
        )
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

    /// As the JSON that [`Store::newer_sets`] takes.
    fn ages(&self) -> String {
        let sets: Vec<_> =
            self.ages.iter().map(|(parent, age)| json!({ "parent": parent, "age": age })).collect();
        serde_json::Value::from(sets).to_string()
    }
}
