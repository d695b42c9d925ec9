//! Keeps keys out of everything that an agent's words are copied into. Providers repeat a
//! refused key in their error, and the agent repeats that. (G23)

use std::collections::{BTreeMap, BTreeSet};

/// Shorter values are no keys, and replacing them would garble ordinary words.
const SHORTEST_SECRET: usize = 8;

/// Replaces known secrets by the names of their variables.
#[derive(Clone, Default)]
pub(super) struct Redaction {
    secrets: Vec<(String, String)>,
}

impl Redaction {
    /// Hides the values of `names` and of every variable that is called like a secret.
    pub(super) fn of(
        user_env: &BTreeMap<String, String>,
        more: &BTreeMap<String, String>,
        names: &BTreeSet<String>,
    ) -> Self {
        let mut secrets: Vec<(String, String)> = user_env
            .iter()
            .chain(more)
            .filter(|(name, value)| {
                value.len() >= SHORTEST_SECRET && (names.contains(*name) || sounds_secret(name))
            })
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        // The longest first, so that a key that contains another one is hidden as a whole.
        secrets.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
        Self { secrets }
    }

    pub(super) fn hide(&self, text: &str) -> String {
        let mut hidden = text.to_owned();
        for (name, value) in &self.secrets {
            if hidden.contains(value.as_str()) {
                hidden = hidden.replace(value.as_str(), &format!("[{name}]"));
            }
        }
        hidden
    }
}

fn sounds_secret(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    ["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"]
        .iter()
        .any(|word| upper.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [G23]
    #[test]
    fn keys_are_replaced_by_their_names() {
        let env = BTreeMap::from([
            ("OPENAI_API_KEY".to_owned(), "sk-canary-1".to_owned()),
            ("LONGER_TOKEN".to_owned(), "sk-canary-1-more".to_owned()),
            ("SK".to_owned(), "plainly-secret".to_owned()),
            ("KEY".to_owned(), "short".to_owned()),
            ("EDITOR".to_owned(), "sk-editor-x".to_owned()),
        ]);
        let names = BTreeSet::from(["SK".to_owned()]);
        let redaction = Redaction::of(&env, &BTreeMap::new(), &names);
        assert_eq!(
            redaction.hide("sk-canary-1 sk-canary-1-more plainly-secret short sk-editor-x"),
            "[OPENAI_API_KEY] [LONGER_TOKEN] [SK] short sk-editor-x"
        );
    }
}
