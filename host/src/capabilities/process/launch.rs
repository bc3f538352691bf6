//! From a spec to a running child: what is granted, what the placeholders stand
//! for, and the start itself.

use std::{
    env,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use regex::{Regex, RegexBuilder};
use rustix::process::{Resource, setrlimit};
use sha2::{Digest, Sha256};
use tokio::process::{Child, Command};

use super::{Grant, Key, blocking, folder, os};
use crate::{
    blobs::Blobs,
    open_files,
    plugins::types::{ProcessError, ProcessOutput, ProcessSpec},
    store::processes::Process,
};

const ARTIFACT: &str = "{artifact}";
const ARGS_MAX: usize = 1024;
const SPEC_BYTES_MAX: usize = 256 << 10;
const PORTS_MAX: usize = 32;

/// Checks a spec against the grant, before anything is kept or started. Looks at the
/// disk, so it is no work for an async thread.
pub(super) fn check(
    root: &Path,
    grant: &Grant,
    name: &str,
    spec: &ProcessSpec,
) -> Result<(), ProcessError> {
    let denied = |why: String| Err(ProcessError::Denied(why));
    if name.is_empty() || name.len() > 255 || name.contains(char::is_control) {
        return denied("a process's name has 1 to 255 characters and no control characters".into());
    }
    if !grant.programs.contains(&spec.program) {
        let program = &spec.program;
        return denied(format!("program `{program}` is not granted: add it to `process.programs`"));
    }
    if spec.program != ARTIFACT && spec.program.contains('/') && !spec.program.starts_with('/') {
        return denied(format!(
            "program `{}` is neither a name nor an absolute path",
            spec.program
        ));
    }
    check_size(spec)?;
    for it in &spec.env {
        if it.key.is_empty() || it.key.contains(['=', '\0']) || is_reserved(&it.key) {
            return denied(format!("variable `{}` cannot be set", it.key));
        }
    }
    let texts = spec.args.iter().chain(spec.env.iter().map(|it| &it.value));
    if texts.chain([&spec.program]).any(|it| it.contains('\0')) {
        return denied("an argument or a variable holds a NUL".into());
    }
    if let Some(uri) = &spec.artifact {
        sha256_of(uri)?;
    }
    if let Some(file) = &spec.artifact_name {
        check_file_name(file)?;
    }
    for pattern in spec.inherit_env.iter().chain(&grant.inherit_env) {
        whole(pattern)?;
    }
    check_root(root, grant, spec.workdir_root.as_deref())
}

fn check_size(spec: &ProcessSpec) -> Result<(), ProcessError> {
    let bytes: usize = spec.args.iter().map(String::len).sum::<usize>()
        + spec.env.iter().map(|it| it.key.len() + it.value.len()).sum::<usize>();
    if spec.args.len() > ARGS_MAX || spec.env.len() > ARGS_MAX || bytes > SPEC_BYTES_MAX {
        return Err(ProcessError::Denied(format!(
            "more than {ARGS_MAX} arguments or variables, or {SPEC_BYTES_MAX} bytes of them"
        )));
    }
    if spec.ports.len() > PORTS_MAX {
        return Err(ProcessError::Denied(format!("more than {PORTS_MAX} ports")));
    }
    Ok(())
}

fn check_file_name(file: &str) -> Result<(), ProcessError> {
    let odd = file.is_empty()
        || file.len() > 255
        || file.starts_with('.')
        || file.contains(['/', '\0'])
        || [stdout_name(), stderr_name()].iter().any(|it| file.starts_with(it));
    match odd {
        true => Err(ProcessError::Denied(format!("`{file}` cannot be an artifact's file name"))),
        false => Ok(()),
    }
}

fn check_root(root: &Path, grant: &Grant, wanted: Option<&str>) -> Result<(), ProcessError> {
    let Some(wanted) = wanted else { return Ok(()) };
    let refused = || {
        ProcessError::Denied(format!(
            "folder `{wanted}` is not granted: add it to `process.workdir_roots`"
        ))
    };
    let wanted = Path::new(wanted);
    if !wanted.is_absolute() {
        return Err(refused());
    }
    // What is not there yet cannot be a link; what is there counts by where it is.
    let mut existing = wanted;
    while !existing.exists() {
        existing = existing.parent().ok_or_else(refused)?;
    }
    let below = wanted.strip_prefix(existing).map_err(|_| refused())?;
    if below.components().any(|it| !matches!(it, std::path::Component::Normal(_))) {
        return Err(refused());
    }
    let real = existing.canonicalize().map_err(|_| refused())?.join(below);
    let mut granted = grant.workdir_roots.iter().filter_map(|it| it.canonicalize().ok());
    match real.starts_with(root) || granted.any(|it| real.starts_with(it)) {
        true => Ok(()),
        false => Err(refused()),
    }
}

/// The working folder of a process: always the same for the same name, so that
/// its output is found after another start.
pub(super) fn workdir(root: &Path, key: &Key, spec: &ProcessSpec) -> PathBuf {
    let plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.');
    let shown: String = key.1.chars().map(|it| if plain(it) { it } else { '_' }).take(80).collect();
    let digest = Sha256::digest(format!("{}\0{}", key.0, key.1));
    let base = spec.workdir_root.as_ref().map_or(root, |it| Path::new(it));
    base.join(format!("{}-{}", shown.trim_start_matches('.'), hex::encode(&digest[..6])))
}

pub(super) fn stdout_name() -> &'static str {
    "stdout.log"
}

