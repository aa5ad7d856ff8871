//! The schema and the statements themselves: plans, indexes, comments.

use rusqlite::Connection;

use super::*;
use crate::store::catalog::{
    account, blob, collect, ending, history, loose, machine_token, manifest, outbox, overview,
    past, pull, quota, referrer, removed, repository, retention, retire, schema, tag as tags,
    total, usage, uses,
};

/// A bare database with the newest schema.
fn database() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    for (_, sql) in schema::FILES {
        connection.execute_batch(sql).unwrap();
    }
    connection
}

fn column<T: rusqlite::types::FromSql>(connection: &Connection, sql: &str, at: usize) -> Vec<T> {
    let mut statement = connection.prepare(sql).unwrap();
    // Without binding anything: a plan does not depend on values.
    let rows = statement.raw_query().mapped(|row| row.get(at));
    rows.map(Result::unwrap).collect()
}

#[test]
fn no_statement_scans_a_table_or_sorts() {
    let connection = database();
    let files = [
        account::STATEMENTS,
        blob::STATEMENTS,
        collect::STATEMENTS,
        ending::STATEMENTS,
        history::STATEMENTS,
        loose::STATEMENTS,
        machine_token::STATEMENTS,
        manifest::STATEMENTS,
        outbox::STATEMENTS,
        overview::STATEMENTS,
        past::STATEMENTS,
        pull::STATEMENTS,
        quota::STATEMENTS,
        referrer::STATEMENTS,
        removed::STATEMENTS,
        repository::STATEMENTS,
        retention::STATEMENTS,
        scrub::STATEMENTS,
        retire::STATEMENTS,
        tags::STATEMENTS,
        total::STATEMENTS,
        usage::STATEMENTS,
        uses::STATEMENTS,
    ];
    for (name, sql) in files.into_iter().flatten() {
        let plan: Vec<String> = column(&connection, &format!("EXPLAIN QUERY PLAN {sql}"), 3);
        for step in plan {
            // The list of types that the caller gave, and that alone, is read through.
            let scans = step.starts_with("SCAN")
                && !step.starts_with("SCAN json_each")
                && step != "SCAN CONSTANT ROW";
            // The few holders of a blob are sorted by name: they lie by id.
            let sorts = step.contains("TEMP B-TREE") && *name != "HOLDERS";
            assert!(!scans && !sorts, "{name}: {step}");
        }
    }
}

#[test]
fn the_pull_is_three_searches() {
    let (_, by_tag) = manifest::STATEMENTS[0];
    let plan: Vec<String> = column(&database(), &format!("EXPLAIN QUERY PLAN {by_tag}"), 3);
    assert_eq!(
        plan,
        [
            "SEARCH r USING COVERING INDEX sqlite_autoindex_repository_1 (name=?)",
            "SEARCH t USING PRIMARY KEY (repository_id=? AND name=?)",
            "SEARCH m USING INTEGER PRIMARY KEY (rowid=?)",
        ]
    );
}

/// What a HEAD asks is answered from the head of the row that has the bytes.
#[test]
fn a_length_is_had_without_the_bytes() {
    const OPFLAG_LENGTHARG: i64 = 0x40;
    let connection = database();
    let mut lengths = 0;
    for (name, sql) in blob::STATEMENTS {
        let program: Vec<String> = column(&connection, &format!("EXPLAIN {sql}"), 1);
        let flags: Vec<i64> = column(&connection, &format!("EXPLAIN {sql}"), 6);
        for (pair, flag) in program.windows(2).zip(flags) {
            if pair == ["Column", "Function"] {
                assert_eq!(flag, OPFLAG_LENGTHARG, "{name}");
                lengths += 1;
            }
        }
    }
    assert_eq!(lengths, 3);
}

#[test]
fn referrers_are_filtered_in_their_index() {
    let connection = database();
    for (name, sql) in referrer::STATEMENTS {
        let plan: Vec<String> = column(&connection, &format!("EXPLAIN QUERY PLAN {sql}"), 3);
        assert!(
            plan[1].starts_with("SEARCH m USING INDEX manifest_by_subject"),
            "{name}: {plan:?}"
        );
    }
}

#[test]
fn every_foreign_key_has_an_index_on_its_side() {
    let connection = database();
    let tables: Vec<String> = column(
        &connection,
        "SELECT name FROM sqlite_schema WHERE type = 'table'",
        0,
    );
    let mut keys = 0;
    for table in tables {
        let from: Vec<String> = column(
            &connection,
            &format!("SELECT \"from\" FROM pragma_foreign_key_list('{table}')"),
            0,
        );
        let first_columns: Vec<String> = column(
            &connection,
            &format!(
                "SELECT i.name FROM pragma_index_list('{table}') l, pragma_index_info(l.name) i
                    WHERE i.seqno = 0"
            ),
            0,
        );
        // An INTEGER PRIMARY KEY is the key of the table itself.
        let own: Vec<String> = column(
            &connection,
            &format!("SELECT name FROM pragma_table_info('{table}') WHERE pk = 1"),
            0,
        );
        keys += from.len();
        for child in from {
            let found = first_columns.contains(&child) || own.contains(&child);
            assert!(found, "{table}.{child}");
        }
    }
    assert_eq!(keys, 16);
}

#[test]
fn every_table_is_strict_and_every_column_has_a_comment() {
    let connection = database();
    let strict = "SELECT name FROM pragma_table_list
        WHERE type = 'table' AND NOT strict AND name NOT LIKE 'sqlite_%'";
    assert_eq!(
        column::<String>(&connection, strict, 0),
        Vec::<String>::new()
    );
    for (file, sql) in schema::FILES {
        let lines: Vec<&str> = sql.lines().collect();
        for pair in lines.windows(2) {
            let (before, line) = (pair[0].trim(), pair[1]);
            let first = line.trim().split(' ').next().unwrap_or_default();
            let is_column = line.starts_with("    ")
                && !line.starts_with("     ")
                && first.chars().all(|c| c.is_ascii_lowercase() || c == '_')
                && !first.is_empty();
            let commented = before.starts_with("--");
            assert!(!is_column || commented, "{file}: {line}");
            let is_table = line.starts_with("CREATE TABLE");
            assert!(!is_table || commented, "{file}: {line}");
        }
    }
}

#[test]
fn every_schema_file_is_in_the_list_in_order() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let listed: Vec<&str> = schema::FILES.iter().map(|(name, _)| *name).collect();
    assert_eq!(files, listed);
    for (at, name) in listed.iter().enumerate() {
        assert!(name.starts_with(&format!("{:04}_", at + 1)), "{name}");
    }
}
