//! The file: what is opened, what is refused and with which words, and what a full disk does.

use std::fs;
use std::path::PathBuf;

use rusqlite::Connection;

use super::*;
use crate::store::catalog::schema::APPLICATION_ID;

struct Folder {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn folder() -> Folder {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("coracle.db");
    Folder {
        _folder: folder,
        path,
    }
}

fn refused(path: &Path) -> Error {
    let opened = Catalog::open(relaxed(Location::File(path)), Box::new(|_| Ok(())));
    opened.err().expect("is refused")
}

#[test]
fn what_was_written_is_there_after_reopening() {
    for durability in [Durability::Full, Durability::Relaxed] {
        let Folder { _folder, path } = folder();
        let open = || {
            let options = Options {
                durability,
                ..Options::new(Location::File(&path))
            };
            Catalog::open(options, Box::new(|_| Ok(()))).unwrap()
        };
        let catalog = open();
        push(&catalog, "app", &["m", "n"]);
        let before = read(&catalog, |tx| tx.totals());
        catalog.close(Duration::from_secs(60)).unwrap();
        let log = path.with_extension("db-wal");
        assert!(!log.exists(), "the log is folded in");

        let catalog = open();
        assert_eq!(read(&catalog, |tx| tx.totals()), before);
        let row = read(&catalog, |tx| tx.manifest_by_tag(&name("app"), &tag("m")));
        assert_eq!(row, Some(sample("m").row()));
        assert_eq!(catalog.integrity().unwrap(), Vec::<String>::new());
    }
}

#[test]
fn what_was_answered_is_in_the_files_at_once() {
    let Folder { _folder, path } = folder();
    let catalog = in_file(&path);
    push(&catalog, "app", &["m"]);
    // As a crash of the process would leave them.
    let copy = folder();
    for extension in ["db", "db-wal"] {
        fs::copy(
            path.with_extension(extension),
            copy.path.with_extension(extension),
        )
        .unwrap();
    }
    let recovered = in_file(&copy.path);
    assert_eq!(read(&recovered, |tx| tx.totals()).manifests, 1);
    assert_eq!(recovered.integrity().unwrap(), Vec::<String>::new());
}

#[test]
fn an_older_file_is_brought_up_to_date_with_what_it_has() {
    let Folder { _folder, path } = folder();
    let older = Connection::open(&path).unwrap();
    let (_, first) = crate::store::catalog::schema::FILES[0];
    older.execute_batch(first).unwrap();
    let mut digest_column = vec![1];
    digest_column.extend(digest("old").raw());
    let insert = "INSERT INTO blob (digest, size, created_at) VALUES (?1, 3, 0)";
    older.execute(insert, [digest_column]).unwrap();
    older
        .pragma_update(None, "application_id", APPLICATION_ID)
        .unwrap();
    older.pragma_update(None, "user_version", 1).unwrap();
    drop(older);
    let catalog = in_file(&path);
    write(&catalog, |tx| tx.insert_blob(&inline("new")));
    read(&catalog, |tx| {
        let form = |text| Ok::<_, Error>(tx.blob(&digest(text))?.map(|row| row.inline));
        assert_eq!((form("old")?, form("new")?), (Some(None), Some(Some(3))));
        Ok(())
    });
}

#[test]
fn a_newer_file_is_refused_and_left_as_it_is() {
    let Folder { _folder, path } = folder();
    in_file(&path).close(Duration::from_secs(60)).unwrap();
    let newer = Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 7).unwrap();
    drop(newer);
    let before = fs::read(&path).unwrap();
    let error = refused(&path);
    assert_eq!(error.kind(), ErrorKind::Newer);
    let text = error.to_string();
    assert!(text.contains("schema version 7"), "{text}");
    let known = format!("versions up to {}", super::super::schema::FILES.len());
    assert!(text.contains(&known), "{text}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_database_of_somebody_else_is_refused_and_left_as_it_is() {
    for sql in [
        "CREATE TABLE theirs (x)",
        "PRAGMA application_id = 77",
        "PRAGMA user_version = 1",
    ] {
        let Folder { _folder, path } = folder();
        let theirs = Connection::open(&path).unwrap();
        theirs
            .execute_batch("CREATE TABLE t (x); DROP TABLE t")
            .unwrap();
        theirs.execute_batch(sql).unwrap();
        drop(theirs);
        let before = fs::read(&path).unwrap();
        let error = refused(&path);
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{sql}");
        let text = error.to_string();
        assert!(text.contains("not a catalog of Coracle"), "{text}");
        assert!(text.contains("coracle check"), "{text}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[test]
fn an_empty_database_becomes_a_catalog() {
    let Folder { _folder, path } = folder();
    fs::write(&path, "").unwrap();
    push(&in_file(&path), "app", &["m"]);
    let file = Connection::open(&path).unwrap();
    let id: i64 = file
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .unwrap();
    assert_eq!(id, APPLICATION_ID);
}

#[test]
fn garbage_is_refused_with_what_to_do() {
    let good = folder();
    let catalog = in_file(&good.path);
    push(&catalog, "app", &["m"]);
    catalog.close(Duration::from_secs(60)).unwrap();
    let sound = fs::read(&good.path).unwrap();

    let mut damaged_header = sound.clone();
    damaged_header[..20].fill(0xa5);
    let mut damaged_schema = sound.clone();
    damaged_schema[100..4096].fill(0xff);
    let cases = [
        b"certainly not a database, but long enough to be looked at".repeat(100),
        vec![0; 8192],
        damaged_header,
        damaged_schema,
        sound[..4096 + 100].to_vec(),
    ];
    for (case, bytes) in cases.iter().enumerate() {
        let Folder { _folder, path } = folder();
        fs::write(&path, bytes).unwrap();
        let error = refused(&path);
        assert_eq!(error.kind(), ErrorKind::Corrupt, "case {case}: {error}");
        assert!(
            error.to_string().contains("coracle check"),
            "case {case}: {error}"
        );
    }
}

#[test]
fn a_log_without_its_database_is_not_thrown_away() {
    for remove in [true, false] {
        let Folder { _folder, path } = folder();
        let log = path.with_extension("db-wal");
        fs::write(&log, "frames").unwrap();
        if !remove {
            fs::write(&path, "").unwrap();
        }
        let error = refused(&path);
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("write-ahead log"), "{error}");
        assert_eq!(fs::read(&log).unwrap(), b"frames");
    }
}

#[test]
fn damage_met_by_a_read_is_an_error_and_found_by_the_check() {
    let Folder { _folder, path } = folder();
    let catalog = in_file(&path);
    let contents: Vec<String> = (0..200)
        .map(|n| format!("m{n}-{}", "x".repeat(999)))
        .collect();
    let samples: Vec<Sample> = contents.iter().map(|content| sample(content)).collect();
    let digests: Vec<Digest> = samples.iter().map(Sample::digest).collect();
    write(&catalog, move |tx| {
        samples
            .iter()
            .try_for_each(|sample| sample.put(tx, &name("app")))
    });
    catalog.close(Duration::from_secs(60)).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let half = bytes.len() / 2 / 4096 * 4096;
    bytes[half..half + 5 * 4096].fill(0xa5);
    fs::write(&path, bytes).unwrap();

    let catalog = in_file(&path);
    let app = name("app");
    let results = digests
        .iter()
        .map(|digest| catalog.read(|tx| tx.manifest(&app, digest)));
    let errors: Vec<Error> = results.filter_map(Result::err).collect();
    assert!(!errors.is_empty());
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().contains("coracle check"), "{error}");
    }
    assert!(!catalog.integrity().unwrap().is_empty());
}

#[test]
fn the_check_finds_rows_that_do_not_agree() {
    let Folder { _folder, path } = folder();
    let catalog = in_file(&path);
    push(&catalog, "app", &["m"]);
    push(&catalog, "other", &["n"]);
    let other = Connection::open(&path).unwrap();
    let broken = |sql: &str| {
        other.pragma_update(None, "foreign_keys", false).unwrap();
        other.execute_batch(sql).unwrap();
        catalog.integrity().unwrap().join("; ")
    };
    let text = broken("UPDATE total SET tags = 9");
    assert!(text.contains("counting gives: tags"), "{text}");
    let text = broken("UPDATE tag SET manifest_id = (SELECT max(id) FROM manifest)");
    assert!(text.contains("manifest of another repository"), "{text}");
    let text = broken("UPDATE manifest SET size = 99");
    assert!(text.contains("another length"), "{text}");
    let text = broken("INSERT INTO repository (name, created_at) VALUES ('empty', 0)");
    assert!(text.contains("holds nothing: empty"), "{text}");
    let text = broken("DELETE FROM manifest");
    assert!(text.contains("refers to a row of manifest"), "{text}");
}

#[test]
fn a_folder_or_a_missing_folder_is_refused() {
    let Folder { _folder, path } = folder();
    fs::create_dir(&path).unwrap();
    assert_eq!(refused(&path).kind(), ErrorKind::Io);
    let missing = path.join("missing").join("coracle.db");
    let error = refused(&missing);
    assert!(error.to_string().contains("No such file"), "{error}");
}

#[test]
fn failures_of_sqlite_have_a_kind() {
    use rusqlite::ffi;

    use crate::store::catalog::failure::failed;
    let rows = [
        (ffi::SQLITE_FULL, ErrorKind::Full),
        (ffi::SQLITE_IOERR_SHMSIZE, ErrorKind::Full),
        (ffi::SQLITE_IOERR_WRITE, ErrorKind::Io),
        (ffi::SQLITE_IOERR_FSYNC, ErrorKind::Io),
        (ffi::SQLITE_CORRUPT, ErrorKind::Corrupt),
        (ffi::SQLITE_CORRUPT_INDEX, ErrorKind::Corrupt),
        (ffi::SQLITE_NOTADB, ErrorKind::Corrupt),
        (ffi::SQLITE_READONLY, ErrorKind::Denied),
        (ffi::SQLITE_READONLY_DBMOVED, ErrorKind::Denied),
        (ffi::SQLITE_PERM, ErrorKind::Denied),
        (ffi::SQLITE_BUSY, ErrorKind::Locked),
        (ffi::SQLITE_CANTOPEN, ErrorKind::Io),
        (ffi::SQLITE_CONSTRAINT_FOREIGNKEY, ErrorKind::Io),
    ];
    for (code, kind) in rows {
        let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
        let error = failed(&error, "testing", "the catalog");
        assert_eq!(error.kind(), kind, "{code}");
        let says_what_to_do = error.to_string().contains("restore a backup");
        assert_eq!(says_what_to_do, kind == ErrorKind::Corrupt, "{error}");
    }
}

#[test]
fn a_full_disk_fails_the_write_and_nothing_else() {
    let Folder { _folder, path } = folder();
    let catalog = in_file(&path);
    push(&catalog, "app", &["m"]);
    let pages = |tx: &mut WriteTx<'_>, pages: i64| -> Result<i64, Error> {
        let connection = tx.connection();
        let now: i64 = connection
            .pragma_query_value(None, "page_count", |row| row.get(0))
            .unwrap();
        let set = connection
            .pragma_update_and_check(None, "max_page_count", now + pages, |row| row.get(0));
        Ok(set.unwrap())
    };
    write(&catalog, move |tx| pages(tx, 2));
    let big = || sample(&"x".repeat(100_000));
    let error = catalog
        .write(move |tx| big().put(tx, &name("app")))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    let totals = read(&catalog, |tx| tx.totals());
    assert_eq!(totals.manifests, 1, "reads go on");
    push(&catalog, "app", &["small"]);