pub(super) fn stderr_name() -> &'static str {
    "stderr.log"
}

/// Starts the process that a record announces. The error is for a person.
pub(super) async fn launch(
    root: &Path,
    blobs: &Blobs,
    grant: &Grant,
    process: &Process,
    spec: &ProcessSpec,
) -> Result<Child, String> {
    let workdir = process.workdir.clone();
    let (root, granted, wanted) = (root.to_owned(), grant.clone(), spec.workdir_root.clone());
    let make = move || {
        let made = folder::make(&workdir).and_then(|()| fs::symlink_metadata(&workdir));
        let made = made.map_err(|it| format!("the working folder cannot be made: {it}"))?;
        if !made.is_dir() {
            return Err("the working folder is no folder".to_owned());
        }
        // Between the check and now, a part of the path may have become a link.
        check_root(&root, &granted, wanted.as_deref())
            .map_err(|_| "the working folder is not where it was".to_owned())
    };
    blocking(make).await?;

    let artifact = place_artifact(blobs, process, spec).await?;
    let words = Words { process, artifact: artifact.as_deref() };
    let program = match spec.program.as_str() {
        ARTIFACT => artifact.clone().ok_or("`{artifact}` is to run, and there is none")?,
        named => find_program(named)?,
    };
    let args = spec.args.iter().map(|it| words.fill_in(it)).collect::<Result<Vec<_>, _>>()?;
    let mut variables = inherited(grant, spec);
    for it in &spec.env {
        variables.push((it.key.clone().into(), words.fill_in(&it.value)?.into()));
    }

    let mut command = Command::new(&program);
    command
        .args(args)
        .env_clear()
        .envs(variables)
        .env(os::MARK, &process.mark)
        .current_dir(&process.workdir)
        .process_group(0)
        .kill_on_drop(false)
        .stdin(Stdio::null());
    restore_open_files(&mut command);
    spawn(&mut command, process).await.map_err(|it| match it.kind() {
        io::ErrorKind::NotFound => {
            format!("program `{}` does not exist, or its interpreter does not", program.display())
        }
        io::ErrorKind::PermissionDenied => {
            format!("program `{}` may not be executed", program.display())
        }
        _ => format!("program `{}` cannot be started: {it}", program.display()),
    })
}

/// Gives the child the limit on open files that the server itself was started with.
#[expect(unsafe_code, reason = "a limit can only be set by the child, between fork and exec")]
fn restore_open_files(command: &mut Command) {
    let Some(limit) = open_files::before_raised() else { return };
    // SAFETY: what runs in the child before its program is one system call, which takes
    // no lock and no memory.
    unsafe {
        command.pre_exec(move || Ok(setrlimit(Resource::Nofile, limit)?));
    }
}

