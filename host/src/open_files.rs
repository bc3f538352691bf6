//! How many files the process may have open: each connection is one, and so is
//! what it uploads or downloads.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Limits;

/// Raises the limit as far as the system lets us, and tells what it is then.
pub(crate) fn raise() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_to_what_the_system_allows() {
        let limit = raise();
        let now = getrlimit(Resource::Nofile);
        assert_eq!(now.current, now.maximum);
        assert_eq!(now.current.map_or(usize::MAX, |it| it as usize), limit);
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
