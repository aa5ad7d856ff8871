//! Bearer tokens over the wire: the registry's own token endpoint, and an external token server.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use crate::support::image::Image;
use crate::support::{ADA, Client, HTPASSWD, Response, Server, coracle, start_configured};

/// Anyone pulls from `public/`, ada pulls and pushes everywhere.
const RULES: &str = "[[access]]\nwho = \"anyone\"\nrepositories = [\"public/**\"]\n\
                     actions = [\"pull\"]\n\
                     [[access]]\nwho = \"user:ada\"\nrepositories = [\"**\"]\n\
                     actions = [\"pull\", \"push\"]\n";

/// The password of [`ADA`], as a form has it.
const PASSWORD: &str = "correct+horse+battery";

fn bearer(server: &Server, token: &Value) -> Client {
    let token = token.as_str().expect("a token");
    Client::new(server.url()).with_header("Authorization", &format!("Bearer {token}"))
}

fn challenge(answer: &Response) -> &str {
    answer.header("WWW-Authenticate").unwrap_or_default()
}

/// A folder with an htpasswd file, and the configuration that names it.
fn accounts() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("htpasswd");
    fs::write(&path, HTPASSWD).unwrap();
    let toml = format!("[auth]\nhtpasswd = {:?}\n{RULES}", path.to_str().unwrap());
    (folder, toml)
}

#[test]
fn a_token_for_a_password_is_good_for_what_was_asked() {
    let (_folder, toml) = accounts();
    let server = start_configured(&toml, &[]);
    let mut nobody = Client::new(server.url());
    // What the challenge says is where a token is to be had.
    let answer = nobody.get("/v2/team/a/tags/list").expect(401);
    let realm = format!("http://{}/v2/token", server.host());
    assert_eq!(
        challenge(&answer),
        format!("Bearer realm=\"{realm}\",service=\"coracle\",scope=\"repository:team/a:pull\"")
    );
    let query = "/v2/token?service=coracle&scope=repository:team/a:pull,push&account=ada";
    let answer = nobody
        .request("GET", query, &[("Authorization", ADA)], None)
        .expect(200);
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    let mut ada = bearer(&server, &answer.json()["token"]);
    ada.push_image("team/a", "v1", &Image::oci(1, &[1000]));
    ada.get("/v2/team/a/manifests/v1").expect(200);
    ada.get("/v2/").expect(200);
    // For other repositories there is to be another token, as clients understand from this.
    let answer = ada.get("/v2/team/b/tags/list").expect(401);
    assert!(challenge(&answer).contains("scope=\"repository:team/b:pull\""));
    assert!(challenge(&answer).ends_with("error=\"insufficient_scope\""));
}

#[test]
fn nobody_gets_a_token_for_what_anyone_may() {
    let (_folder, toml) = accounts();
    let server = start_configured(&toml, &["--memory"]);
    let mut ada = Client::new(server.url()).with_header("Authorization", ADA);
    ada.push_image("public/a", "v1", &Image::oci(1, &[10]));
    ada.push_image("team/a", "v1", &Image::oci(1, &[10]));
    let scopes = "scope=repository:public/a:pull,push&scope=repository:team/a:pull";
    let answer = Client::new(server.url())
        .get(&format!("/v2/token?{scopes}"))
        .expect(200);
    let mut nobody = bearer(&server, &answer.json()["access_token"]);
    nobody.get("/v2/public/a/manifests/v1").expect(200);
    nobody.post("/v2/public/a/blobs/uploads/", "").expect(401);
    nobody.get("/v2/team/a/manifests/v1").expect(401);
}

