//! What is written to processes, and what comes from their terminals.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use cxo_protocol::EffectId;
use cxo_protocol::params::TerminalSize;
use rustix::event::epoll::{self, EventData, EventFlags};

use super::process::Process;
use super::run_loop::Supervisor;
use super::stdio::{Held, Taken};
use super::terminal::Terminal;
use super::wire::Refusal;

/// How long to wait before a terminal that the event loop could not take is offered to it again.
const LISTEN_AGAIN_AFTER: Duration = Duration::from_secs(1);

impl Supervisor {
    /// Takes a process's terminal into the event loop, where it has one.
    pub(super) fn listen_to(&mut self, process: &mut Process, now: Instant) {
        if let Held::Terminal(terminal) = &mut process.held {
            terminal.token = self.new_token();
            self.stream_tokens.insert(terminal.token, process.effect.clone());
            listen(&self.epoll, terminal, now);
        }
    }

    pub(super) fn write_input(&mut self, token: u64, effect: &EffectId, text: &str, now: Instant) {
        let done = match self.processes.get_mut(effect).map(|process| &mut process.held) {
            None => Err(Refusal::NotLive),
            Some(Held::Nothing) => Err(Refusal::NoPipe),
            Some(Held::Pipe(pipe)) => pipe.add(text).map(Some),
            Some(Held::Terminal(terminal)) => terminal.add(text).map(|()| {
                listen(&self.epoll, terminal, now);
                None
            }),
        };
        match done {
            Ok(Some(outcome)) => self.after_write(effect, outcome),
            Ok(None) => {}
            Err(why) => self.refuse(token, effect.clone(), why),
        }
    }

    pub(super) fn close_stdin(&mut self, token: u64, effect: &EffectId) {
        let done = match self.processes.get_mut(effect).map(|process| &mut process.held) {
            None => Err(Refusal::NotLive),
            Some(Held::Nothing | Held::Terminal(_)) => Err(Refusal::NoPipe),
            Some(Held::Pipe(pipe)) => Ok(pipe.close()),
        };
        match done {
            Ok(outcome) => self.after_write(effect, outcome),
            Err(why) => self.refuse(token, effect.clone(), why),
        }
    }

    pub(super) fn resize(&mut self, token: u64, effect: &EffectId, size: TerminalSize) {
        let done = match self.processes.get(effect).map(|process| &process.held) {
            None => Err(Refusal::NotLive),
            Some(Held::Nothing | Held::Pipe(_)) => Err(Refusal::NoTerminal),
            Some(Held::Terminal(terminal)) => terminal.resize(size),
        };
        if let Err(why) = done {
            self.refuse(token, effect.clone(), why);
        }
    }

    /// Something can be written or read where this token stands.
    pub(super) fn serve_stream(&mut self, token: u64, now: Instant) {
        let Some(effect) = self.stream_tokens.get(&token).cloned() else { return };
        let Some(process) = self.processes.get_mut(&effect) else { return };
        if let Held::Pipe(pipe) = &mut process.held {
            let outcome = pipe.push();
            self.after_write(&effect, outcome);
        } else {
            serve_terminal(&self.epoll, process, now);
        }
    }

    /// Tries again what could not be done with terminals before.
    pub(super) fn serve_late_terminals(&mut self, now: Instant) {
        for process in self.processes.values_mut() {
            if process.again_at().is_some_and(|at| at <= now) {
                serve_terminal(&self.epoll, process, now);
            }
        }
    }

    /// Waits for a pipe to become writable only while something waits to be written.
    fn after_write(&mut self, effect: &EffectId, outcome: Taken) {
        let new_token = self.new_token();
        let Some(process) = self.processes.get_mut(effect) else { return };
        let Held::Pipe(pipe) = &mut process.held else { return };
        match (outcome, pipe.token) {
            (Taken::Part, None) => {
                let data = EventData::new_u64(new_token);
                if epoll::add(&self.epoll, &*pipe, data, EventFlags::OUT).is_ok() {
                    pipe.token = Some(new_token);
                    self.stream_tokens.insert(new_token, effect.clone());
                }
            }
            (Taken::Part, Some(_)) | (Taken::All, None) => {}
            (Taken::All, Some(token)) => {
                let _ = epoll::delete(&self.epoll, &*pipe);
                pipe.token = None;
                self.stream_tokens.remove(&token);
            }
            (Taken::Over, _) => self.let_go(effect),
        }
    }

    /// Closes what is held of a process's streams, which takes it out of the event loop.
    pub(super) fn let_go(&mut self, effect: &EffectId) {
        let Some(process) = self.processes.get_mut(effect) else { return };
        let token = match std::mem::replace(&mut process.held, Held::Nothing) {
            Held::Nothing => None,
            Held::Pipe(pipe) => pipe.token,
            Held::Terminal(terminal) => Some(terminal.token),
        };
        if let Some(token) = token {
            self.stream_tokens.remove(&token);
        }
    }
}

fn serve_terminal(epoll: &OwnedFd, process: &mut Process, now: Instant) {
    process.save(now);
    if let Held::Terminal(terminal) = &mut process.held {
        terminal.type_on();
        listen(epoll, terminal, now);
    }
}

/// Waits for a terminal, for one event: what is heard of one whose output cannot be saved must not
/// come again and again.
fn listen(epoll: &OwnedFd, terminal: &mut Terminal, now: Instant) {
    if !terminal.is_saved() {
        return;
    }
    let mut flags = EventFlags::IN | EventFlags::ONESHOT;
    flags.set(EventFlags::OUT, terminal.has_input());
    let data = EventData::new_u64(terminal.token);
    let listens = epoll::modify(epoll, &*terminal, data, flags)
        .or_else(|_| epoll::add(epoll, &*terminal, data, flags));
    if listens.is_err() {
        terminal.again_at = Some(now + LISTEN_AGAIN_AFTER);
    }
}
