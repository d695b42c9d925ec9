//! A branch of the repository, sent to a remote that the repository knows: never forced, with no hook, and
//! with the sign-in that the user has set up for git.
//!
//! Of the repository's configuration one line counts, the remote's address, and only as an address
//! over a network protocol or of a directory. Helpers, ssh commands and rewritten addresses come
//! from the user's own configuration, which agents do not write.

use cxo_protocol::CommitId;

use super::{SessionTree, SessionTreeError};
use crate::error::GitError;
use crate::names::branch_ref;
use crate::repository::commit_id;
use crate::shown::printable;

/// How the other side is started if it is on this machine: its hooks would run as this user, and
/// so would what its configuration names. A server has its own rules.
const LOCAL_RECEIVE_PACK: &str = "--receive-pack=git -c core.hooksPath=/dev/null -c core.fsmonitor=false \
    -c core.alternateRefsCommand=true -c receive.denyCurrentBranch=refuse -c receive.autogc=false receive-pack";

impl SessionTree {
    /// Sends a branch to the branch of the same name and answers its commit. A push that is
    /// repeated is no error.
    pub fn push(&self, remote: &str, branch: &str) -> Result<CommitId, SessionTreeError> {
        let full = branch_ref(branch)?;
        let address = self.address(remote)?;
        let found = self
            .repository
            .call(["show-ref", "--verify", "--hash", &full])
            .accept(&[0, 1, 128])
            .run()?;
        if found.code != 0 {
            return Err(GitError::UnknownRevision { shown: printable(branch.as_bytes()) }.into());
        }
        let commit = commit_id(&found.stdout)?;
        let refspec = format!("{commit}:{full}");
        let pushed = self
            .bare_call()
            .reach_remotes()
            .args(["push", "--porcelain", "--no-verify", "--no-signed", "--no-follow-tags"])
            .args(["--recurse-submodules=no"])
            .args(is_local(&address).then_some(LOCAL_RECEIVE_PACK))
            .args(["--end-of-options", &address, &refspec])
            .run();
        match pushed {
            Ok(_) => {}
            Err(GitError::Failed { stderr, .. }) => {
                let (remote, branch) = (remote.to_owned(), branch.to_owned());
                return Err(SessionTreeError::PushRejected { remote, branch, why: stderr });
            }
            Err(error) => return Err(error.into()),
        }
        // As git does; the branch is there whether this works or not.
        let tracking = format!("refs/remotes/{remote}/{branch}");
        drop(self.repository.run([
            "update-ref",
            "-m",
            "update by push",
            &tracking,
            commit.as_str(),
        ]));
        Ok(commit)
    }

    /// Where a configured remote is.
    fn address(&self, remote: &str) -> Result<String, SessionTreeError> {
        let unknown = || SessionTreeError::UnknownRemote { name: printable(remote.as_bytes()) };
        // A name that is a ref name is a key of the configuration and nothing else.
        branch_ref(remote).map_err(|_| unknown())?;
        let setting = |key: &str| self.repository.setting(&format!("remote.{remote}.{key}"));
        let address = match setting("pushurl")? {
            Some(address) => address,
            None => setting("url")?.ok_or_else(unknown)?,
        };
        match refusal(&address) {
            None => Ok(address),
            Some(why) => Err(SessionTreeError::RemoteRefused { name: remote.to_owned(), why }),
        }
    }
}

fn is_local(address: &str) -> bool {
    address.starts_with('/') || address.starts_with("file://")
}

/// Why an address is not taken: what is left is https, ssh in both of its forms, and a directory.
fn refusal(address: &str) -> Option<&'static str> {
    let scheme = address.split_once("://").map(|(scheme, _)| scheme);
    if address.is_empty() || address.chars().any(char::is_control) {
        return Some("it is empty or has control characters");
    }
    if address.starts_with('-') {
        return Some("it begins with `-`");
    }
    if address.contains("::") && !address.contains('[') {
        return Some("`::` names a program");
    }
    match scheme {
        Some("https" | "ssh" | "file") => None,
        Some(_) => Some("only https, ssh and file are used"),
        None if address.starts_with('/') => None,
        // `host:path`, where the host is no option of ssh.
        None if address.split_once(':').is_some_and(|(host, _)| !host.contains('/')) => None,
        None => Some("a path on this machine has to be absolute"),
    }
}

#[cfg(test)]
mod tests {
    use super::refusal;

    /// [G22] Addresses that could run a program, or that git would read as something else.
    #[test]
    fn addresses_that_run_programs_are_refused() {
        for bad in [
            "",
            "ext::sh -c x",
            "fd::17",
            "--upload-pack=x",
            "-oProxyCommand=x",
            "git://host/x",
            "http://host/x",
            "transport::https://host/x",
            "../x",
            "x",
            "https://host/\nx",
        ] {
            assert!(refusal(bad).is_some(), "{bad:?}");
        }
        for good in [
            "https://host/x.git",
            "ssh://git@host:22/x",
            "git@host:x/y.git",
            "ssh://[::1]/x",
            "[::1]:x",
            "file:///srv/x.git",
            "/srv/x.git",
        ] {
            assert_eq!(refusal(good), None, "{good:?}");
        }
    }
}