#[test]
fn a_refresh_token_outlives_a_restart_and_ends_with_its_password() {
    let (folder, toml) = accounts();
    let mut server = start_configured(&toml, &[]);
    let form = |rest: &str| format!("service=coracle&client_id=test&{rest}");
    let content = [("Content-Type", "application/x-www-form-urlencoded")];
    let post = |server: &Server, form: &str| {
        Client::new(server.url()).request("POST", "/v2/token", &content, Some(form.as_bytes()))
    };
    let login = form(&format!(
        "grant_type=password&username=ada&password={PASSWORD}&access_type=offline\
         &scope=repository:a:pull,push"
    ));
    let answer = post(&server, &login).expect(200).json();
    assert_eq!(answer["scope"], "repository:a:pull,push");
    bearer(&server, &answer["access_token"]).push_image("a", "v1", &Image::oci(1, &[10]));
    let refresh = answer["refresh_token"].as_str().unwrap().to_owned();
    // A refresh token is no access token.
    let refused = bearer(&server, &json!(refresh)).get("/v2/").expect(401);
    assert!(challenge(&refused).ends_with("error=\"invalid_token\""));

    server.restart();
    let again = form(&format!(
        "grant_type=refresh_token&refresh_token={refresh}&scope=repository:a:pull"
    ));
    let answer = post(&server, &again).expect(200).json();
    let mut ada = bearer(&server, &answer["access_token"]);
    ada.get("/v2/a/manifests/v1").expect(200);

    // Another hash of the same password is another credential.
    let other = HTPASSWD.replace("$2y$", "$2b$");
    fs::write(folder.path().join("htpasswd"), other).unwrap();
    crate::support::eventually("the old credential is gone", || {
        (post(&server, &again).status == 401).then_some(())
    });
    let answer = post(&server, &again).expect(401).json();
    assert_eq!(answer["error"], "invalid_grant");
    assert_eq!(answer["errors"][0]["code"], "UNAUTHORIZED");
    let refused = ada.get("/v2/a/manifests/v1").expect(401);
    assert!(challenge(&refused).ends_with("error=\"invalid_token\""));
    // The password itself is good as before.
    post(&server, &login).expect(200);
}

#[test]
fn methods_of_the_token_endpoint() {
    let server = Server::memory();
    let mut client = server.client();
    for method in ["PUT", "DELETE", "PATCH"] {
        let answer = client.request(method, "/v2/token", &[], None).expect(405);
        assert_eq!(answer.header("Allow"), Some("GET, POST, OPTIONS"));
    }
    client.head("/v2/token").expect(405);
    client.get("/v2/token").expect(200);
}

#[test]
fn a_token_of_another_registry_is_no_token_here() {
    let (_folder, toml) = accounts();
    let (one, other) = (start_configured(&toml, &[]), start_configured(&toml, &[]));
    let query = "/v2/token?scope=repository:public/a:pull";
    let token = Client::new(one.url()).get(query).expect(200).json()["token"].clone();
    bearer(&one, &token)
        .get("/v2/public/a/tags/list")
        .expect(404);
    let answer = bearer(&other, &token)
        .get("/v2/public/a/tags/list")
        .expect(401);
    assert!(challenge(&answer).ends_with("error=\"invalid_token\""));
}

#[test]
fn a_damaged_token_key_is_said_and_not_replaced() {
    let mut server = Server::start(&[]);
    server.stop();
    let path = server.data().join("token.key");
    let good = fs::read(&path).expect("made at the first start");
    fs::write(&path, "damaged").unwrap();
    let mut command = coracle();
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(server.data());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.contains(path.to_str().unwrap()) && said.contains("remove the file"),
        "{said}"
    );
    assert_eq!(fs::read(&path).unwrap(), b"damaged");
    fs::write(&path, good).unwrap();
    server.launch();
    server.stop_and_check();
}

/// A token server that signs with Ed25519.
struct TokenServer {
    pair: Ed25519KeyPair,
}

impl TokenServer {
    fn new() -> Self {
        let random = ring::rand::SystemRandom::new();
        let key = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        Self {
            pair: Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap(),
        }
    }