    write(&catalog, move |tx| pages(tx, 1000));
    write(&catalog, move |tx| big().put(tx, &name("app")));
    assert_eq!(read(&catalog, |tx| tx.totals()).manifests, 3);
    assert_eq!(catalog.integrity().unwrap(), Vec::<String>::new());
}

#[test]
fn a_long_log_is_folded_in_and_used_again() {
    let Folder { _folder, path } = folder();
    let catalog = in_file(&path);
    let log = path.with_extension("db-wal");
    let length = || fs::metadata(&log).unwrap().len();
    for n in 0..100 {
        let big = sample(&format!("{n}{}", "x".repeat(400_000)));
        write(&catalog, move |tx| big.put(tx, &name("app")));
    }
    // Forty megabytes went through it, however the two threads that fold it in were scheduled.
    assert!(length() < 10_000_000, "{}", length());

    // A reader that stays holds it back, and no longer than it stays.
    read(&catalog, |tx| {
        assert_eq!(tx.totals()?.manifests, 100);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 100..200 {
                    let big = sample(&format!("{n}{}", "x".repeat(400_000)));
                    write(&catalog, move |tx| big.put(tx, &name("app")));
                }
            });
        });
        assert_eq!(tx.totals()?.manifests, 100);
        Ok(())
    });
    let grown = length();
    for n in 200..300 {
        let big = sample(&format!("{n}{}", "x".repeat(400_000)));
        write(&catalog, move |tx| big.put(tx, &name("app")));
    }
    assert!(length() <= grown, "{} after {grown}", length());
    assert_eq!(catalog.integrity().unwrap(), Vec::<String>::new());
}
