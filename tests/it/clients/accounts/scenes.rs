//! What happens, whichever program it happens to.

use super::registry::{PASSWORD, Registry, WRONG};
use super::{Attempt, Tool};
use crate::support::image::digest;

/// Fails unless the registry refused, and the program says so.
#[track_caller]
pub fn refused(attempt: Attempt) {
    let said = attempt.expect_err("the registry refuses").to_lowercase();
    let words = [
        "denied",
        "unauthorized",
        "authentication required",
        // containerd of a token that does not reach, docker where a password is missing.
        "authorization failed",
        "no basic auth credentials",
    ];
    assert!(words.iter().any(|word| said.contains(word)), "{said}");
}

/// Fails unless a login was refused and the program says that the credential is the reason.
#[track_caller]
fn wrong(login: Attempt) {
    let said = login.expect_err("the registry refuses").to_lowercase();
    let words = [
        "unauthorized",
        "invalid username/password",
        "incorrect username or password",
    ];
    assert!(words.iter().any(|word| said.contains(word)), "{said}");
}

/// Fails unless it succeeded.
#[track_caller]
pub fn done(attempt: Attempt) {
    attempt.unwrap_or_else(|said| panic!("it should have succeeded: {said}"));
}

/// Pushes an image to where it is refused, and fails if anything of it stays.
#[track_caller]
fn push_in_vain(registry: &Registry, tool: &dyn Tool, pulled: &str, repository: &str) {
    let before = registry.stored();
    refused(tool.push(pulled, &registry.image(repository)));
    assert_eq!(registry.stored(), before, "nothing was stored");
    let tags = format!("/v2/{repository}/tags/list");
    registry.ops().get(&tags).expect_error(404, "NAME_UNKNOWN");
}

/// Pushes an image to where it may be pushed, and pulls it back.
#[track_caller]
fn push_and_pull(registry: &Registry, tool: &dyn Tool, pulled: &str, repository: &str) {
    let image = registry.image(repository);
    done(tool.push(pulled, &image));
    tool.forget(&image);
    done(tool.pull(&image));
}

/// Nobody in particular pulls what is public, and does nothing else.
#[track_caller]
pub fn without_a_login(registry: &Registry, tool: &dyn Tool) {
    let public = registry.image("public/base");
    done(tool.pull(&public));
    push_in_vain(registry, tool, &public, "public/mine");
    push_in_vain(registry, tool, &public, "team/mine");
    refused(tool.pull(&registry.image("team/base")));
    refused(tool.pull(&registry.image("secret/base")));
}

/// A right password gives what the rules give; a wrong one gives nothing, and is said to be wrong.
#[track_caller]
pub fn with_passwords(registry: &Registry, tool: &dyn Tool) {
    let team = registry.image("team/base");
    for (user, password) in [("ada", WRONG), ("nobody", PASSWORD)] {
        let login = tool.login(user, password);
        if tool.login_asks() {
            wrong(login);
        } else {
            wrong(tool.pull(&team));
        }
        tool.logout();
    }

    done(tool.login("ada", PASSWORD));
    done(tool.pull(&team));
    push_and_pull(registry, tool, &team, "team/by-ada");
    push_in_vain(registry, tool, &team, "public/by-ada");
    refused(tool.pull(&registry.image("secret/base")));
    tool.logout();
    tool.forget(&team);
    refused(tool.pull(&team));

    done(tool.login("bob", PASSWORD));
    done(tool.pull(&team));
    push_in_vain(registry, tool, &team, "team/by-bob");
}

/// A machine's token is a password with a limit, and ends when it is revoked.
#[track_caller]
pub fn with_a_token(registry: &Registry, tool: &dyn Tool) {
    let base = registry.image("team/ci-base");
    done(tool.login("ci", &registry.token));
    done(tool.pull(&base));
    push_and_pull(registry, tool, &base, "team/ci-app");
    push_in_vain(registry, tool, &base, "team/app");
    refused(tool.pull(&registry.image("team/base")));

    registry.administer(&["token", "revoke", "ci"], "");
    let app = registry.image("team/ci-app");
    tool.forget(&app);
    refused(tool.pull(&app));
    push_in_vain(registry, tool, &base, "team/ci-other");
    if tool.login_asks() {
        wrong(tool.login("ci", &registry.token));
    }
}

