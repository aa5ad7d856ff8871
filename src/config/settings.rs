//! The table of all settings: each entry is a field of [`Settings`] and a row of [`KEYS`].
//!
//! Adding a setting means adding one entry here: its meaning, name, type, default, bounds, and its
//! flag where it has one (which then also needs its line in `cli.rs`; a test says so).

use std::path::PathBuf;
use std::time::Duration;

use log::LevelFilter;

use super::key::{Bounds, Key, Kind};
use super::typed::FromValue;
use super::value::Value;
use crate::auth::{CertificateUser, Challenge, Rule};
use crate::http::Listen;
use crate::http::tls::{ClientAuth, MinimumVersion};
use crate::logging::Format;
use crate::notify::Endpoint;
use crate::registry::policy;
use crate::store::catalog::Durability;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
const DAY: u64 = 86_400;

/// Counts that are held in memory stay below what a 32-bit host can hold.
const fn count(min: u64, max: u64) -> Kind {
    Kind::Count(Bounds::within(min, max))
}

const fn bytes(min: u64, max: u64) -> Kind {
    Kind::Bytes(Bounds::within(min, max))
}

const fn seconds(min: u64, max: u64) -> Kind {
    Kind::Seconds(Bounds::within(min, max))
}

/// Makes the structs, the table and the way from a row of values to the structs, so that they
/// cannot differ. `flag` is the key's flag, where it has one.
macro_rules! settings {
    ($(
        $(#[doc = $section_doc:literal])+
        $section:ident: $Section:ident {
            $(
                $(#[doc = $doc:literal])+
                $name:ident: $type:ty = $default:literal, $kind:expr $(, flag $flag:literal)?;
            )+
        }
    )+) => {
        /// Every setting, with its effective value. `Settings::default()` are the defaults.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Settings {
            $( $(#[doc = $section_doc])+ pub $section: $Section, )+
            /// The rules of the `[[access]]` tables, in their order.
            pub access: Vec<Rule>,
            /// The rules of the `[[retention]]`, `[[quota]]` and `[[immutable]]` tables.
            pub policy: policy::Rules,
            /// The `[[webhook]]` tables.
            pub endpoints: Vec<Endpoint>,
        }

        $(
            $(#[doc = $section_doc])+
            #[derive(Clone, Debug, PartialEq, Eq)]
            pub struct $Section {
                $( $(#[doc = $doc])+ pub $name: $type, )+
            }
        )+

        /// Every key, in the order in which it is documented.
        pub static KEYS: &[Key] = &[
            $( $(
                Key {
                    section: stringify!($section),
                    name: stringify!($name),
                    kind: $kind,
                    default: $default,
                    flag: settings!(@flag $($flag)?),
                    doc: concat!($($doc),+).trim_ascii_start(),
                },
            )+ )+
        ];

        /// The sections, in their order, each with its meaning.
        pub(super) static SECTIONS: &[(&str, &str)] = &[
            $( (stringify!($section), concat!($($section_doc),+).trim_ascii_start()), )+
        ];

        impl Settings {
            /// The settings with these values, one for each of [`KEYS`], in their order.
            pub(super) fn assemble(values: &[Value]) -> Option<Self> {
                let mut values = values.iter();
                Some(Self {
                    $( $section: $Section {
                        $( $name: <$type as FromValue>::from_value(values.next()?)?, )+
                    }, )+
                    access: Vec::new(),
                    policy: policy::Rules::default(),
                    endpoints: Vec::new(),
                })
            }
        }
    };
    (@flag) => { None };
    (@flag $flag:literal) => { Some($flag) };
}

settings! {
    /// Where the registry is reached, and how it stops.
    server: Server {
        /// Addresses to listen on: `127.0.0.1:5000`, `[::1]:5000`, `:5000` (all addresses) or
        /// `unix:/path`. With port 0 the system chooses a free one. `http://` or `https://` before
        /// an address says what is spoken there; without it, TLS where there is a certificate.
        /// Sockets that systemd hands over take their place.
        listen: Vec<Listen> = "127.0.0.1:5000", Kind::Addresses, flag "--listen";
        /// A file that is written with the bound addresses once requests are answered.
        ready_file: Option<PathBuf> = "", Kind::OptionalPath, flag "--ready-file";
        /// The address by which clients reach the registry, such as
        /// `https://registry.example:5000`, where that is not what they write in `Host`: behind
        /// some proxies.
        url: Option<String> = "", Kind::OptionalText;
        /// Refuse every write with 405.
        read_only: bool = "false", Kind::Switch, flag "--read-only";
        /// How long running requests may take to finish when the server is told to stop.
        stop_seconds_max: Duration = "30", seconds(0, 3600);
    }
    /// Metrics and health, for whoever looks after the registry.
    ops: Ops {
        /// Where they are to be had without a credential: at an address like those of
        /// `server.listen` (plain HTTP unless `https://` is written before it); `auto` is
        /// 127.0.0.1 and the port after that of the first of those. At the addresses of the
        /// registry itself, health is there for all, and metrics are for who has `admin` on `**`.
        listen: OwnAddress = "auto", Kind::OwnAddress;
    }
    /// TLS. Files are read again when they change, or at a reload. In every section, a path that is
    /// written `credential:NAME` is that of a credential which systemd hands over
    /// (`LoadCredential=NAME:/path/to/it`).
    tls: Tls {
        /// Files of certificates in PEM, each with those that issued it behind it. With several,
        /// clients get the one that has the name they ask for, and the first when none has.
        certificate: Vec<PathBuf> = "", Kind::Paths;
        /// Files of their private keys in PEM, in the same order.
        key: Vec<PathBuf> = "", Kind::Paths;
        /// Files of authorities in PEM: clients are asked for a certificate that one of them has
        /// issued.
        client_ca: Vec<PathBuf> = "", Kind::Paths;
        /// How clients are asked, where `tls.client_ca` is set; `auto` requires and verifies.
        client_auth: ClientAuth = "auto", Kind::Choice(&[
            "auto",
            "request-client-cert",
            "require-any-client-cert",
            "verify-client-cert-if-given",
            "require-and-verify-client-cert",
        ]);
        /// The oldest version of TLS that is spoken.
        minimum_version: MinimumVersion = "1.2", Kind::Choice(&["1.2", "1.3"]);
    }
    /// Where content is kept, and how safely.
    storage: Storage {
        /// The folder of the catalog and the blobs; a relative path starts at the working
        /// directory.
        data: PathBuf = "./coracle-data", Kind::Path, flag "--data";
        /// Keep everything in memory and nothing on disk; it is gone when the process ends.
        memory: bool = "false", Kind::Switch, flag "--memory";
        /// The most bytes of blobs that are kept in memory with `storage.memory`.
        memory_bytes_max: u64 = "1GiB", bytes(MIB, 16 * TIB);
        /// Blobs of at most this length are kept in the catalog, so that one flush of the device
        /// makes bytes and row durable; longer ones are files. Each request that brings or fetches
        /// one holds as much in memory.
        inline_bytes_max: u64 = "64KiB",
            Kind::Bytes(Bounds::within(1, 256 * KIB).or_zero("every blob is a file"));
        /// `full`: what was acknowledged survives a power cut. `relaxed`: it survives the end of
        /// the process only; faster, for test fixtures.
        durability: Durability = "full", Kind::Choice(&["full", "relaxed"]), flag "--durability";
        /// What pushes leave free on the file system, so that reading and deleting always work;
        /// `auto` is the larger of 64 MiB and 1 % of it. Half of it, but at most 16 MiB, is kept in
        /// a file for the catalog.
        reserve: Option<u64> = "auto",
            Kind::AutoBytes(Bounds::within(MIB, 16 * TIB).or_zero("nothing is kept free"));
        /// The free room below which room is made: uploads that rest go, the oldest first, and what
        /// nobody refers to is collected at once; `auto` is twice the reserve.
        low_water: Option<u64> = "auto",
            Kind::AutoBytes(Bounds::within(MIB, 16 * TIB).or_zero("never"));
        /// The age at which a file without a row in the catalog, left by a crash, is removed.
        orphan_expire_seconds: Duration = "86400", seconds(3600, 3650 * DAY);
    }
    /// Uploads that have begun and are not finished.
    uploads: Uploads {
        /// How long an upload may rest before it is removed. Clients resume within minutes or
        /// not at all, and a broken push should not fill a small disk for long.
        expire_seconds: Duration = "86400", seconds(1, 3650 * DAY);
        /// How long an upload must have rested to be removed when there is little room on the disk
        /// (`storage.low_water`).
        low_water_idle_seconds: Duration = "600", seconds(1, 3650 * DAY);
        /// How often expired uploads and orphan files are looked for.
        sweep_seconds: Duration = "3600", seconds(1, DAY);
        /// The most unfinished uploads at a time.
        sessions_max: usize = "10000", count(1, 10_000_000);
    }
    /// Reading everything again in the background, so that damage is found before it is asked for.
    scrub: Scrub {
        /// The time within which all blobs are read and hashed once.
        period_seconds: Duration = "2592000",
            Kind::Seconds(Bounds::within(1, 3650 * DAY).or_zero("nothing is read again"));
        /// The most bytes that are read a second for it. A store that is too large for that takes
        /// longer than the period.
        bytes_per_second_max: u64 = "8MiB", bytes(KIB, TIB);
    }
    /// Who may do what. Rules stand in `[[access]]` tables; accounts are made with
    /// `coracle user` and `coracle token`.
    auth: Auth {
        /// What the registry calls itself when it asks for a password.
        realm: String = "coracle", Kind::Text;
        /// A file of users and bcrypt hashes, as Apache's `htpasswd -B` writes it; read again when
        /// it changes.
        htpasswd: Option<PathBuf> = "", Kind::OptionalPath;
        /// How clients are asked to log in: `basic` (a password with each request), `bearer` (by
        /// a token of the registry's own token endpoint), or `auto`: `basic` where there is an
        /// htpasswd file and neither a rule nor an account, else `bearer`.
        challenge: Challenge = "auto", Kind::Choice(&["auto", "basic", "bearer"]);
        /// Which part of a verified client certificate names a user (`tls.client_ca`): its
        /// subject's common name, or the first of its alternative names of this kind. Groups and
        /// whether the user is let in are those of the account of this name, where there is one.
        certificate_user: CertificateUser = "none",
            Kind::Choice(&["none", "common-name", "dns", "email", "uri"]);
        /// How long a token of the registry's own token endpoint is good.
        token_seconds: Duration = "300", seconds(60, 3600);
        /// How long a refresh token is good, with which a client gets new ones.
        refresh_token_seconds: Duration = "2592000", seconds(3600, 3650 * DAY);
    }
    /// An external token server, as Distribution's `auth.token`. It alone then decides who may do
    /// what.
    token: Token {
        /// The address where clients get a token. Set it to use a token server.
        realm: Option<String> = "", Kind::OptionalText;
        /// What the token server knows this registry by: its tokens' `aud`.
        service: Option<String> = "", Kind::OptionalText;
        /// What the token server calls itself: its tokens' `iss`.
        issuer: Option<String> = "", Kind::OptionalText;
        /// A file of the certificates, in PEM, that sign tokens or the keys that do.
        root_certificates: Option<PathBuf> = "", Kind::OptionalPath;
        /// A file of the keys that sign tokens: a JSON Web Key Set.
        jwks: Option<PathBuf> = "", Kind::OptionalPath;
        /// The signature algorithms that are accepted; all that are known without one.
        algorithms: Vec<String> = "", Kind::Texts;
        /// How far a token's times and the clock may be apart; more for hosts without a clock.
        leeway_seconds: Duration = "60", seconds(0, 3650 * DAY);
        /// Send clients to `token.autoredirect_path` on the host they asked instead of a realm.
        autoredirect: bool = "false", Kind::Switch;
        /// That path.
        autoredirect_path: String = "/auth/token", Kind::Text;
    }
    /// Removing content.
    delete: Delete {
        /// Whether clients may delete tags, manifests and blobs.
        enabled: bool = "true", Kind::Switch;
    }
    /// Bringing back what was removed.
    undo: Undo {
        /// How long removed tags, manifests and repositories can be brought back; their blobs are
        /// kept as long.
        window_seconds: Duration = "86400",
            Kind::Seconds(Bounds::within(1, 3650 * DAY).or_zero("what is removed is gone"));
    }
    /// Collection of what nothing refers to any more.
    gc: Gc {
        /// Whether it runs by itself; without, `coracle gc` does it.
        enabled: bool = "true", Kind::Switch;
        /// How often it looks whether something is due.
        interval_seconds: Duration = "60", seconds(1, DAY);
        /// How long content that nothing refers to is kept after a client has sent, mounted or
        /// found it: as long as a push may take.
        grace_seconds: Duration = "3600", seconds(1, 365 * DAY);
    }
    /// Rules about content, which stand in `[[retention]]`, `[[quota]]` and `[[immutable]]` tables:
    /// how often something is done about them.
    housekeeping: Housekeeping {
        /// How often what is kept no longer is removed.
        retention_seconds: Duration = "3600",
            Kind::Seconds(Bounds::within(1, 30 * DAY).or_zero("only by `coracle retention run`"));
        /// How often pulls are written down, which are counted in memory until then.
        pulls_seconds: Duration = "300", seconds(1, DAY);
    }
    /// Who is told of what happens stands in `[[webhook]]` tables; this holds for all of them.
    webhooks: Webhooks {
        /// How long a change is kept that all webhooks have got, to be sent once more with
        /// `coracle events replay`.
        keep_seconds: Duration = "3600",
            Kind::Seconds(Bounds::within(1, 3650 * DAY).or_zero("it goes at once"));
        /// The most changes that are kept so.
        keep_max: u64 = "10000", Kind::Count(Bounds::within(1, 10_000_000));
        /// The most pulls that wait for one webhook, in memory; more are not told of.
        pulls_max: usize = "1000", count(1, 1_000_000);
    }
    /// What a manifest may hold.
    manifests: Manifests {
        /// The largest manifest. The specification asks for at least 4 MiB.
        bytes_max: u64 = "4MiB", bytes(4 * MIB, 64 * MIB);
        /// Whether a manifest is refused when content it refers to is missing.
        references_check: bool = "true", Kind::Switch;
        /// The most descriptors (layers, children) of one manifest.
        references_max: usize = "10000", count(1, 20_000);
        /// The most tags that one push of a manifest may set with `tag` parameters.
        tags_max: usize = "100", count(1, 10_000);
    }
    /// Lists, which come in pages with a `Link` to the next.
    listing: Listing {
        /// The most tags in one page, and their number when the client names none. So large
        /// that clients which follow no `Link` still see everything, and yet bounded.
        tags_page_max: usize = "10000", count(1, 1_000_000);
        /// Repositories in a page of the catalog when the client names no number.
        catalog_page_default: usize = "100", count(1, 1_000_000);
        /// The most repositories in one page of the catalog.
        catalog_page_max: usize = "1000", count(1, 1_000_000);
    }
    /// Lists of the manifests that refer to another, such as signatures.
    referrers: Referrers {
        /// The most bytes of one page of referrers. Clients read no more than 4 MiB.
        bytes_max: usize = "4MiB", bytes(64 * KIB, 64 * MIB);
    }
    /// What clients may ask of the server.
    limits: Limits {
        /// The longest head of a request.
        head_bytes_max: usize = "64KiB", bytes(KIB, MIB);
        /// The most header fields of a request.
        header_count_max: usize = "100", count(16, 256);
        /// The longest request line: method, path and query.
        request_line_bytes_max: usize = "16KiB", bytes(KIB, MIB);
        /// The most open connections. Beyond it the one that is idle longest is closed.
        connections_max: usize = "16384", count(1, 1_000_000);
        /// The most open connections of one client address. UNIX sockets are exempt.
        connections_per_client_max: usize = "4096",
            Kind::Count(Bounds::within(1, 1_000_000).or_zero("no limit of its own"));
        /// The most requests of one client address that are worked on at a time, so that none
        /// keeps all threads busy by being slow; the others wait. UNIX sockets are exempt.
        requests_per_client_max: usize = "64",
            Kind::Count(Bounds::within(1, 4096).or_zero("no limit of its own"));
        /// The most requests a second of one client address. UNIX sockets are exempt.
        requests_per_second_per_client: usize = "0",
            Kind::Count(Bounds::within(1, 1_000_000).or_zero("no limit"));
        /// The most requests a second of one account.
        requests_per_second_per_account: usize = "0",
            Kind::Count(Bounds::within(1, 1_000_000).or_zero("no limit"));
        /// The most requests of one account at a time.
        requests_per_account_max: usize = "0",
            Kind::Count(Bounds::within(1, 4096).or_zero("no limit"));
        /// The most unfinished uploads of one client address, so that none takes all there may be.
        /// UNIX sockets are exempt.
        uploads_per_client_max: usize = "1000",
            Kind::Count(Bounds::within(1, 10_000_000).or_zero("no limit of its own"));
        /// The most unfinished uploads of one account.
        uploads_per_account_max: usize = "0",
            Kind::Count(Bounds::within(1, 10_000_000).or_zero("no limit of its own"));
        /// The most requests that are worked on at a time, each by a thread.
        workers_max: usize = "128", count(1, 4096);
        /// The most requests that wait for a thread, and as many that wait for another request
        /// of their client to end. Beyond it clients are told to come back.
        requests_waiting_max: usize = "1024", count(1, 1_000_000);
        /// How long a request may wait for another one of its client to end.
        requests_waiting_seconds_max: Duration = "30", seconds(1, 3600);
        /// How long a client may take to send the head of a request.
        head_seconds_max: Duration = "10", seconds(1, 3600);
        /// How long a client may take for the whole of a TLS handshake.
        handshake_seconds_max: Duration = "10", seconds(1, 3600);
        /// The most TLS handshakes in progress. Beyond it the one that has waited longest is
        /// closed.
        handshakes_max: usize = "256", count(1, 1_000_000);
        /// How long a connection may rest between two requests. Longer than common clients
        /// keep one, so that none sends into a connection that is just being closed.
        idle_seconds_max: Duration = "120", seconds(1, DAY);
        /// How long a write may take without a byte being taken by the client.
        write_stall_seconds_max: Duration = "60", seconds(1, 3600);
        /// The bytes per second at which a body must at least travel, either way.
        body_rate_bytes_min: u64 = "1024", Kind::Bytes(Bounds::within(1, GIB).or_zero("no limit"));
        /// The time over which that rate is measured: a client may pause for this long.
        body_grace_seconds: Duration = "30", seconds(1, 3600);
        /// The most bytes of a refused request that are read to keep its connection.
        drain_bytes_max: u64 = "1MiB", bytes(0, GIB);
        /// The largest blob.
        blob_bytes_max: u64 = "0", Kind::Bytes(Bounds::within(MIB, 8192 * TIB).or_zero("no limit"));
    }
    /// What is written to standard error.
    log: Log {
        /// The least important messages that are logged.
        level: LevelFilter = "info",
            Kind::Choice(&["off", "error", "warn", "info", "debug", "trace"]), flag "--log-level";
        /// `text` for people, `json` for programs: one object a line.
        format: Format = "text", Kind::Choice(&["text", "json"]), flag "--log-format";
        /// Whether each request is logged, at level `info`; all but those of `/healthz` that are
        /// answered as they should be.
        access: bool = "true", Kind::Switch, flag "--access-log";
        /// Whether it is logged who was let in or refused, and who changed what, at level `info`.
        audit: bool = "true", Kind::Switch;
    }
}

/// The address of something beside the registry itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnAddress {
    /// Found by the addresses of the registry.
    Auto,
    /// None.
    Off,
    /// This one.
    At(Listen),
}

impl Token {
    /// Whether a token server knows the accounts.
    pub const fn is_used(&self) -> bool {
        self.realm.is_some() || self.autoredirect
    }
}

impl Limits {
    /// These limits as the HTTP server takes them; what has no setting keeps its default.
    pub fn http(&self, stop_timeout: Duration) -> crate::http::Limits {
        let defaults = crate::http::Limits::default();
        crate::http::Limits {
            head_bytes_max: self.head_bytes_max,
            header_count_max: self.header_count_max,
            request_line_bytes_max: self.request_line_bytes_max,
            // The registry bounds blobs and manifests itself: this is the largest file there is.
            body_bytes_max: i64::MAX.unsigned_abs(),
            connections_max: self.connections_max,
            connections_per_client_max: match self.connections_per_client_max {
                0 => self.connections_max,
                limit => limit,
            },
            requests_per_client_max: match self.requests_per_client_max {
                0 => self.workers_max,
                // Whatever is said, the others keep half of the threads.
                limit => limit.min((self.workers_max / 2).max(1)),
            },
            workers_min: defaults.workers_min.min(self.workers_max),
            workers_max: self.workers_max,
            requests_waiting_max: self.requests_waiting_max,
            turn_timeout: self.requests_waiting_seconds_max,
            head_timeout: self.head_seconds_max,
            handshake_timeout: self.handshake_seconds_max,
            handshakes_max: self.handshakes_max,
            idle_timeout: self.idle_seconds_max,
            write_stall_timeout: self.write_stall_seconds_max,
            body_rate_min_bytes_per_s: self.body_rate_bytes_min,
            body_rate_window: self.body_grace_seconds,
            drain_bytes_max: self.drain_bytes_max,
            stop_timeout,
            ..defaults
        }
    }
}
