//! What this crate promises, with real git in directories of its own.
//!
//! One binary, so that it links once; each module is one part of the promise.

#![expect(clippy::unwrap_used, reason = "everything in here is a test; what fails is to stop it")]

mod content;
mod crash;
mod files;
mod files_killed;
mod files_traced;
mod hub;
mod killed;
mod landing;
mod linked;
mod linked_kept;
mod lock_paths;
mod patches;
mod publishing;
mod repository;
mod session_tree;
mod traps;
mod workspaces;
mod world;
