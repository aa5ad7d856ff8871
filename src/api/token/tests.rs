//! The token endpoint: what is asked, and what is answered.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::form::{Asked, Grant, Invalid, SCOPES_MAX, of_form, of_query};
use super::{Endpoint, answer};
use crate::api::error::render;
use crate::auth::TOKEN_PATH;
use crate::auth::issuer::tests::World;
use crate::auth::issuer::tests::accounts::user;
use crate::auth::{Action, Actions, Policy, Resource, Rule, Subject, Who, WithoutRules};
use crate::http::{Body, Headers, Method, Request};
use crate::oci::Glob;

fn texts(asked: &Asked) -> Vec<String> {
    asked.scopes.iter().map(ToString::to_string).collect()
}

#[test]
fn scopes_are_read_as_distribution_does() {
    let rows: [(&str, &[&str]); 13] = [
        ("", &[]),
        ("scope=", &[]),
        ("scope=repository:a:pull", &["repository:a:pull"]),
        ("scope=repository:a:push,pull", &["repository:a:pull,push"]),
        (
            "scope=repository%3Aa%2Fb%3Apull%2Cpush",
            &["repository:a/b:pull,push"],
        ),
        // Several parameters, and spaces within one, in either way that a form writes them.
        (
            "scope=repository:a:pull&scope=repository:b:pull",
            &["repository:a:pull", "repository:b:pull"],
        ),
        (
            "scope=repository:a:pull%20repository:b:pull",
            &["repository:a:pull", "repository:b:pull"],
        ),
        (
            "scope=repository:a:pull+repository:b:pull",
            &["repository:a:pull", "repository:b:pull"],
        ),
        (
            "scope=repository:a:pull&scope=repository:a:push",
            &["repository:a:pull,push"],
        ),
        ("scope=registry:catalog:*", &["registry:catalog:*"]),
        ("scope=repository(plugin):a:pull", &["repository:a:pull"]),
        // What means nothing here is passed over.
        (
            "scope=planet:a:pull+repository+repository:A:pull+repository:host:80/a:pull+::",
            &[],
        ),
        ("scope=repository:a:fly", &["repository:a:"]),
    ];
    for (query, expected) in rows {
        assert_eq!(texts(&of_query(Some(query)).unwrap()), expected, "{query}");
        let form =
            format!("grant_type=refresh_token&refresh_token=x&client_id=c&service=s&{query}");
        assert_eq!(
            texts(&of_form(form.as_bytes()).unwrap()),
            expected,
            "{query}"
        );
    }
    assert!(of_query(None).unwrap().scopes.is_empty());
}

#[test]
fn scopes_have_their_bounds() {
    let ask = |count: usize, bytes: usize| {
        let scopes: Vec<String> = (0..count)
            .map(|number| format!("scope=planet:{}{number:03}:pull", "a".repeat(bytes)))
            .collect();
        of_query(Some(&scopes.join("&")))
    };
    assert!(ask(SCOPES_MAX, 1).is_ok());
    for asked in [ask(SCOPES_MAX + 1, 1), ask(50, 400)] {
        let Err(Invalid::Request(why)) = asked else {
            panic!("{asked:?}");
        };
        assert!(why.contains("more than 100 scopes or 16384 bytes"), "{why}");
    }
}

#[test]
fn parameters_of_a_query() {
    for (query, service, offline) in [
        ("", None, false),
        ("service=", None, false),
        ("service=coracle", Some("coracle"), false),
        (
            "service=my%20registry&account=ada&client_id=docker",
            Some("my registry"),
            false,
        ),
        ("service=my+registry", Some("my registry"), false),
        ("service=a&service=a", Some("a"), false),
        ("offline_token=true", None, true),
        ("offline_token=false", None, false),
        ("offline_token", None, false),
        ("access_type=offline", None, false),
        ("password=x&grant_type=password", None, false),
    ] {
        let asked = of_query(Some(query)).unwrap();
        assert_eq!(asked.service.as_deref(), service, "{query}");
        assert_eq!(asked.offline, offline, "{query}");
        assert_eq!(asked.grant, Grant::Head);
    }
    for query in ["service=%", "%zz=1", "scope=%ff"] {
        assert!(
            matches!(of_query(Some(query)), Err(Invalid::Request(_))),
            "{query}"
        );
    }
}