// Another thread that is just starting a process holds our writable handle of the
// artifact for a moment: the kernel then says that the text is busy.
async fn spawn(command: &mut Command, process: &Process) -> io::Result<Child> {
    let mut tries = 0;
    loop {
        let stdout = folder::open_output(&process.output(ProcessOutput::Stdout))?;
        let stderr = folder::open_output(&process.output(ProcessOutput::Stderr))?;
        match command.stdout(stdout).stderr(stderr).spawn() {
            Err(it) if it.kind() == io::ErrorKind::ExecutableFileBusy && tries < 50 => {
                tries += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            spawned => return spawned,
        }
    }
}

async fn place_artifact(
    blobs: &Blobs,
    process: &Process,
    spec: &ProcessSpec,
) -> Result<Option<PathBuf>, String> {
    let Some(uri) = &spec.artifact else { return Ok(None) };
    let sha256 = sha256_of(uri).map_err(|_| format!("`{uri}` is no artifact"))?;
    let path = process.workdir.join(spec.artifact_name.as_deref().unwrap_or(sha256));
    folder::place(blobs, sha256, &path, spec.program == ARTIFACT).await?;
    Ok(Some(path))
}

fn sha256_of(uri: &str) -> Result<&str, ProcessError> {
    let hex = uri.strip_prefix("sha256:").unwrap_or_default();
    let is_hex = |it: u8| it.is_ascii_digit() || (b'a'..=b'f').contains(&it);
    match hex.len() == 64 && hex.bytes().all(is_hex) {
        true => Ok(hex),
        false => Err(ProcessError::Denied(format!("artifact `{uri}` is not `sha256:<hex>`"))),
    }
}

// Looked up by ourselves, in the host's PATH: the child's own PATH must not decide
// what is run.
fn find_program(name: &str) -> Result<PathBuf, String> {
    if name.starts_with('/') {
        return Ok(PathBuf::from(name));
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let mut candidates =
        env::split_paths(&path).filter(|it| it.is_absolute()).map(|it| it.join(name));
    candidates
        .find(|it| it.is_file())
        .ok_or_else(|| format!("program `{name}` is not in the server's PATH"))
}

fn inherited(grant: &Grant, spec: &ProcessSpec) -> Vec<(OsString, OsString)> {
    let compile = |patterns: &[String]| -> Vec<Regex> {
        patterns.iter().filter_map(|it| whole(it).ok()).collect()
    };
    let (granted, wanted) = (compile(&grant.inherit_env), compile(&spec.inherit_env));
    env::vars_os()
        .filter(|(name, _)| {
            name.to_str().is_some_and(|name| {
                !is_reserved(name)
                    && granted.iter().any(|it| it.is_match(name))
                    && wanted.iter().any(|it| it.is_match(name))
            })
        })
        .collect()
}

fn is_reserved(name: &str) -> bool {
    name.starts_with("CHANDLERY_")
}

fn whole(pattern: &str) -> Result<Regex, ProcessError> {
    let built = RegexBuilder::new(&format!("^(?:{pattern})$")).size_limit(1 << 18).build();
    built.map_err(|_| ProcessError::Denied(format!("`{pattern}` is no regular expression")))
}

/// What the placeholders stand for.
struct Words<'a> {
    process: &'a Process,
    artifact: Option<&'a Path>,
}

impl Words<'_> {
    fn fill_in(&self, text: &str) -> Result<String, String> {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            filled.push_str(&rest[..at]);
            rest = &rest[at..];
            let (word, length) = self.word(rest)?;
            filled.push_str(&word);
            rest = &rest[length..];
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// What stands at the start of `rest`, and how much of it that takes.
    fn word(&self, rest: &str) -> Result<(String, usize), String> {
        let shown = |path: &Path| path.display().to_string();
        if rest.starts_with(ARTIFACT) {
            let path = self.artifact.ok_or("`{artifact}` is used, and no artifact is asked for")?;
            return Ok((shown(path), ARTIFACT.len()));
        }
        if rest.starts_with("{workdir}") {
            return Ok((shown(&self.process.workdir), "{workdir}".len()));
        }
        let named = rest.strip_prefix("{port:").and_then(|it| it.split_once('}'));
        let Some((name, _)) = named else { return Ok(("{".into(), 1)) };
        let port = self.process.ports.iter().find(|it| it.name == name);
        let port = port.ok_or_else(|| format!("no port is asked for as `{name}`"))?;
        Ok((port.number.to_string(), "{port:}".len() + name.len()))
    }
}
