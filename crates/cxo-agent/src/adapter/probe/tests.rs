//! What doctor is told, with a fake `codex` on PATH.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

struct Scene {
    root: tempfile::TempDir,
    env: BTreeMap<String, String>,
}

fn scene() -> Scene {
    let root = tempfile::tempdir().unwrap();
    let bin = root.path().join("bin");
    fs::create_dir_all(&bin).unwrap();
    let program = bin.join("codex");
    fs::write(&program, "#!/bin/sh\nprintf 'codex-cli 9.9 %s\\n' \"$SECRET\"\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let env = BTreeMap::from([
        ("PATH".to_owned(), format!("{}:/usr/bin:/bin", bin.display())),
        ("HOME".to_owned(), root.path().to_str().unwrap().to_owned()),
        ("SECRET".to_owned(), "canary".to_owned()),
    ]);
    Scene { root, env }
}

fn fixes(probe: &AgentProbe) -> Vec<&str> {
    probe.problems.iter().map(|problem| problem.fix.as_str()).collect()
}

#[test]
fn codex_is_found_with_its_version_and_sign_in() {
    let mut scene = scene();
    let codex = AgentSettings::codex("codex");
    let found = probe(&codex, &scene.env);
    assert_eq!(found.version.as_deref(), Some("codex-cli 9.9"));
    assert_eq!((found.sign_in.clone(), fixes(&found)), (SignIn::None, vec!["codex login"]));

    scene.env.insert("OPENAI_API_KEY".to_owned(), "canary-key".to_owned());
    let found = probe(&codex, &scene.env);
    assert_eq!(found.sign_in, SignIn::Key("OPENAI_API_KEY".to_owned()));
    assert_eq!(found.problems, []);
    assert!(!format!("{found:?}").contains("canary"));

    let store = scene.root.path().join(".codex");
    fs::create_dir(&store).unwrap();
    fs::write(store.join("auth.json"), "{\"tokens\": 1}").unwrap();
    assert_eq!(probe(&codex, &scene.env).sign_in, SignIn::Account);
    scene.env.insert("CODEX_API_KEY".to_owned(), "canary-key".to_owned());
    let key = SignIn::Key("CODEX_API_KEY".to_owned());
    assert_eq!(probe(&codex, &scene.env).sign_in, key);
}

#[test]
fn a_custom_provider_needs_its_own_key_or_none() {
    let mut scene = scene();
    let mut codex = AgentSettings::codex("codex");
    let provider = r#"model_providers.s={name="s",base_url="http://127.0.0.1:1/v1"}"#;
    codex.args = ["-c", "model_provider=s", "-c", provider].map(str::to_owned).to_vec();
    assert_eq!(probe(&codex, &scene.env).sign_in, SignIn::NotNeeded);
    codex.args.extend(["-c", "model_providers.s.env_key=SK"].map(str::to_owned));
    let found = probe(&codex, &scene.env);
    assert_eq!((found.sign_in.clone(), fixes(&found)), (SignIn::None, vec!["export SK=…"]));
    scene.env.insert("SK".to_owned(), "canary-key".to_owned());
    assert_eq!(probe(&codex, &scene.env).sign_in, SignIn::Key("SK".to_owned()));
}

#[test]
fn a_missing_program_is_told_with_its_cure() {
    let env = BTreeMap::from([("PATH".to_owned(), "/nowhere".to_owned())]);
    let found = probe(&AgentSettings::codex("codex"), &env);
    assert_eq!(fixes(&found), ["npm install -g @openai/codex", "codex login"]);
    let found = probe(&AgentSettings::command("mine", PathBuf::from("nosuch")), &env);
    assert_eq!(fixes(&found), ["correct `agents.mine.program`"]);
}

#[test]
fn a_sign_in_in_the_keyring_is_told() {
    let scene = scene();
    let store = scene.root.path().join(".codex");
    fs::create_dir(&store).unwrap();
    fs::write(store.join("config.toml"), "cli_auth_credentials_store = \"keyring\"").unwrap();
    let found = probe(&AgentSettings::codex("codex"), &scene.env);
    assert_eq!(fixes(&found), ["codex -c cli_auth_credentials_store=file login"]);
}