#[test]
fn parameters_of_a_form() {
    let all = "service=s&client_id=c&";
    let password = |user: &str, password: &str| Grant::Password {
        user: user.to_owned(),
        password: password.to_owned(),
    };
    for (rest, grant, offline) in [
        (
            "grant_type=password&username=ada&password=a%2Bb+c%26",
            password("ada", "a+b c&"),
            false,
        ),
        (
            "grant_type=password&username=ada&password=x&access_type=offline",
            password("ada", "x"),
            true,
        ),
        (
            "grant_type=password&username=ada&password=x&access_type=online",
            password("ada", "x"),
            false,
        ),
        (
            "grant_type=password&username=ada&password=x&offline_token=true",
            password("ada", "x"),
            false,
        ),
        (
            "grant_type=refresh_token&refresh_token=r",
            Grant::Refresh("r".to_owned()),
            false,
        ),
    ] {
        let asked = of_form(format!("{all}{rest}").as_bytes()).unwrap();
        assert_eq!((asked.grant, asked.offline), (grant, offline), "{rest}");
        assert_eq!(asked.service.as_deref(), Some("s"));
    }
    for (form, word) in [
        ("", "grant_type is missing"),
        (
            "grant_type=password&service=s&username=a&password=b",
            "client_id is missing",
        ),
        (
            "grant_type=password&client_id=c&username=a&password=b",
            "service is missing",
        ),
        (
            "grant_type=password&service=s&client_id=c&password=b",
            "username is missing",
        ),
        (
            "grant_type=password&service=s&client_id=c&username=a",
            "password is missing",
        ),
        (
            "grant_type=password&service=s&client_id=c&username=a&password=",
            "password is missing",
        ),
        (
            "grant_type=refresh_token&service=s&client_id=c",
            "refresh_token is missing",
        ),
        (
            "grant_type=password&grant_type=password&service=s&client_id=c",
            "more than once",
        ),
        (
            "grant_type=password&service=s&client_id=c&username=a&username=b&password=x",
            "more than once",
        ),
        (
            "grant_type=password&service=s&client_id=c&username=a&password=%",
            "\"password\" is not percent-encoded",
        ),
    ] {
        let Err(Invalid::Request(why)) = of_form(form.as_bytes()) else {
            panic!("{form}");
        };
        assert!(why.contains(word), "{form}: {why}");
    }
    let other = of_form(b"grant_type=authorization_code&service=s&client_id=c");
    assert_eq!(other, Err(Invalid::Grant("authorization_code".to_owned())));
    assert!(matches!(of_form(b"\xff"), Err(Invalid::Request(_))));
}

proptest! {
    #[test]
    fn no_form_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = of_form(&bytes);
    }

    #[test]
    fn no_query_makes_it_panic(text in "((scope|service|grant_type)=?[a-z%:,+& *()]{0,20}&?){0,6}") {
        let _ = of_query(Some(&text));
        let _ = of_form(text.as_bytes());
    }
}

/// Everybody pulls `public/*`; ada does everything in `team/*`; whoever was verified pulls there.
fn policy() -> Policy {
    let rule = |who: &str, glob: &str, actions: &[&str]| Rule {
        who: vec![Subject::parse(who).unwrap()],
        repositories: vec![Glob::parse(glob).unwrap()],
        actions: Actions::of_names(actions.iter().copied()),
        origin: String::new(),
    };
    Policy {
        rules: vec![
            rule("anyone", "public/*", &["pull"]),
            rule("user:ada", "team/*", &["*"]),
            rule("authenticated", "team/*", &["pull", "push"]),
        ],
        without_rules: WithoutRules::Authenticated,
    }
}

struct Registry {
    endpoint: Endpoint,
    world: World,
}

/// What came back.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The first code of the registry's own list.
    fn code(&self) -> &str {
        self.body["errors"][0]["code"].as_str().unwrap()
    }
}

impl Registry {
    fn new() -> Self {
        let world = World::new([7; 32]);
        let policy = policy();
        let endpoint = Endpoint {
            issuer: Arc::clone(&world.issuer),
            accounts: Arc::clone(&world.accounts) as Arc<_>,
            grants: Box::new(move |identity, scope| policy.intersection(identity, scope)),
            service: "coracle".to_owned(),
            realm: "the \"boat\"".to_owned(),
        };
        Self { endpoint, world }
    }

    fn ask(&self, mut request: Request<'_>) -> Answer {
        let response = answer(Some(&self.endpoint), &mut request)
            .unwrap_or_else(|failure| render(&failure, "id"));
        let headers = response.headers.iter();
        Answer {
            status: response.status,
            headers: headers
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
            body: serde_json::from_slice(&response.body.into_bytes().unwrap()).unwrap(),
        }
    }

    fn get(&self, query: &str, authorization: &[&str]) -> Answer {
        let headers = authorization.iter().map(|value| ("Authorization", *value));
        let target = format!("{TOKEN_PATH}?{query}");
        self.ask(Request::new(
            Method::Get,
            &target,
            headers.collect(),
            Body::empty(),
        ))
    }

    fn post(&self, form: &str) -> Answer {
        let body = Body::from_bytes(form);
        self.ask(Request::new(Method::Post, TOKEN_PATH, Headers::new(), body))
    }

