//! Following the logs of a release: what comes is asked for when the last was taken, so
//! that one who is slow is behind and holds one piece.
//!
//! The applications are those that run at each moment: a follower goes along with an
//! upgrade, and ends with the release.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep},
};

use super::{
    BYTES_MAX, Line, Wanted, each_bytes, last_lines,
    place::{Place, Taken},
    selected,
    sources::{self, READ_BYTES, Source, Stamp},
};
use crate::{
    app::App,
    authz::{self, Permit},
    error::{Error, Result},
    plugins::deployer::{LogText, LogWant},
};

/// Lines in one step.
const STEP: usize = 256;
/// How long to rest where nothing came: longer and longer.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// The text of a place that goes with each line; a longer one goes with the last of a
/// step.
const SHORT_BYTES: usize = 512;
/// What one who finds no room is told to wait.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What comes next.
#[derive(Debug)]
pub enum Next {
    /// These lines, each with the place behind it where there is a text for that.
    Lines(Vec<(Line, Option<String>)>),
    /// Nothing for a while, up to that place.
    Quiet(Option<String>),
    /// The log of that application cannot be read just now.
    Trouble {
        /// Its id on the platform.
        deployment_id: String,
        /// Why.
        why: String,
    },
    /// Nothing any more, for that reason.
    End(&'static str),
}

/// One who follows.
pub struct Follow {
    app: Arc<App>,
    permit: Permit,
    wanted: Wanted,
    sources: Vec<Source>,
    ended: Option<&'static str>,
    stamp: Stamp,
    /// The source whose turn it is.
    turn: usize,
    /// What was read of it and is not given out yet, and how much of the first of it is.
    pending: VecDeque<LogText>,
    given: Given,
    /// What is not to be given out again.
    skip: Option<Taken>,
    is_first: bool,
    has_more: bool,
    came: bool,
    pause: Duration,
    heard: Instant,
    asked: Instant,
    _seat: OwnedSemaphorePermit,
}

/// What was given out of a text.
#[derive(Default)]
struct Given {
    bytes: usize,
    lines: usize,
}

/// Follows the logs of a release, from their last lines on or from a place.
pub async fn follow(
    app: &Arc<App>,
    permit: Permit,
    wanted: Wanted,
    from: Option<Place>,
) -> Result<Follow> {
    let seat = app
        .log_followers
        .clone()
        .try_acquire_owned()
        .map_err(|_| Error::Busy { what: "followers of logs", retry_after: RETRY_AFTER })?;
    let found = sources::find(app, &permit.target.name).await?;
    let mut sources = selected(app, &wanted, found.sources).await?;
    if let Some(place) = &from {
        for it in &mut sources {
            it.read = place.places_of(&it.deployment_id);
            it.begun = true;
        }
    }
    let now = Instant::now();
    let mut follow = Follow {
        app: app.clone(),
        permit,
        wanted,
        sources,
        ended: found.ended,
        stamp: found.stamp,
        turn: 0,
        pending: VecDeque::new(),
        given: Given::default(),
        skip: from.and_then(|it| it.taken),
        is_first: true,
        has_more: false,
        came: false,
        pause: PAUSE,
        heard: now,
        asked: now,
        _seat: seat,
    };
    // What cannot be read at all is refused before there is a stream.
    if !follow.sources.is_empty() {
        follow.read().await?;
    }
    Ok(follow)
}

impl Follow {
    /// Waits for what comes next.
    pub async fn next(&mut self) -> Result<Next> {
        let heartbeat = self.app.events.heartbeat();
        loop {
            if self.app.events.ending().is_cancelled() {
                return Ok(Next::End("the server is stopping"));
            }
            if self.asked.elapsed() >= heartbeat {
                self.asked = Instant::now();
                if !authz::is_still_allowed(&self.app, &self.permit).await? {
                    return Ok(Next::End("it may not be followed any more"));
                }
            }
            if let Some(lines) = self.step() {
                self.heard = Instant::now();
                self.came = true;
                return Ok(Next::Lines(lines));
            }
            if self.turn < self.sources.len() {
                if let Err(error) = self.read().await
                    && let Some(trouble) = self.trouble(error)?
                {
                    return Ok(trouble);
                }
                continue;
            }
            if std::mem::take(&mut self.is_first) || self.heard.elapsed() >= heartbeat {
                self.heard = Instant::now();
                return Ok(Next::Quiet(self.place(None)));
            }
            if let Some(reason) = self.ended {
                return Ok(Next::End(reason));
            }
            self.rest(heartbeat).await;
            self.look().await?;
        }
    }

    /// Reads on in the log of the source whose turn it is.
    async fn read(&mut self) -> Result<()> {
        let all = self.sources.len();
        let source = &self.sources[self.turn];
        let want = LogWant {
            instance: self.wanted.instance.clone(),
            read: source.read.clone(),
            newest: !source.begun,
            limit_bytes: if source.begun { READ_BYTES } else { each_bytes(all) },
            unfinished: false,
        };
        let mut lines = source.lines(&self.app, want).await?;
        let source = &mut self.sources[self.turn];
        source.trouble = None;
        if !source.begun {
            for it in &mut lines.texts {
                it.text = last_lines(&it.text, self.wanted.tail).to_owned();
                it.gap = false;
            }
        }
        self.has_more |= lines.more;
        self.pending = lines.texts.into();
        self.begin_text();
        self.settle();
        Ok(())
    }

