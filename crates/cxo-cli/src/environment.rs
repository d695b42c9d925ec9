//! The part of the user's environment that is sent with a run, so that agents and checks find
//! their tools and keys. A daemon's own environment is stale; everything else stays here.

use std::collections::BTreeMap;

/// Names that go with a run. A name that ends in `*` stands for all that begin so.
pub(crate) const SENT: &[(&str, &str)] = &[
    ("PATH", "where programs are"),
    ("HOME", "where programs keep their settings"),
    ("USER", "who it is"),
    ("LOGNAME", "who it is"),
    ("SHELL", "the user's shell"),
    ("LANG", "the language of messages"),
    ("LC_*", "the language of messages"),
    ("TZ", "the time zone"),
    ("TMPDIR", "where temporary files go"),
    ("XDG_*", "where programs keep their settings and caches"),
    ("CARGO_HOME", "Rust"),
    ("RUSTUP_HOME", "Rust"),
    ("RUSTUP_TOOLCHAIN", "Rust"),
    ("GOPATH", "Go"),
    ("GOROOT", "Go"),
    ("JAVA_HOME", "Java"),
    ("NODE_PATH", "Node"),
    ("NVM_*", "Node"),
    ("PYENV_*", "Python"),
    ("VIRTUAL_ENV", "Python"),
    ("SSL_CERT_FILE", "certificates of the network"),
    ("SSL_CERT_DIR", "certificates of the network"),
    ("*_PROXY", "the way to the network"),
    ("*_proxy", "the way to the network"),
    ("CODEX_HOME", "the Codex CLI's sign-in"),
    ("CODEX_API_KEY", "the Codex CLI's key"),
    ("OPENAI_API_KEY", "the key of an OpenAI model"),
    ("OPENAI_BASE_URL", "where an OpenAI model answers"),
    ("ANTHROPIC_*", "keys and settings of Claude Code"),
    ("GEMINI_*", "keys and settings of Gemini CLI"),
    ("GOOGLE_*", "keys and settings of Gemini CLI"),
    ("CXO_*", "settings of this program itself"),
];

/// The variable that names more of them, separated by commas.
pub(crate) const MORE: &str = "CXO_ENV_PASS";

/// The part of `all` that goes with a run.
pub(crate) fn to_send(all: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let more: Vec<&str> =
        all.get(MORE).map(|names| names.split(',').map(str::trim).collect()).unwrap_or_default();
    let is_sent = |name: &str| {
        SENT.iter().any(|(pattern, _)| matches(pattern, name))
            || more.iter().any(|it| matches(it, name))
    };
    all.iter()
        .filter(|(name, _)| is_sent(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn matches(pattern: &str, name: &str) -> bool {
    if let Some(start) = pattern.strip_suffix('*') {
        name.len() > start.len() && name.starts_with(start)
    } else if let Some(end) = pattern.strip_prefix('*') {
        name.len() > end.len() && name.ends_with(end)
    } else {
        pattern == name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_or_named_goes_with_a_run() {
        let of =
            |names: &[&str]| names.iter().map(|it| ((*it).to_owned(), "x".to_owned())).collect();
        let mut all: BTreeMap<String, String> = of(&[
            "PATH",
            "LC_ALL",
            "https_proxy",
            "HTTPS_PROXY",
            "NO_PROXY",
            "OPENAI_API_KEY",
            "AWS_SECRET_ACCESS_KEY",
            "GITHUB_TOKEN",
            "SSH_AUTH_SOCK",
            "LD_PRELOAD",
            "MINE",
            "MY_A",
        ]);
        all.insert(MORE.to_owned(), "MINE, MY_*".to_owned());
        let sent: Vec<String> = to_send(&all).into_keys().collect();
        let expected = [
            "CXO_ENV_PASS",
            "HTTPS_PROXY",
            "LC_ALL",
            "MINE",
            "MY_A",
            "NO_PROXY",
            "OPENAI_API_KEY",
            "PATH",
            "https_proxy",
        ];
        assert_eq!(sent, expected);
    }
}