    /// Who the token is of, and whether it lets them do this.
    fn allows(&self, token: &Value, name: &str, action: Action) -> (Who, bool) {
        let identity = self.world.issuer.verify(token.as_str().unwrap()).unwrap();
        let resource = Resource::Repository(name.parse().unwrap());
        (
            identity.who.clone(),
            policy().decide(&identity, &resource, action).allowed,
        )
    }
}

/// `ada:ada`
const ADA: &str = "Basic YWRhOmFkYQ==";
/// `ada:wrong`
const WRONG: &str = "Basic YWRhOndyb25n";
const BOTH: &str = "scope=repository:team/a:pull,push&scope=repository:public/a:pull,push";

#[test]
fn a_token_without_a_credential() {
    let registry = Registry::new();
    let answer = registry.get(&format!("service=coracle&offline_token=true&{BOTH}"), &[]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    let body = &answer.body;
    assert_eq!(body["token"], body["access_token"]);
    assert_eq!(body["expires_in"], 300);
    assert_eq!(body["issued_at"], "2027-01-15T08:00:00Z");
    assert_eq!(body.get("refresh_token"), None, "nobody needs one");
    for (name, action, allowed) in [
        ("public/a", Action::Pull, true),
        ("public/a", Action::Push, false),
        ("team/a", Action::Pull, false),
    ] {
        assert_eq!(
            registry.allows(&body["token"], name, action),
            (Who::Anonymous, allowed)
        );
    }
}

#[test]
fn a_token_for_a_password() {
    let registry = Registry::new();
    let answer = registry.get(BOTH, &[ADA]);
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.body.get("refresh_token"),
        None,
        "nobody asked for one"
    );
    let (who, may_push) = registry.allows(&answer.body["token"], "team/a", Action::Push);
    assert_eq!(who.to_string(), "user:ada");
    assert!(may_push);
    // Asked for, and not hers; hers, and not asked for.
    assert!(
        !registry
            .allows(&answer.body["token"], "public/a", Action::Push)
            .1
    );
    assert!(
        !registry
            .allows(&answer.body["token"], "team/a", Action::Delete)
            .1
    );
    // Nothing asked for is a token all the same: for `docker login`.
    assert_eq!(registry.get("", &[ADA]).status, 200);
    // A machine's token is a password as well.
    let answer = registry.get("scope=repository:team/a:pull,push", &["Basic Y2k6aWM="]);
    let (who, may_pull) = registry.allows(&answer.body["token"], "team/a", Action::Pull);
    assert_eq!((who.to_string().as_str(), may_pull), ("token:ci", true));
    assert!(
        !registry
            .allows(&answer.body["token"], "team/a", Action::Push)
            .1,
        "its own limit"
    );
}

#[test]
fn a_token_for_a_form() {
    let registry = Registry::new();
    let head = "service=coracle&client_id=test&scope=repository:team/a:pull,push+repository:b:pull";
    let login = format!("{head}&grant_type=password&username=ada&password=ada");
    let answer = registry.post(&login);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    assert_eq!(
        answer.body["scope"], "repository:team/a:pull,push",
        "what was granted"
    );
    assert_eq!(answer.body["token_type"], "Bearer");
    assert_eq!(answer.body["expires_in"], 300);
    assert_eq!(answer.body["issued_at"], "2027-01-15T08:00:00Z");
    assert_eq!(answer.body.get("refresh_token"), None);
    assert!(
        registry
            .allows(&answer.body["access_token"], "team/a", Action::Push)
            .1
    );

    let answer = registry.post(&format!("{login}&access_type=offline"));
    let refresh = answer.body["refresh_token"].as_str().unwrap().to_owned();
    let form = format!("{head}&grant_type=refresh_token&refresh_token={refresh}");
    let answer = registry.post(&form);
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.body["refresh_token"],
        refresh.as_str(),
        "it stays the same"
    );
    let access = answer.body["access_token"].as_str().unwrap().to_owned();
    assert!(registry.allows(&json!(access), "team/a", Action::Push).1);

    // One kind of token is none of the other.
    let form_with_access = format!("{head}&grant_type=refresh_token&refresh_token={access}");
    assert_eq!(registry.post(&form_with_access).status, 401);
    assert!(registry.world.issuer.verify(&refresh).is_err());

    // A new password ends it.
    registry.world.accounts.put(&user("ada"), 5);
    let answer = registry.post(&form);
    assert_eq!((answer.status, answer.code()), (401, "UNAUTHORIZED"));
    assert_eq!(answer.body["error"], "invalid_grant");
}