/// Who is disabled is out at once, with the login that was good and with a new one.
#[track_caller]
pub fn of_somebody_disabled(registry: &Registry, tool: &dyn Tool) {
    let team = registry.image("team/base");
    done(tool.login("ada", PASSWORD));
    done(tool.pull(&team));
    registry.administer(&["user", "disable", "ada"], "");
    push_in_vain(registry, tool, &team, "team/by-ada");
    tool.forget(&team);
    refused(tool.pull(&team));
    if tool.login_asks() {
        wrong(tool.login("ada", PASSWORD));
    }
    registry.administer(&["user", "enable", "ada"], "");
    done(tool.login("ada", PASSWORD));
    done(tool.pull(&team));
}

/// What a program knows of other repositories it asks to be mounted: that is done where it may be
/// read, and else it is told to upload, as if nothing were there.
#[track_caller]
pub fn with_mounts(registry: &Registry, tool: &dyn Tool) {
    let secret = registry.image("secret/base");
    done(tool.login("ops", PASSWORD));
    done(tool.pull(&secret));
    tool.logout();

    done(tool.login("ada", PASSWORD));
    let team = registry.image("team/base");
    done(tool.pull(&team));
    push_and_pull(registry, tool, &team, "team/copy");
    mounted(registry, "team/copy");

    push_and_pull(registry, tool, &secret, "team/secret");
    let mounts = ["event=mount", "actor=user:ada", "repository=team/secret"];
    let counts = (
        registry.audited(&mounts),
        uploads(registry, "team/secret", ""),
    );
    // The config and the layer, which some programs compress again.
    assert_eq!(counts, (0, 2), "mounts, uploads\n{}", registry.log());
}

/// Fails unless every layer of the base image came into the repository by ada's mount.
#[track_caller]
pub fn mounted(registry: &Registry, repository: &str) {
    let into = format!("repository={repository}");
    for layer in &registry.base.layers {
        let digest = digest(layer);
        let layer = format!("digest={digest}");
        let mounts = registry.audited(&["event=mount", "actor=user:ada", &into, &layer]);
        let hex = digest.trim_start_matches("sha256:");
        let counts = (mounts, uploads(registry, repository, hex));
        assert_eq!(counts, (1, 0), "mounts, uploads\n{}", registry.log());
    }
}

/// How many blobs ada has sent whole into the repository, of those with this in their request.
fn uploads(registry: &Registry, repository: &str, part: &str) -> usize {
    let path = format!("path=/v2/{repository}/blobs/uploads/");
    let all = [
        "access:",
        "method=PUT",
        "status=201",
        "actor=user:ada",
        &path,
        part,
    ];
    let log = registry.log();
    let lines = log.lines();
    lines
        .filter(|line| all.iter().all(|part| line.contains(part)))
        .count()
}

/// With an htpasswd file alone, a password opens everything, and nothing is open without one.
#[track_caller]
pub fn with_htpasswd(registry: &Registry, tool: &dyn Tool) {
    let team = registry.image("team/base");
    refused(tool.pull(&team));
    wrong(tool.login("ada", WRONG));
    done(tool.login("ada", PASSWORD));
    done(tool.pull(&team));
    push_and_pull(registry, tool, &team, "by/ada");
    done(tool.pull(&registry.image("secret/base")));
    let challenge = registry.anyone().get("/v2/").expect(401);
    challenge.expect_header("WWW-Authenticate", "Basic realm=\"coracle\"");
    tool.logout();
    tool.forget(&team);
    refused(tool.pull(&team));
}
