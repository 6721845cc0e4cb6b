//! Fills a sandbox with what the URIs of a command name, before the command
//! starts (docs/fetcher.md).
//!
//! Where Apache Mesos is unsafe this is not: nothing leaves the sandbox, an answer
//! of a web server that is no success is not taken for the file, and no file and
//! no archive is larger than [`AgentLimits`] allow.

mod cache;
mod download;
mod extract;

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use mesos_sdk::v1;
use v1::command_info::Uri;

use self::cache::Cache;
use self::download::Downloads;
use self::extract::{Allowance, Archive};
use crate::agent::process::Account;
use crate::agent::{AgentConfig, AgentLimits, Launch};

/// Why a sandbox was not filled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// The URI itself is refused, before anything is fetched.
    #[error("Could not fetch: {reason}: '{uri}'")]
    Refused { uri: String, reason: &'static str },
    /// It could not be fetched.
    #[error(
        "Failed to fetch all URIs for container '{container}': exited with status 1: \
         Failed to fetch '{uri}': {reason}"
    )]
    Failed {
        container: String,
        uri: String,
        reason: String,
    },
}

impl FetchError {
    /// What is added to the errors that the task sees.
    pub(crate) fn complaint(&self) -> Option<String> {
        match self {
            Self::Refused { .. } => None,
            Self::Failed { uri, reason, .. } => Some(format!("Failed to fetch '{uri}': {reason}")),
        }
    }
}

/// Fetches URIs for the tasks of one agent.
#[derive(Debug)]
pub(crate) struct Fetcher {
    cache: Cache,
    downloads: Downloads,
    limits: AgentLimits,
}

/// One URI and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    uri: Uri,
    /// What it names, or why it names nothing.
    source: Result<Source, &'static str>,
    /// Relative to the sandbox.
    target: PathBuf,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    File(PathBuf),
    Web(String),
}

impl Fetcher {
    pub(crate) fn new(config: &AgentConfig) -> Self {
        Self {
            cache: Cache::new(config.work_dir.join("fetch")),
            downloads: Downloads::default(),
            limits: config.limits.clone(),
        }
    }

    /// Fetches every URI of a launch into its sandbox, each of them once.
    pub(crate) async fn fetch_all(
        &self,
        launch: &Launch,
        account: Option<Account>,
    ) -> Result<(), FetchError> {
        let mut items: Vec<Item> = Vec::new();
        for uri in &launch.command.uris {
            let item = plan(uri).map_err(|reason| FetchError::Refused {
                uri: shown(&uri.value),
                reason,
            })?;
            if !items.contains(&item) {
                items.push(item);
            }
        }
        for item in &items {
            let fetched = self.fetch(item, &launch.directory, account);
            let reason = match tokio::time::timeout(self.limits.fetch_timeout, fetched).await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("it took longer than {:?}", self.limits.fetch_timeout),
            };
            return Err(FetchError::Failed {
                container: launch.container.to_string(),
                uri: shown(&item.uri.value),
                reason,
            });
        }
        if let Some(account) = account {
            let directory = launch.directory.clone();
            let result = blocking(move |_| give(&directory, account)).await;
            result.map_err(|error| FetchError::Failed {
                container: launch.container.to_string(),
                uri: String::new(),
                reason: error.to_string(),
            })?;
        }
        Ok(())
    }

    async fn fetch(&self, item: &Item, sandbox: &Path, account: Option<Account>) -> io::Result<()> {
        let archive =
            Archive::of(&item.target).filter(|_| item.uri.extract() && !item.uri.executable());
        let source = item.source.as_ref().map_err(|why| io::Error::other(*why))?;
        let limit = self.limits.max_fetch_bytes;
        let allowed = Allowance {
            bytes: limit,
            files: self.limits.max_fetch_files,
        };
        let sandbox = sandbox.to_owned();
        let target = item.target.clone();
        if item.uri.cache() {
            let key = (
                account.map(|account| account.uid.as_raw()),
                item.uri.value.clone(),
            );
            let cached = self
                .cache
                .get(key, limit, async |path| self.bring(source, path).await)
                .await?;
            let is_executable = item.uri.executable();
            return blocking(move |stop| match archive {
                Some(archive) => archive.extract(cached.path(), &sandbox, allowed, stop),
                None => {
                    let path = place(&sandbox, &target)?;
                    fs::copy(cached.path(), &path)?;
                    finish(&path, is_executable)
                }
            })
            .await;
        }
        let (root, relative) = (sandbox.clone(), target.clone());
        let path = blocking(move |_| place(&root, &relative)).await?;
        self.bring(source, &path).await?;
        let is_executable = item.uri.executable();
        blocking(move |stop| {
            finish(&path, is_executable)?;
            match archive {
                Some(archive) => archive.extract(&path, &sandbox, allowed, stop),
                None => Ok(()),
            }
        })
        .await
    }

    /// Copies or downloads to a path where nothing is yet.
    async fn bring(&self, source: &Source, path: &Path) -> io::Result<()> {
        match source {
            Source::Web(url) => self.downloads.download(url, path, &self.limits).await,
            Source::File(source) => {
                let (source, path) = (source.clone(), path.to_owned());
                let limit = self.limits.max_fetch_bytes;
                blocking(move |_| copy(&source, &path, limit)).await
            }
        }
    }
}