#[test]
fn a_refresh_token_of_a_get_works_in_a_form() {
    let registry = Registry::new();
    let answer = registry.get("offline_token=true", &[ADA]);
    let refresh = answer.body["refresh_token"].as_str().unwrap();
    let form = format!(
        "grant_type=refresh_token&refresh_token={refresh}&service=coracle&client_id=docker"
    );
    let answer = registry.post(&form);
    assert_eq!((answer.status, &answer.body["scope"]), (200, &json!("")));
}

/// Both shapes of a refusal, and the header fields that go with it.
fn check_refusal(answer: &Answer, status: u16, code: &str, error: &str) {
    let body = &answer.body;
    assert_eq!((answer.status, answer.code()), (status, code), "{body}");
    assert_eq!(body["error"], error, "{body}");
    assert_eq!(body["error_description"], body["errors"][0]["message"]);
    assert_eq!(answer.header("Cache-Control"), Some("no-store"));
    let basic = "Basic realm=\"the \\\"boat\\\"\"";
    assert_eq!(
        answer.header("WWW-Authenticate"),
        (status == 401).then_some(basic)
    );
    let comes_back = status == 429 || status == 503;
    assert_eq!(
        answer.header("Retry-After"),
        comes_back.then_some("2"),
        "rounded up"
    );
}

#[test]
fn what_is_refused_in_a_get() {
    let registry = Registry::new();
    for (query, authorization, status, code, error) in [
        ("", &[WRONG][..], 401, "UNAUTHORIZED", "invalid_grant"),
        ("", &["Basic !!"], 401, "UNAUTHORIZED", "invalid_grant"),
        ("", &["Bearer abc"], 401, "UNAUTHORIZED", "invalid_grant"),
        ("", &[ADA, ADA], 401, "UNAUTHORIZED", "invalid_grant"),
        // throttled:x
        (
            "",
            &["Basic dGhyb3R0bGVkOng="],
            429,
            "TOOMANYREQUESTS",
            "temporarily_unavailable",
        ),
        // busy:x
        (
            "",
            &["Basic YnVzeTp4"],
            503,
            "TOOMANYREQUESTS",
            "temporarily_unavailable",
        ),
        ("service=other", &[], 400, "UNSUPPORTED", "invalid_target"),
        ("scope=%", &[], 400, "UNSUPPORTED", "invalid_request"),
    ] {
        check_refusal(&registry.get(query, authorization), status, code, error);
    }
    // A catalog that fails is the server's own fault (broken:).
    let answer = registry.get("", &["Basic YnJva2VuOng="]);
    assert_eq!((answer.status, answer.code()), (500, "UNKNOWN"));
}

#[test]
fn what_is_refused_in_a_form() {
    let registry = Registry::new();
    let login = "grant_type=password&client_id=c&password=x&";
    for (form, status, code, error) in [
        (
            "username=ada&service=coracle",
            401,
            "UNAUTHORIZED",
            "invalid_grant",
        ),
        (
            "username=ada&service=other",
            400,
            "UNSUPPORTED",
            "invalid_target",
        ),
        (
            "username=throttled&service=coracle",
            429,
            "TOOMANYREQUESTS",
            "temporarily_unavailable",
        ),
        (
            "username=busy&service=coracle",
            503,
            "TOOMANYREQUESTS",
            "temporarily_unavailable",
        ),
        ("username=ada", 400, "UNSUPPORTED", "invalid_request"),
    ] {
        check_refusal(
            &registry.post(&format!("{login}{form}")),
            status,
            code,
            error,
        );
    }
    let rest = "client_id=c&service=coracle&refresh_token=x&grant_type=";
    let answer = registry.post(&format!("{rest}code"));
    check_refusal(&answer, 400, "UNSUPPORTED", "unsupported_grant_type");
    let answer = registry.post(&format!("{rest}refresh_token"));
    check_refusal(&answer, 401, "UNAUTHORIZED", "invalid_grant");
    // A form without an end.
    let answer = registry.post(&"a".repeat(16 * 1024 + 1));
    assert_eq!((answer.status, answer.code()), (413, "SIZE_INVALID"));
}

/// A password that is replaced while it is checked gets nothing with the new version.
#[test]
fn a_login_is_repeated_when_accounts_change_meanwhile() {
    use std::sync::atomic::Ordering;
    let registry = Registry::new();
    registry.world.accounts.disturbed.store(2, Ordering::SeqCst);
    assert_eq!(registry.get("", &[ADA]).status, 200);
    registry.world.accounts.disturbed.store(3, Ordering::SeqCst);
    let answer = registry.get("", &[ADA]);
    assert_eq!(
        (answer.status, answer.header("Retry-After")),
        (503, Some("1"))
    );
}

#[test]
fn without_an_endpoint_there_is_nothing() {
    let mut request = Request::new(Method::Get, TOKEN_PATH, Headers::new(), Body::empty());
    let failure = answer(None, &mut request).unwrap_err();
    assert_eq!(render(&failure, "id").status, 404);
}
