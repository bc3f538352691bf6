//! How many files the process may have open: each connection is one, and so is
//! what it uploads or downloads.

use std::sync::{Mutex, PoisonError};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Limits;

/// What it was before it was raised.
static BEFORE: Mutex<Option<Rlimit>> = Mutex::new(None);

/// The limit that this process was started with, where it has another one now: that
/// of the processes it starts. Programs that close all files they might have, or that
/// `select`, are not made for ours.
pub(crate) fn before_raised() -> Option<Rlimit> {
    *BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Raises the limit as far as the system lets us, and tells what it is then.
pub(crate) fn raise() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        let before = Rlimit { current, maximum };
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
    }
    let raised = Rlimit { current: maximum, maximum };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit on open files cannot be raised");
            current
        }
    };
    limit.map_or(usize::MAX, |it| usize::try_from(it).unwrap_or(usize::MAX))
}

/// Leaves half of the files to everything that is no connection: running out of
/// them stops more than the next client.
pub(crate) fn fit(limits: &mut Limits, open_files_max: usize) {
    let connections_max = (open_files_max / 2).max(1);
    if limits.connections_max > connections_max {
        tracing::warn!(
            wished = limits.connections_max,
            connections_max,
            open_files_max,
            "`limits.connections_max` is cut down to half of the files that may be open: raise \
             the system's limit (`ulimit -n`, `LimitNOFILE=`)"
        );
        limits.connections_max = connections_max;
    }
}

/// Raises a limit that was half of what the system allows, and tells that half.
#[cfg(test)]
pub(crate) fn raise_from_half() -> u64 {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let maximum = getrlimit(Resource::Nofile).maximum;
    let half = maximum.unwrap_or(1 << 20) / 2;
    setrlimit(Resource::Nofile, Rlimit { current: Some(half), maximum }).unwrap();
    let limit = raise();
    let now = getrlimit(Resource::Nofile);
    assert_eq!(now.current, now.maximum);
    assert_eq!(now.current.map_or(usize::MAX, |it| it as usize), limit);
    half
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_to_what_the_system_allows() {
        let half = raise_from_half();
        assert_eq!(before_raised().unwrap().current, Some(half));
    }

    #[test]
    fn half_of_the_files_are_left_to_others() {
        let fitted = |wished, open_files_max| {
            let mut limits = Limits { connections_max: wished, ..Limits::default() };
            fit(&mut limits, open_files_max);
            limits.connections_max
        };
        assert_eq!(fitted(4096, 1024), 512);
        assert_eq!(fitted(4096, 8192), 4096);
        assert_eq!(fitted(4096, usize::MAX), 4096);
        assert_eq!(fitted(4096, 1), 1);
    }
}
