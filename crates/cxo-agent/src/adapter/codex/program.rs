//! Finds the Codex binary itself behind the wrapper that npm installs, so that no Node process
//! stands between us and it: one process fewer to pay for, to signal and to lose.

use std::path::{Path, PathBuf};

use crate::adapter::find_program;

/// The npm package with the binary for this machine, and the directory in it.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const PLATFORM: (&str, &str) = ("codex-linux-x64", "x86_64-unknown-linux-musl");
#[cfg(all(target_os = "linux", target_arch = "aarch64"))]
const PLATFORM: (&str, &str) = ("codex-linux-arm64", "aarch64-unknown-linux-musl");
#[cfg(all(target_os = "macos", target_arch = "x86_64"))]
const PLATFORM: (&str, &str) = ("codex-darwin-x64", "x86_64-apple-darwin");
#[cfg(all(target_os = "macos", target_arch = "aarch64"))]
const PLATFORM: (&str, &str) = ("codex-darwin-arm64", "aarch64-apple-darwin");
#[cfg(not(any(
    all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")),
    all(target_os = "macos", any(target_arch = "x86_64", target_arch = "aarch64"))
)))]
const PLATFORM: (&str, &str) = ("codex-unsupported", "unsupported");

/// The program to start for `configured` (by default `codex`), looked up in `path_variable`.
pub fn find_codex(configured: Option<&Path>, path_variable: &str) -> Option<PathBuf> {
    let found = find_program(configured.unwrap_or(Path::new("codex")), path_variable)?;
    Some(behind_wrapper(&found).unwrap_or(found))
}

fn behind_wrapper(program: &Path) -> Option<PathBuf> {
    let real = program.canonicalize().ok()?;
    if real.file_name()?.to_str()? != "codex.js" {
        return None;
    }
    let (package, target) = PLATFORM;
    let binary = Path::new("vendor").join(target).join("bin").join("codex");
    let root = real.parent()?.parent()?;
    // As Node resolves it: in the package's own node_modules, then in each one further up; an
    // older package carries the binary itself.
    let above =
        root.ancestors().map(|directory| directory.join("node_modules/@openai").join(package));
    above
        .chain([root.to_owned()])
        .map(|directory| directory.join(&binary))
        .find_map(|candidate| find_program(&candidate, ""))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn put(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn the_binary_behind_the_npm_wrapper_is_found() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let modules = root.join("lib/node_modules");
        put(&modules.join("@openai/codex/bin/codex.js"));
        let bin = root.join("bin");
        fs::create_dir(&bin).unwrap();
        symlink("../lib/node_modules/@openai/codex/bin/codex.js", bin.join("codex")).unwrap();
        let path_variable = format!("relative:{}", bin.display());

        // Without the platform package the wrapper is all there is.
        assert_eq!(find_codex(None, &path_variable), Some(bin.join("codex")));
        // Hoisted beside the package, then nested in it, which comes first.
        let inside = |modules: &Path| {
            modules
                .join("@openai")
                .join(PLATFORM.0)
                .join("vendor")
                .join(PLATFORM.1)
                .join("bin/codex")
        };
        put(&inside(&modules));
        assert_eq!(find_codex(None, &path_variable), Some(inside(&modules)));
        let nested = modules.join("@openai/codex/node_modules");
        put(&inside(&nested));
        assert_eq!(find_codex(None, &path_variable), Some(inside(&nested)));
    }

    #[test]
    fn a_configured_program_is_taken_as_it_is() {
        let root = tempfile::tempdir().unwrap();
        let program = root.path().join("my-codex");
        assert_eq!(find_codex(Some(&program), ""), None);
        put(&program);
        assert_eq!(find_codex(Some(&program), ""), Some(program.clone()));
        fs::set_permissions(&program, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(find_codex(Some(&program), ""), None);
    }
}