    /// Takes the next lines of what was read.
    fn step(&mut self) -> Option<Vec<(Line, Option<String>)>> {
        let mut lines = Vec::new();
        let mut bytes = 0;
        while lines.len() < STEP && bytes < READ_BYTES as usize {
            let Some(text) = self.pending.front() else { break };
            let source = &self.sources[self.turn];
            let rest = &text.text[self.given.bytes..];
            let Some(said) = rest.split_inclusive('\n').next() else {
                self.settle();
                continue;
            };
            let gap = text.gap && self.given.bytes == 0;
            let line = Line::of(source, &text.place, said, gap);
            bytes += said.len();
            self.given.bytes += said.len();
            self.given.lines += 1;
            self.settle();
            let place = self.place(Some(SHORT_BYTES));
            lines.push((line, place));
        }
        if let Some((_, place)) = lines.last_mut() {
            *place = self.place(None);
        }
        (!lines.is_empty()).then_some(lines)
    }

    /// Notes the texts that have been given out, and goes on to the next source behind
    /// the last of them.
    fn settle(&mut self) {
        while let Some(text) = self.pending.front()
            && self.given.bytes >= text.text.len()
        {
            let done = self.pending.pop_front();
            self.sources[self.turn].read_to(done);
            self.begin_text();
        }
        if self.pending.is_empty() {
            self.sources[self.turn].begun = true;
            self.turn += 1;
        }
    }

    /// Steps over what was given out of a text before its follower came back.
    fn begin_text(&mut self) {
        self.given = Given::default();
        let (Some(text), Some(skip)) = (self.pending.front(), &mut self.skip) else { return };
        let Taken(app, instance, output, lines) = skip;
        let is_meant = *app == self.sources[self.turn].deployment_id
            && *instance == text.place.instance
            && *output == text.place.output;
        if !is_meant || text.text.is_empty() {
            return;
        }
        for said in text.text.split_inclusive('\n').take(*lines) {
            self.given.bytes += said.len();
            self.given.lines += 1;
        }
        *lines -= self.given.lines;
        if *lines == 0 {
            self.skip = None;
        }
    }

    /// The text for the place that it is at, where there is one of that size.
    fn place(&self, bytes_max: Option<usize>) -> Option<String> {
        if !self.sources.iter().all(|it| it.begun) {
            return None;
        }
        let taken = self.pending.front().filter(|_| self.given.lines > 0).map(|text| {
            let id = self.sources[self.turn].deployment_id.clone();
            let (instance, output) = (text.place.instance.clone(), text.place.output.clone());
            Taken(id, instance, output, self.given.lines)
        });
        let taken = taken.or_else(|| self.skip.clone());
        let text = Place::of(&self.sources, taken).text()?;
        bytes_max.is_none_or(|it| text.len() <= it).then_some(text)
    }

    /// Goes on to the next source. Tells what is the matter with this one, once.
    fn trouble(&mut self, error: Error) -> Result<Option<Next>> {
        if matches!(error, Error::Store { .. } | Error::Internal(_)) {
            return Err(error);
        }
        let source = &mut self.sources[self.turn];
        let why = error.to_string();
        let is_new = source.trouble.as_ref() != Some(&why);
        source.trouble = Some(why.clone());
        let deployment_id = source.deployment_id.clone();
        self.turn += 1;
        Ok(is_new.then_some(Next::Trouble { deployment_id, why }))
    }

    async fn rest(&mut self, heartbeat: Duration) {
        let (came, has_more) = (std::mem::take(&mut self.came), std::mem::take(&mut self.has_more));
        if came && has_more {
            return;
        }
        self.pause = if came { PAUSE } else { (self.pause * 2).min(PAUSE_MAX) };
        let until_heard = heartbeat.saturating_sub(self.heard.elapsed());
        tokio::select! {
            () = sleep(self.pause.min(until_heard)) => {}
            () = self.app.events.ending().cancelled() => {}
        }
    }

    /// Begins another round, with what runs now.
    async fn look(&mut self) -> Result<()> {
        self.turn = 0;
        let name = &self.permit.target.name;
        let changed = sources::changed(&self.app, name, self.stamp.clone()).await;
        let found = match changed {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(()),
            Err(Error::NotFound { .. }) => {
                self.ended = Some("the release is gone");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let mut known = std::mem::take(&mut self.sources);
        self.sources = found.sources.into_iter().filter(|it| self.wanted.wants(it)).collect();
        for it in &mut self.sources {
            // What has come since is read from its beginning.
            it.begun = true;
            if let Some(at) = known.iter().position(|of| of.deployment_id == it.deployment_id) {
                let before = known.swap_remove(at);
                (it.read, it.trouble) = (before.read, before.trouble);
            }
        }
        (self.ended, self.stamp) = (found.ended, found.stamp);
        Ok(())
    }
}

impl Source {
    fn read_to(&mut self, text: Option<LogText>) {
        if let Some(text) = text {
            self.note(text.place);
        }
    }
}

const _: () = assert!(READ_BYTES <= BYTES_MAX);
