//! What a container writes, into the files of its sandbox.

use std::io;
use std::path::Path;

use bollard::container::LogOutput;
use futures::{Stream, StreamExt};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use crate::agent::sandbox::output;

/// Copies until the container has nothing left to say.
pub(super) async fn copy(
    mut written: impl Stream<Item = Result<LogOutput, bollard::errors::Error>> + Unpin,
    directory: &Path,
) -> io::Result<()> {
    let mut stdout = File::from_std(output(&directory.join("stdout"))?);
    let mut stderr = File::from_std(output(&directory.join("stderr"))?);
    while let Some(chunk) = written.next().await {
        let (file, bytes) = match chunk.map_err(io::Error::other)? {
            LogOutput::StdErr { message } => (&mut stderr, message),
            LogOutput::StdOut { message } | LogOutput::Console { message } => {
                (&mut stdout, message)
            }
            LogOutput::StdIn { .. } => continue,
        };
        file.write_all(&bytes).await?;
        file.flush().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn streams_end_in_their_files_after_what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("stderr"), "fetched\n").unwrap();
        let out = |text: &'static str| LogOutput::StdOut {
            message: text.into(),
        };
        let err = LogOutput::StdErr {
            message: "err\n".into(),
        };
        let console = LogOutput::Console {
            message: "tty\n".into(),
        };
        let chunks = [out("one\n"), err, out("two\n"), console].map(Ok);
        copy(futures::stream::iter(chunks), directory.path())
            .await
            .unwrap();
        let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(read("stdout"), "one\ntwo\ntty\n");
        assert_eq!(read("stderr"), "fetched\nerr\n");
    }
}
