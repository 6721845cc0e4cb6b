//! Files, archives and a web server of the test's own.

use std::io::Write;
use std::os::unix::fs::symlink;
use std::sync::{Arc, Mutex};

use flate2::Compression as Level;
use flate2::write::GzEncoder;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::agent::ContainerKey;

struct Place {
    directory: TempDir,
    fetcher: Fetcher,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("sandbox")).unwrap();
        let fetcher = Fetcher {
            cache: Cache::new(directory.path().join("fetch")),
            downloads: Downloads::default(),
            limits: AgentLimits::default(),
        };
        Self { directory, fetcher }
    }

    fn source(&self, name: &str, content: &[u8]) -> String {
        let path = self.directory.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn sandbox(&self) -> PathBuf {
        self.directory.path().join("sandbox")
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.sandbox().join(name)).ok()
    }

    async fn fetch(&self, uris: Vec<Uri>) -> Result<(), String> {
        let launch = Launch {
            executor_directory: None,
            is_guest: false,
            io: crate::agent::Io::Files,
            container: ContainerKey::new("c"),
            directory: self.sandbox(),
            command: v1::CommandInfo {
                uris,
                ..Default::default()
            },
            environment: Vec::new(),
            user: None,
            image: None,
            volumes: Vec::new(),
        };
        let result = self.fetcher.fetch_all(&launch, None).await;
        result.map_err(|error| error.to_string())
    }
}

