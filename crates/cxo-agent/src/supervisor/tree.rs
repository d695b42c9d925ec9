//! Which processes belong to which effect.
//!
//! The supervisor is the reaper of all its descendants: whatever forks, becomes a daemon or opens
//! a new session is still below it, and when its parent ends it becomes a direct child. So a tree
//! is everything below the process itself, and below the orphans that are its. An orphan is known
//! by its mark, else by its session. One that got rid of both can only be told to be of one of the
//! effects that lived when it was first seen: it is ended when the last of those has ended.

use std::collections::{BTreeMap, BTreeSet};

use cxo_protocol::EffectId;

use super::marker::Mark;
use super::process::Process;
use super::procfs::{self, Stat};

/// Processes whose parents ended and that became children of the supervisor.
#[derive(Default)]
pub(super) struct Orphans {
    known: BTreeMap<i32, Orphan>,
}

struct Orphan {
    stat: Stat,
    owner: Owner,
}

enum Owner {
    Effect(EffectId),
    /// One of these. When it is empty, the orphan is nobody's and is to be ended.
    OneOf(BTreeSet<EffectId>),
}

/// What is asked about processes.
pub(super) struct Kin<'a> {
    /// The supervisor's id.
    pub(super) supervisor: &'a str,
    pub(super) processes: &'a BTreeMap<EffectId, Process>,
    /// Processes that were started and not yet waited for.
    pub(super) by_pid: &'a BTreeMap<i32, EffectId>,
}

impl Orphans {
    /// Takes notice of new orphans, and forgets those that are gone.
    pub(super) fn refresh(&mut self, kin: &Kin<'_>) {
        let mut before = std::mem::take(&mut self.known);
        for pid in procfs::children() {
            if kin.by_pid.contains_key(&pid) {
                continue;
            }
            let Some(stat) = procfs::stat(pid).filter(|stat| stat.alive) else { continue };
            let same = before.remove(&pid).filter(|old| old.stat.start_ticks == stat.start_ticks);
            let owner = match (known_owner(stat, kin), same) {
                // One whose environment could not be read at first may be known by it now.
                (Some(owner), _) => owner,
                (None, Some(old)) => old.owner,
                (None, None) => possible_owners(kin),
            };
            let orphan = Orphan { stat, owner };
            self.known.insert(pid, orphan);
        }
        self.release(kin.processes);
    }

    /// Takes orphans from effects that do not live any more.
    pub(super) fn release(&mut self, live: &BTreeMap<EffectId, Process>) {
        for orphan in self.known.values_mut() {
            match &mut orphan.owner {
                Owner::Effect(effect) if live.contains_key(effect) => {}
                Owner::Effect(_) => orphan.owner = Owner::OneOf(BTreeSet::new()),
                Owner::OneOf(effects) => effects.retain(|effect| live.contains_key(effect)),
            }
        }
    }

    /// Whether this effect left something behind that lives.
    pub(super) fn any_of(&self, effect: &EffectId) -> bool {
        self.known.values().any(|orphan| match &orphan.owner {
            Owner::Effect(owner) => owner == effect,
            Owner::OneOf(_) => false,
        })
    }

    /// Whether there are orphans that belong to nobody who lives.
    pub(super) fn any_stray(&self) -> bool {
        self.known.values().any(Orphan::is_stray)
    }

    /// All that lives below the supervisor, by effect; strays stand under `None`.
    pub(super) fn members(&self, kin: &Kin<'_>) -> BTreeMap<Option<EffectId>, Vec<Stat>> {
        let table = procfs::table();
        let own = procfs::own_pid();
        let mut members: BTreeMap<Option<EffectId>, Vec<Stat>> = BTreeMap::new();
        for stat in table.values().filter(|stat| stat.alive) {
            let Some(top) = top(*stat, own, &table) else { continue };
            let owner = match (kin.by_pid.get(&top), self.known.get(&top)) {
                (Some(effect), _) | (None, Some(Orphan { owner: Owner::Effect(effect), .. })) => {
                    Some(effect.clone())
                }
                (None, Some(orphan)) if orphan.is_stray() => None,
                (None, Some(_) | None) => continue,
            };
            members.entry(owner).or_default().push(*stat);
        }
        members
    }
}

impl Orphan {
    fn is_stray(&self) -> bool {
        match &self.owner {
            Owner::Effect(_) => false,
            Owner::OneOf(effects) => effects.is_empty(),
        }
    }
}

/// The direct child of `own` above `stat`, or `stat` itself if it is one.
fn top(stat: Stat, own: i32, table: &BTreeMap<i32, Stat>) -> Option<i32> {
    let mut at = stat;
    // A chain cannot be longer than the table: parents that changed while it was read could
    // otherwise lead round in a circle.
    for _ in 0..table.len() {
        if at.parent == own {
            return Some(at.pid);
        }
        at = *table.get(&at.parent)?;
    }
    None
}

fn known_owner(stat: Stat, kin: &Kin<'_>) -> Option<Owner> {
    if let Some(mark) = Mark::read(kin.supervisor, stat.pid) {
        let live = kin.processes.keys().find(|effect| mark.is_of(effect)).cloned();
        return Some(live.map_or(Owner::OneOf(BTreeSet::new()), Owner::Effect));
    }
    let leader = kin.processes.values().find(|process| process.pid == stat.session);
    leader.map(|process| Owner::Effect(process.effect.clone()))
}

fn possible_owners(kin: &Kin<'_>) -> Owner {
    let all: BTreeSet<EffectId> = kin.processes.keys().cloned().collect();
    match all.first() {
        Some(only) if all.len() == 1 => Owner::Effect(only.clone()),
        Some(_) | None => Owner::OneOf(all),
    }
}