    fn jwks(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.pair.public_key());
        json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x }] }).to_string()
    }

    fn token(&self, changes: &Value) -> Value {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let mut claims = json!({
            "iss": "auth.example", "aud": ["other", "registry.example"], "sub": "ada",
            "nbf": now, "exp": now + 300,
            "access": [
                { "type": "repository", "name": "a/b", "actions": ["pull", "push"] },
                { "type": "repository", "name": "all", "actions": ["*"] },
            ],
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let header = json!({ "typ": "JWT", "alg": "EdDSA", "kid": "k" });
        let text = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(header.to_string()),
            URL_SAFE_NO_PAD.encode(claims.to_string())
        );
        let signature = self.pair.sign(text.as_bytes());
        json!(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    fn toml(jwks: &Path) -> String {
        format!(
            "[token]\nrealm = \"https://auth.example/token\"\nservice = \"registry.example\"\n\
             issuer = \"auth.example\"\njwks = {:?}\n",
            jwks.to_str().unwrap()
        )
    }
}

#[test]
fn a_token_server_decides() {
    let folder = tempfile::tempdir().unwrap();
    let (theirs, thief) = (TokenServer::new(), TokenServer::new());
    let jwks = folder.path().join("jwks.json");
    fs::write(&jwks, theirs.jwks()).unwrap();
    let server = start_configured(&TokenServer::toml(&jwks), &["--memory"]);
    let base = "Bearer realm=\"https://auth.example/token\",service=\"registry.example\"";
    let good = theirs.token(&json!({}));
    bearer(&server, &good).push_image("a/b", "v1", &Image::oci(1, &[1000]));
    bearer(&server, &good)
        .get("/v2/a/b/manifests/v1")
        .expect(200);
    bearer(&server, &good)
        .delete("/v2/a/b/manifests/v1")
        .expect(401);
    let mut all = bearer(&server, &good);
    all.push_image("all", "v1", &Image::oci(1, &[1000]));
    all.delete("/v2/all/manifests/v1").expect(202);

    let scope = ",scope=\"repository:a/b:pull\"";
    for (token, told) in [
        (thief.token(&json!({})), ""),
        (
            theirs.token(&json!({ "iss": "other" })),
            ",error=\"invalid_token\"",
        ),
        (
            theirs.token(&json!({ "aud": "other" })),
            ",error=\"invalid_token\"",
        ),
        (
            theirs.token(&json!({ "exp": 1000 })),
            ",error=\"invalid_token\"",
        ),
        (
            theirs.token(&json!({ "nbf": 1e12 })),
            ",error=\"invalid_token\"",
        ),
        (json!("no.token"), ",error=\"invalid_token\""),
        (
            theirs.token(&json!({ "access": [] })),
            ",error=\"insufficient_scope\"",
        ),
    ] {
        let answer = bearer(&server, &token).get("/v2/a/b/tags/list").expect(401);
        assert_eq!(challenge(&answer), format!("{base}{scope}{told}"));
    }
    for authorization in [None, Some(ADA)] {
        let mut client = Client::new(server.url());
        let headers: Vec<_> = authorization
            .map(|value| ("Authorization", value))
            .into_iter()
            .collect();
        let answer = client
            .request("GET", "/v2/a/b/tags/list", &headers, None)
            .expect(401);
        assert_eq!(challenge(&answer), format!("{base}{scope}"));
        let answer = client.request("GET", "/v2/", &headers, None).expect(401);
        assert_eq!(challenge(&answer), base);
    }
    // The token server gives the tokens, not we.
    Client::new(server.url()).get("/v2/token").expect(404);
}

#[test]
fn a_token_server_without_usable_keys_or_algorithms_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let jwks = folder.path().join("jwks.json");
    fs::write(&jwks, TokenServer::new().jwks()).unwrap();
    let good = TokenServer::toml(&jwks);
    let missing = TokenServer::toml(&folder.path().join("missing.json"));
    for (toml, word) in [
        (
            format!("{good}algorithms = [\"HS256\"]\n"),
            "HS256 needs a secret key",
        ),
        (format!("{good}algorithms = [\"none\"]\n"), "nobody signed"),
        (missing, "missing.json"),
    ] {
        let config = folder.path().join("coracle.toml");
        fs::write(&config, toml).unwrap();
        let mut command = coracle();
        command
            .args(["serve", "--memory", "--listen", "127.0.0.1:0", "--config"])
            .arg(&config);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn the_audit_log_tells_of_tokens_but_not_of_those_that_anybody_gets() {
    let (_folder, toml) = accounts();
    let server = start_configured(&toml, &["--memory"]);
    let path = "/v2/token?service=coracle&scope=repository:team/a:pull,push,delete";
    let mut nobody = Client::new(server.url());
    nobody.get(path).expect(200);
    let answer = nobody.request("GET", path, &[("Authorization", ADA)], None);
    answer.expect(200);
    let log = server.log();
    let lines: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("token_issued"))
        .collect();
    let [line] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    assert!(line.contains("actor=user:ada"), "{line}");
    assert!(
        line.contains("reference=repository:team/a:pull,push "),
        "{line}"
    );
}

/// Distribution's `autoredirect`: the host that was asked, over TLS unless a proxy says otherwise.
#[test]
fn a_token_server_may_be_at_the_host_that_was_asked() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("jwks.json");
    fs::write(&keys, TokenServer::new().jwks()).unwrap();
    let toml = format!(
        "[token]\nautoredirect = true\nservice = \"registry\"\nissuer = \"tokens\"\n\
         jwks = {:?}\n",
        keys.to_str().unwrap()
    );
    let server = start_configured(&toml, &["--memory"]);
    let asked = |forwarded: &str| {
        let mut client = Client::new(server.url());
        let headers = [("X-Forwarded-Proto", forwarded)];
        let shown = if forwarded.is_empty() {
            &headers[..0]
        } else {
            &headers
        };
        let answer = client.request("GET", "/v2/", shown, None).expect(401);
        challenge(&answer).to_owned()
    };
    for (forwarded, scheme) in [("", "https"), ("http", "http"), ("https", "https")] {
        let host = server.host();
        assert_eq!(
            asked(forwarded),
            format!("Bearer realm=\"{scheme}://{host}/auth/token\",service=\"registry\"")
        );
    }
}

/// A token for the list names no repository, and shows all that its holder may pull.
#[test]
fn a_token_for_the_catalog_shows_what_its_holder_may_pull() {
    let (_folder, toml) = accounts();
    let server = start_configured(&toml, &["--memory"]);
    let mut ada = Client::new(server.url()).with_header("Authorization", ADA);
    for name in ["public/a", "team/a"] {
        ada.push_image(name, "v1", &Image::oci(1, &[10]));
    }
    let path = "/v2/token?scope=registry:catalog:*";
    let mut nobody = Client::new(server.url());
    let token = |answer: Response| answer.expect(200).json()["token"].clone();
    let hers = token(nobody.request("GET", path, &[("Authorization", ADA)], None));
    let names = bearer(&server, &hers)
        .get("/v2/_catalog")
        .expect(200)
        .json();
    assert_eq!(names["repositories"], json!(["public/a", "team/a"]));
    let anybody = token(nobody.get(path));
    let names = bearer(&server, &anybody)
        .get("/v2/_catalog")
        .expect(200)
        .json();
    assert_eq!(names["repositories"], json!(["public/a"]));
    // A token for something else is not one for the list.
    let other = token(nobody.get("/v2/token?scope=repository:public/a:pull"));
    let answer = bearer(&server, &other).get("/v2/_catalog").expect(401);
    assert!(challenge(&answer).contains("scope=\"registry:catalog:*\""));
}

#[test]
fn a_token_server_grants_the_catalog_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let theirs = TokenServer::new();
    let jwks = folder.path().join("jwks.json");
    fs::write(&jwks, theirs.jwks()).unwrap();
    let server = start_configured(&TokenServer::toml(&jwks), &["--memory"]);
    bearer(&server, &theirs.token(&json!({}))).push_image("all", "v1", &Image::oci(1, &[10]));
    let access = json!({
        "access": [{ "type": "registry", "name": "catalog", "actions": ["*"] }],
    });
    let names = bearer(&server, &theirs.token(&access))
        .get("/v2/_catalog")
        .expect(200)
        .json();
    assert_eq!(names["repositories"], json!(["all"]));
    bearer(&server, &theirs.token(&json!({})))
        .get("/v2/_catalog")
        .expect(401);
}