fn uri(value: impl Into<String>) -> Uri {
    Uri {
        value: value.into(),
        ..Default::default()
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn tar(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        let mut header = tar::Header::new_gnu();
        // Written as it is: the builder's own methods refuse what we test.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Serves canned answers by path and notes what was asked.
async fn serve(
    answers: &'static [(&'static str, &'static str)],
) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            let request = String::from_utf8(request).unwrap();
            let path = request.split(' ').nth(1).unwrap().to_owned();
            let answer = answers.iter().find(|(known, _)| *known == path).map_or(
                "404 Not Found\r\nContent-Length: 5\r\n\r\nerror",
                |(_, answer)| answer,
            );
            notes.lock().unwrap().push(path);
            let answer = format!("HTTP/1.1 {answer}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (format!("http://{address}"), asked)
}

const DATA: (&str, &str) = (
    "/data.txt",
    "200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\ndata\n",
);

#[tokio::test]
async fn copies_a_file_under_its_own_name_or_another_one() {
    let place = Place::new();
    let path = place.source("with space.txt", b"data\n");
    let renamed = Uri {
        output_file: Some("a/b/renamed.txt".into()),
        ..uri(path.clone())
    };
    place
        .fetch(vec![uri(format!("file://{path}")), renamed])
        .await
        .unwrap();
    assert_eq!(place.read("with space.txt").unwrap(), "data\n");
    assert_eq!(place.read("a/b/renamed.txt").unwrap(), "data\n");
}

#[tokio::test]
async fn an_executable_is_executable_and_not_unpacked() {
    let place = Place::new();
    let path = place.source("archive.tar", &tar(&[("inner.txt", "inner")]));
    let executable = Uri {
        executable: Some(true),
        ..uri(path)
    };
    place.fetch(vec![executable]).await.unwrap();
    let metadata = fs::metadata(place.sandbox().join("archive.tar")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o755);
    assert_eq!(place.read("inner.txt"), None);
}

#[tokio::test]
async fn archives_are_unpacked_unless_that_is_not_wanted() {
    let place = Place::new();
    let inner = tar(&[("sub/inner.txt", "inner\n")]);
    let path = place.source("archive.tar.gz", &gzip(&inner));
    let kept = Uri {
        extract: Some(false),
        ..uri(path.clone())
    };
    place.fetch(vec![kept]).await.unwrap();
    assert_eq!(place.read("sub/inner.txt"), None);
    place.fetch(vec![uri(path)]).await.unwrap();
    assert_eq!(place.read("sub/inner.txt").unwrap(), "inner\n");
    assert!(place.sandbox().join("archive.tar.gz").exists());
    let path = place.source("data.gz", &gzip(b"content\n"));
    place.fetch(vec![uri(path)]).await.unwrap();
    assert_eq!(place.read("data").unwrap(), "content\n");
}

#[tokio::test]
async fn a_zip_is_unpacked_with_its_modes() {
    let place = Place::new();
    let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().unix_permissions(0o755);
    writer.start_file("zipped/run.sh", options).unwrap();
    writer.write_all(b"true\n").unwrap();
    let path = place.source("archive.zip", &writer.finish().unwrap().into_inner());
    place.fetch(vec![uri(path)]).await.unwrap();
    assert_eq!(place.read("zipped/run.sh").unwrap(), "true\n");
    let metadata = fs::metadata(place.sandbox().join("zipped/run.sh")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o755);
}

#[tokio::test]
async fn nothing_leaves_the_sandbox() {
    let place = Place::new();
    let path = place.source("data.txt", b"data\n");
    for file in ["../renamed.txt", "/renamed.txt", "a/../../renamed.txt"] {
        let escape = Uri {
            output_file: Some(file.into()),
            ..uri(path.clone())
        };
        let error = place.fetch(vec![escape]).await.unwrap_err();
        assert!(
            error.starts_with(
                "Could not fetch: URI output file must be within the sandbox directory"
            ),
            "{error}"
        );
    }
    let path = place.source("evil.tar", &tar(&[("../evil.txt", "evil")]));
    let error = place.fetch(vec![uri(path)]).await.unwrap_err();
    assert!(error.contains("outside of the sandbox"), "{error}");
    assert!(!place.directory.path().join("evil.txt").exists());
}

#[tokio::test]
async fn a_link_in_the_sandbox_leads_nothing_out_of_it() {
    let place = Place::new();
    fs::create_dir(place.directory.path().join("elsewhere")).unwrap();
    symlink("../elsewhere", place.sandbox().join("link")).unwrap();
    let path = place.source("data.txt", b"data\n");
    let through = Uri {
        output_file: Some("link/data.txt".into()),
        ..uri(path)
    };
    let error = place.fetch(vec![through]).await.unwrap_err();
    assert!(error.contains("outside of the sandbox"), "{error}");
    let path = place.source("more.tar", &tar(&[("link/more.txt", "more")]));
    assert!(place.fetch(vec![uri(path)]).await.is_err());
    let written = fs::read_dir(place.directory.path().join("elsewhere")).unwrap();
    assert_eq!(written.count(), 0);
}

#[tokio::test]
async fn failures_name_the_uri_and_hide_its_password() {
    let place = Place::new();
    assert_eq!(
        place.fetch(vec![uri("/no/such/file")]).await.unwrap_err(),
        "Failed to fetch all URIs for container 'c': exited with status 1: \
         Failed to fetch '/no/such/file': No such file or directory (os error 2)"
    );
    assert_eq!(
        place
            .fetch(vec![uri("gopher://me:secret@host/x")])
            .await
            .unwrap_err(),
        "Failed to fetch all URIs for container 'c': exited with status 1: \
         Failed to fetch 'gopher://host/x': The scheme of the URI is not supported"
    );
    let broken = place.source("broken.tar.gz", b"this is no archive");
    let error = place.fetch(vec![uri(broken)]).await.unwrap_err();
    assert!(error.contains("Failed to extract archive"), "{error}");
    for (value, reason) in [
        ("relative/x", "A relative path was passed"),
        ("", "A relative path was passed"),
        ("http://127.0.0.1:1", "Malformed URI (missing path)"),
        ("/dev/zero", "it is no regular file"),
        ("/tmp", "it is a directory"),
    ] {
        let error = place.fetch(vec![uri(value)]).await.unwrap_err();
        let failed = format!("Failed to fetch '{value}': {reason}");
        assert!(error.contains(&failed), "{error}");
    }
    let error = place.fetch(vec![uri("http://127.0.0.1/it's")]).await;
    assert_eq!(
        error.unwrap_err(),
        "Could not fetch: Illegal characters in URI: 'http://127.0.0.1/it's'"
    );
}

#[tokio::test]
async fn downloads_once_and_follows_redirects() {
    const REDIRECT: (&str, &str) = (
        "/moved",
        "302 Found\r\nConnection: close\r\nLocation: /data.txt\r\nContent-Length: 0\r\n\r\n",
    );
    let place = Place::new();
    let (server, asked) = serve(&[DATA, REDIRECT]).await;
    let data = uri(format!("{server}/data.txt"));
    let moved = uri(format!("{server}/moved"));
    place.fetch(vec![data.clone(), data, moved]).await.unwrap();
    assert_eq!(place.read("data.txt").unwrap(), "data\n");
    assert_eq!(place.read("moved").unwrap(), "data\n");
    assert_eq!(*asked.lock().unwrap(), ["/data.txt", "/moved", "/data.txt"]);
}

#[tokio::test]
async fn an_error_page_is_not_the_file() {
    let place = Place::new();
    let (server, _) = serve(&[]).await;
    let error = place
        .fetch(vec![uri(format!("{server}/missing"))])
        .await
        .unwrap_err();
    assert!(error.ends_with("received HTTP return code 404"), "{error}");
    assert_eq!(place.read("missing"), None);
}

#[tokio::test]
async fn what_is_cached_is_asked_for_once() {
    let place = Place::new();
    let (server, asked) = serve(&[DATA]).await;
    let cached = Uri {
        cache: Some(true),
        ..uri(format!("{server}/data.txt"))
    };
    let named = Uri {
        output_file: Some("second.txt".into()),
        ..cached.clone()
    };
    place.fetch(vec![cached]).await.unwrap();
    place.fetch(vec![named]).await.unwrap();
    assert_eq!(place.read("second.txt").unwrap(), "data\n");
    assert_eq!(*asked.lock().unwrap(), ["/data.txt"]);
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let mut place = Place::new();
    place.fetcher.limits.max_fetch_bytes = 4;
    let (server, _) = serve(&[DATA]).await;
    let path = place.source("data.txt", b"data\n");
    for value in [format!("{server}/data.txt"), path] {
        let error = place.fetch(vec![uri(value)]).await.unwrap_err();
        assert!(error.ends_with("it is larger than 4 bytes"), "{error}");
    }
}

/// Small to fetch, and large once they are unpacked.
#[tokio::test]
async fn archives_that_explode_are_stopped_in_time() {
    const LIMIT: u64 = 100_000;
    let mut place = Place::new();
    place.fetcher.limits.max_fetch_bytes = LIMIT;
    let zeros = "\0".repeat(10 * LIMIT as usize);
    let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    writer.start_file("zeros", options).unwrap();
    writer.write_all(zeros.as_bytes()).unwrap();
    let zip = writer.finish().unwrap().into_inner();
    for (name, bytes) in [
        ("bomb.tar.gz", gzip(&tar(&[("zeros", &zeros)]))),
        ("bomb.zip", zip),
        ("zeros.gz", gzip(zeros.as_bytes())),
    ] {
        assert!((bytes.len() as u64) < LIMIT, "{name} is no bomb");
        let path = place.source(name, &bytes);
        let error = place.fetch(vec![uri(path)]).await.unwrap_err();
        assert!(error.ends_with("it is larger than 100000 bytes"), "{error}");
        let written = fs::metadata(place.sandbox().join("zeros")).unwrap();
        assert!(written.len() <= LIMIT, "{name}: {written:?}");
    }
}

#[tokio::test]
async fn archives_of_too_many_files_are_stopped_in_time() {
    let mut place = Place::new();
    place.fetcher.limits.max_fetch_files = 2;
    let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for name in ["1", "2", "3"] {
        let options = zip::write::SimpleFileOptions::default();
        writer.start_file(name, options).unwrap();
    }
    let zip = writer.finish().unwrap().into_inner();
    for (name, bytes) in [
        ("many.tar", tar(&[("1", ""), ("2", ""), ("3", "")])),
        ("many.zip", zip),
    ] {
        let path = place.source(name, &bytes);
        let error = place.fetch(vec![uri(path)]).await.unwrap_err();
        assert!(error.ends_with("it holds more than 2 files"), "{error}");
        assert_eq!(place.read("3"), None);
    }
}

#[tokio::test]
async fn a_silent_server_is_given_up_and_so_is_what_is_made_of_its_file() {
    let mut place = Place::new();
    place.fetcher.limits.fetch_timeout = std::time::Duration::from_millis(50);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}/x", listener.local_addr().unwrap());
    let error = place.fetch(vec![uri(silent)]).await.unwrap_err();
    assert!(error.ends_with("it took longer than 50ms"), "{error}");

    let path = place.source("archive.tar", &tar(&[("inner.txt", "inner")]));
    let stop = Stop::default();
    drop(Waiting(stop.clone()));
    let archive = Archive::of(Path::new(&path)).unwrap();
    let allowed = Allowance {
        bytes: 1 << 20,
        files: 10,
    };
    let unpacked = archive.extract(Path::new(&path), &place.sandbox(), allowed, &stop);
    let error = unpacked.unwrap_err().to_string();
    assert!(error.ends_with("it is not wanted any longer"), "{error}");
    assert_eq!(place.read("inner.txt"), None);
}

/// Links in an archive lead nothing that follows them out of the sandbox.
#[tokio::test]
async fn archives_with_links_stay_in_the_sandbox() {
    let place = Place::new();
    let outside = place.directory.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("kept"), "kept").unwrap();
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_entry_type(tar::EntryType::Symlink);
    builder.append_link(&mut header, "link", &outside).unwrap();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(4);
    let evil = b"evil".as_slice();
    builder.append_data(&mut header, "link/kept", evil).unwrap();
    let symbolic = builder.into_inner().unwrap();
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_entry_type(tar::EntryType::Link);
    let kept = outside.join("kept");
    builder.append_link(&mut header, "hard", &kept).unwrap();
    let hard = builder.into_inner().unwrap();
    let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    writer.add_symlink("zipped", "../outside", options).unwrap();
    let zip = writer.finish().unwrap().into_inner();
    for (name, bytes) in [
        ("symbolic.tar", symbolic),
        ("hard.tar", hard),
        ("links.zip", zip),
    ] {
        let path = place.source(name, &bytes);
        let error = place.fetch(vec![uri(path)]).await.unwrap_err();
        assert!(error.contains("Failed to extract archive"), "{error}");
        assert_eq!(fs::read_to_string(&kept).unwrap(), "kept");
        assert_eq!(place.read("hard"), None);
        assert_eq!(place.read("zipped/kept"), None);
    }
}