/// Tells work that nobody waits for it any longer.
#[derive(Debug, Clone, Default)]
struct Stop(Arc<AtomicBool>);

impl Stop {
    fn check(&self) -> io::Result<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(io::Error::other("it is not wanted any longer"));
        }
        Ok(())
    }
}

/// Stops the work when the wait for it ends.
struct Waiting(Stop);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Runs file system work where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce(&Stop) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let stop = Stop::default();
    let _waiting = Waiting(stop.clone());
    match tokio::task::spawn_blocking(move || work(&stop)).await {
        Ok(result) => result,
        Err(error) => Err(io::Error::other(error)),
    }
}

fn copy(source: &Path, path: &Path, limit: u64) -> io::Result<()> {
    let metadata = fs::metadata(source)?;
    if metadata.is_dir() {
        return Err(io::Error::other("it is a directory"));
    }
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let mut file = File::create_new(path)?;
    let copied = io::copy(&mut File::open(source)?.take(limit + 1), &mut file)?;
    if copied > limit {
        return Err(too_large(limit));
    }
    file.set_permissions(metadata.permissions())
}

fn too_large(limit: u64) -> io::Error {
    io::Error::other(format!("it is larger than {limit} bytes"))
}

/// Makes room for a file in the sandbox: its directories exist afterwards and
/// it does not. A directory that leads out of the sandbox is refused.
fn place(sandbox: &Path, target: &Path) -> io::Result<PathBuf> {
    let root = sandbox.canonicalize()?;
    let mut directory = root.clone();
    for part in target.parent().into_iter().flat_map(Path::components) {
        directory.push(part);
        match fs::create_dir(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => directory = directory.canonicalize()?,
        }
        if !directory.starts_with(&root) {
            return Err(io::Error::other(format!(
                "'{}' would lie outside of the sandbox",
                target.display()
            )));
        }
    }
    let name = target
        .file_name()
        .ok_or_else(|| io::Error::other("a file needs a name"))?;
    let path = directory.join(name);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(path),
    }
}

/// Sets the mode of a fetched file.
fn finish(path: &Path, is_executable: bool) -> io::Result<()> {
    let mode = fs::metadata(path)?.permissions().mode();
    let mode = if is_executable { mode | 0o755 } else { mode };
    fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o777))
}

/// Makes a sandbox and all in it the user's.
fn give(directory: &Path, account: Account) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        std::os::unix::fs::lchown(
            &path,
            Some(account.uid.as_raw()),
            Some(account.gid.as_raw()),
        )?;
        if entry.file_type()?.is_dir() {
            give(&path, account)?;
        }
    }
    Ok(())
}

/// Decides what a URI means.
fn plan(uri: &Uri) -> Result<Item, &'static str> {
    let value = uri.value.as_str();
    if value.contains(['\'', '\\', '\0']) {
        return Err("Illegal characters in URI");
    }
    let mut source = source(value);
    let target = match uri.output_file.as_deref().filter(|file| !file.is_empty()) {
        Some(file) => PathBuf::from(file),
        None => match basename(value) {
            Ok(name) => PathBuf::from(name),
            Err(why) => {
                source = source.and(Err(why));
                PathBuf::new()
            }
        },
    };
    let stays_inside = target
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if !stays_inside {
        return Err("URI output file must be within the sandbox directory");
    }
    Ok(Item {
        uri: uri.clone(),
        source,
        target,
    })
}

fn source(value: &str) -> Result<Source, &'static str> {
    match value.split_once("://") {
        Some(("http" | "https", _)) => Ok(Source::Web(value.to_owned())),
        // file://localhost/path is file:///path.
        Some(("file", path)) => absolute(path.strip_prefix("localhost").unwrap_or(path)),
        Some(_) => Err("The scheme of the URI is not supported"),
        None => absolute(value),
    }
}

fn absolute(path: &str) -> Result<Source, &'static str> {
    if path.starts_with('/') {
        Ok(Source::File(PathBuf::from(path)))
    } else {
        Err(
            "A relative path was passed for the resource, and there is no directory it is relative to",
        )
    }
}

/// The last component of a URI, its query included.
fn basename(value: &str) -> Result<&str, &'static str> {
    let path = value.split_once("://").map_or(value, |(_, rest)| rest);
    match path.rsplit_once('/') {
        Some((_, name)) if !name.is_empty() => Ok(name),
        _ => Err("Malformed URI (missing path)"),
    }
}

/// The URI without what may be a secret in it.
fn shown(value: &str) -> String {
    let Some((scheme, rest)) = value.split_once("://") else {
        return value.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{host}{path}"),
        None => value.to_owned(),
    }
}

#[cfg(test)]
mod tests;
