//! What of the user's Codex home reaches the private one.

use super::*;

const CONFIG: &str = r#"
model = "gpt-5.5"
model_provider = "mine"
notify = ["send", "secrets"]
[model_providers.mine]
name = "Mine"
base_url = "http://127.0.0.1:1/v1"
env_key = "MINE_SECRET"
env_http_headers = { "X-Team" = "TEAM_VAR" }
[mcp_servers.evil]
command = "evil"
[projects."/home/me"]
trust_level = "trusted"
"#;

struct Homes {
    root: tempfile::TempDir,
    env: BTreeMap<String, String>,
}

fn homes(config: &str) -> Homes {
    let root = tempfile::tempdir().unwrap();
    let codex = root.path().join("user/.codex");
    fs::create_dir_all(&codex).unwrap();
    fs::create_dir_all(root.path().join("private")).unwrap();
    fs::write(codex.join("config.toml"), config).unwrap();
    fs::write(codex.join("auth.json"), "{\"tokens\": 1}").unwrap();
    let home = root.path().join("user").to_str().unwrap().to_owned();
    Homes { root, env: BTreeMap::from([("HOME".to_owned(), home)]) }
}

#[test]
fn model_and_provider_are_copied_and_nothing_else() {
    let homes = homes(CONFIG);
    let private = homes.root.path().join("private");
    let user = UserHome::of(&homes.env).unwrap();
    user.furnish(&private).unwrap();
    user.furnish(&private).unwrap();
    let copied = fs::read_to_string(private.join("config.toml")).unwrap();
    insta::assert_snapshot!(copied, @r#"
    cli_auth_credentials_store = "file"
    model = "gpt-5.5"
    model_provider = "mine"

    [model_providers.mine]
    base_url = "http://127.0.0.1:1/v1"
    env_key = "MINE_SECRET"
    name = "Mine"

    [model_providers.mine.env_http_headers]
    X-Team = "TEAM_VAR"
    "#);
    let names: Vec<String> = user.env_keys().into_iter().collect();
    assert_eq!(names, ["MINE_SECRET", "TEAM_VAR"]);
}

/// A token that is refreshed by renaming over the link's target reaches the user's own store.
#[test]
fn the_sign_in_is_a_link_to_the_users_own() {
    let homes = homes("");
    let private = homes.root.path().join("private");
    let user = UserHome::of(&homes.env).unwrap();
    user.furnish(&private).unwrap();
    let store = homes.root.path().join("user/.codex/auth.json");
    assert_eq!(fs::read_link(private.join("auth.json")).unwrap(), store);
    // What Codex does when a token is refreshed.
    let target = fs::canonicalize(private.join("auth.json")).unwrap();
    let fresh = target.with_file_name(".auth-x");
    fs::write(&fresh, "{\"tokens\": 2}").unwrap();
    fs::rename(&fresh, &target).unwrap();
    assert_eq!(fs::read_to_string(private.join("auth.json")).unwrap(), "{\"tokens\": 2}");
    assert_eq!(fs::read_to_string(&store).unwrap(), "{\"tokens\": 2}");
    user.furnish(&private).unwrap();
    assert_eq!(fs::read_to_string(&store).unwrap(), "{\"tokens\": 2}");
}

#[test]
fn a_broken_configuration_is_named_without_its_text() {
    let homes = homes("key = \"sk-canary\nx");
    let Err(error) = UserHome::of(&homes.env) else { panic!("it was taken") };
    let words = format!("{error} {error:?}");
    assert!(words.contains("config.toml") && !words.contains("canary"), "{words}");
}

#[test]
fn providers_in_arguments_are_understood() {
    let args = [
        "-c",
        "model_provider=scripted",
        "--config",
        r#"model_providers.scripted={name="s",base_url="http://x/v1",env_key="SK_ONE"}"#,
        "-cmodel_providers.b.env_key=\"SK_TWO\"",
        "-c",
        "broken",
        "-c",
    ]
    .map(str::to_owned);
    let names: Vec<String> = env_keys_in_args(&args).into_iter().collect();
    assert_eq!(names, ["SK_ONE", "SK_TWO"]);
    assert_eq!(assignments_in_args(&args)[0].1, Value::String("scripted".to_owned()));
}
