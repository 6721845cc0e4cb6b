//! What a container writes, into the files of its sandbox.

use std::io;
use std::path::Path;

use bollard::container::LogOutput;
use futures::{Stream, StreamExt};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

/// Copies until the container has nothing left to say. The first `skip` bytes
/// of each stream are in the files already.
pub(super) async fn copy(
    mut output: impl Stream<Item = Result<LogOutput, bollard::errors::Error>> + Unpin,
    directory: &Path,
    skip: Written,
) -> io::Result<()> {
    let mut stdout = File::from_std(open(directory, "stdout")?);
    let mut stderr = File::from_std(open(directory, "stderr")?);
    let mut skip = skip;
    while let Some(chunk) = output.next().await {
        let (file, skip, bytes) = match chunk.map_err(io::Error::other)? {
            LogOutput::StdErr { message } => (&mut stderr, &mut skip.stderr, message),
            LogOutput::StdOut { message } | LogOutput::Console { message } => {
                (&mut stdout, &mut skip.stdout, message)
            }
            LogOutput::StdIn { .. } => continue,
        };
        let known = usize::try_from(*skip)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        *skip -= known as u64;
        file.write_all(&bytes[known..]).await?;
        file.flush().await?;
    }
    Ok(())
}

/// How much of a container's output is in its sandbox.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) stdout: u64,
    pub(super) stderr: u64,
}

fn open(directory: &Path, name: &str) -> io::Result<std::fs::File> {
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn streams_end_in_their_files_and_nothing_twice() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("stderr"), "fetched\n").unwrap();
        let chunks = || {
            let out = |text: &'static str| LogOutput::StdOut {
                message: text.into(),
            };
            let err = LogOutput::StdErr {
                message: "err\n".into(),
            };
            let console = LogOutput::Console {
                message: "tty\n".into(),
            };
            futures::stream::iter([out("one\n"), err, out("two\n"), console].map(Ok))
        };
        copy(chunks(), directory.path(), Written::default())
            .await
            .unwrap();
        let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(read("stdout"), "one\ntwo\ntty\n");
        assert_eq!(read("stderr"), "fetched\nerr\n");
        let skip = Written {
            stdout: 6,
            stderr: 4,
        };
        copy(chunks(), directory.path(), skip).await.unwrap();
        assert_eq!(read("stdout"), "one\ntwo\ntty\no\ntty\n");
        assert_eq!(read("stderr"), "fetched\nerr\n");
    }
}
