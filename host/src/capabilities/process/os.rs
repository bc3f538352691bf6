//! What the kernel says of processes, by way of `/proc`.

use std::{collections::BTreeMap, fs, io, os::unix::process::ExitStatusExt, process::ExitStatus};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// The variable that tells our processes, and what they start, from all others.
pub(super) const MARK: &str = "CHANDLERY_PROCESS";

/// A line of `/proc/<pid>/stat`, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stat {
    pub(super) pid: u32,
    pub(super) group: u32,
    pub(super) dead: bool,
    pub(super) started_ticks: u64,
}

pub(super) fn stat(pid: u32) -> Option<Stat> {
    parse_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

// The name stands in parentheses and may hold anything, also parentheses.
fn parse_stat(pid: u32, line: &str) -> Option<Stat> {
    let (_, rest) = line.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Some(Stat {
        pid,
        dead: matches!(*fields.first()?, "Z" | "X" | "x"),
        group: fields.get(2)?.parse().ok()?,
        started_ticks: fields.get(19)?.parse().ok()?,
    })
}

/// Whether that very process still runs. One that only waits to be reaped does not.
pub(super) fn is_alive(pid: u32, started_ticks: u64) -> bool {
    stat(pid).is_some_and(|it| it.started_ticks == started_ticks && !it.dead)
}

/// Changes with each start of the machine; start times count from there.
pub(super) fn boot_id() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// All processes that carry a mark, by mark.
pub(super) fn all_marked() -> BTreeMap<String, Vec<u32>> {
    let mut found: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    let Ok(entries) = fs::read_dir("/proc") else { return found };
    let pids = entries.flatten().filter_map(|it| it.file_name().to_str()?.parse::<u32>().ok());
    for pid in pids {
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { continue };
        if let Some(mark) = mark_in(&environment) {
            found.entry(mark).or_default().push(pid);
        }
    }
    found
}

/// The living members of a group, but for its leader. Where another process has the
/// leader's pid by now the group is gone: the kernel gives no pid away that a group
/// still goes by.
pub(super) fn group(leader: u32, started_ticks: u64) -> Vec<u32> {
    if stat(leader).is_some_and(|it| it.started_ticks != started_ticks) {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|it| it.file_name().to_str()?.parse::<u32>().ok());
    let members = pids.filter(|it| *it != leader).filter_map(stat);
    // What is older than its leader is not of its making.
    members
        .filter(|it| it.group == leader && !it.dead && it.started_ticks >= started_ticks)
        .map(|it| it.pid)
        .collect()
}

fn mark_in(environment: &[u8]) -> Option<String> {
    let variables = environment.split(|it| *it == 0);
    let mut values = variables
        .filter_map(|it| it.strip_prefix(MARK.as_bytes()).and_then(|it| it.strip_prefix(b"=")));
    values.next().and_then(|it| String::from_utf8(it.to_vec()).ok())
}

/// The one that leads its group: the one that we started.
pub(super) fn leader(pids: &[u32]) -> Option<Stat> {
    pids.iter().filter_map(|it| stat(*it)).find(|it| it.group == it.pid && !it.dead)
}

/// Asks a group to end.
pub(super) fn terminate_group(pid: u32) {
    signal(pid, |it| kill_process_group(it, Signal::TERM));
}

/// Ends a group.
pub(super) fn kill_group(pid: u32) {
    signal(pid, |it| kill_process_group(it, Signal::KILL));
}

/// Ends processes.
pub(super) fn kill_all(pids: &[u32]) {
    for pid in pids {
        signal(*pid, |it| kill_process(it, Signal::KILL));
    }
}

// Group 0 would be our own, and 1 everybody's: neither is ever meant.
fn signal(pid: u32, send: impl FnOnce(Pid) -> rustix::io::Result<()>) {
    let Some(pid) = i32::try_from(pid).ok().filter(|it| *it > 1).and_then(Pid::from_raw) else {
        return;
    };
    match send(pid) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => {
            tracing::warn!(pid = pid.as_raw_nonzero().get(), %error, "a signal was not sent")
        }
    }
}

/// The exit code and a sentence for a person.
pub(super) fn ending(status: io::Result<ExitStatus>) -> (Option<i32>, String) {
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => (Some(code), format!("exit code {code}")),
            (None, Some(signal)) => (None, format!("killed by signal {signal}")),
            (None, None) => (None, "ended".into()),
        },
        Err(error) => (None, format!("ended; its exit code is unknown: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse_the_stat_line() {
        let line = "42 (a) b (c) S 1 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 123456 1 1";
        let expected = Stat { pid: 42, group: 42, dead: false, started_ticks: 123_456 };
        assert_eq!(parse_stat(42, line), Some(expected));
        assert_eq!(parse_stat(42, "42 (a"), None);
    }

    #[test]
    fn a_process_with_another_start_time_is_a_stranger() {
        let own = stat(std::process::id()).unwrap();
        assert!(is_alive(own.pid, own.started_ticks));
        assert!(!is_alive(own.pid, own.started_ticks + 1));
    }

    #[test]
    fn the_mark_is_read_from_an_environment() {
        assert_eq!(mark_in(b"A=b\0CHANDLERY_PROCESS=x1\0C=d\0"), Some("x1".into()));
        assert_eq!(mark_in(b"A=b\0CHANDLERY_PROCESSES=x1\0"), None);
        assert_eq!(mark_in(b""), None);
    }
}
