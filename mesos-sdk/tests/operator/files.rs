//! Files: followed as they grow, downloaded whole.

use futures::StreamExt as _;
use mesos_sdk::v1::{
    self,
    agent::{Call, Response, response},
};

use crate::server::{Asked, Server, soon};

async fn read_from(server: &mut Server) -> (Asked, u64) {
    let mut asked = server.asked().await;
    let call: Call = asked.call().await;
    let read = call.read_file.unwrap();
    assert_eq!(read.path, "/stdout");
    (asked, read.offset)
}

fn part(asked: Asked, size: u64, data: &'static str) {
    asked.message(&Response {
        read_file: Some(response::ReadFile {
            size,
            data: data.into(),
        }),
        ..Default::default()
    });
}

#[tokio::test]
async fn a_file_is_followed_as_it_grows_shrinks_and_ends() {
    let mut server = Server::start().await;
    let mut follow = server.agent().files().follow("/stdout", 3);
    let end = follow.end();
    let script = async {
        let mut offsets = Vec::new();
        for (size, data) in [(6, "two"), (6, ""), (9, "six"), (1, ""), (1, "x")] {
            let (asked, offset) = read_from(&mut server).await;
            offsets.push(offset);
            part(asked, size, data);
        }
        // Busy, then complete: what is left is still read.
        let (asked, _) = read_from(&mut server).await;
        asked.answer(503, "busy");
        end.is_complete();
        for data in ["rest", ""] {
            let (asked, offset) = read_from(&mut server).await;
            offsets.push(offset);
            part(asked, 5, data);
        }
        offsets
    };
    let reading = async {
        let mut seen = Vec::new();
        while let Some(bytes) = follow.next().await {
            seen.push(String::from_utf8(bytes.unwrap().to_vec()).unwrap());
        }
        seen
    };
    let both = Box::pin(async { tokio::join!(script, reading) });
    let (offsets, seen) = soon("the end of the file", both).await;
    assert_eq!(offsets, [3, 6, 6, 9, 0, 1, 5]);
    assert_eq!(seen, ["two", "six", "x", "rest"]);
}

#[tokio::test]
async fn a_part_of_a_file_is_read_and_its_size_asked() {
    let mut server = Server::start().await;
    let files = server.agent().files();
    let answering = async {
        let mut asked = server.asked().await;
        let read = asked.call::<Call>().await.read_file.unwrap();
        assert_eq!((read.offset, read.length), (3, Some(4)));
        part(asked, 9, "some");
        let mut asked = server.asked().await;
        let read = asked.call::<Call>().await.read_file.unwrap();
        assert_eq!(read.length, Some(0), "no data is wanted");
        part(asked, 9, "");
    };
    let reading = async {
        let part = files.read("/stdout", 3, Some(4)).await.unwrap();
        assert_eq!((part.size, &part.data[..]), (9, &b"some"[..]));
        assert_eq!(files.size("/stdout").await.unwrap(), 9);
    };
    tokio::join!(answering, reading);
}

#[tokio::test]
async fn a_followed_file_is_a_stream_that_ends_with_an_error() {
    let mut server = Server::start().await;
    let follow = server.agent().files().follow("/stdout", 0);
    let answering = async {
        let (asked, _) = read_from(&mut server).await;
        part(asked, 3, "one");
        let (asked, offset) = read_from(&mut server).await;
        assert_eq!(offset, 3);
        asked.answer(404, "");
    };
    let reading = follow
        .into_stream()
        .map(|part| part.map_err(|error| error.status()))
        .collect::<Vec<_>>();
    let both = Box::pin(async { tokio::join!(reading, answering).0 });
    let seen = soon("the end of the stream", both).await;
    assert_eq!(seen, [Ok("one".into()), Err(Some(404))]);
}

#[tokio::test]
async fn a_file_that_is_not_there_is_an_error() {
    let mut server = Server::start().await;
    let mut follow = server.agent().files().follow("/stdout", 0);
    let answering = async {
        let (asked, _) = read_from(&mut server).await;
        asked.answer(404, "");
    };
    let (next, ()) = tokio::join!(follow.next(), answering);
    assert!(next.unwrap().unwrap_err().is_not_found());
}

#[tokio::test]
async fn a_directory_is_browsed() {
    let mut server = Server::start().await;
    let files = server.agent().files();
    let answering = async {
        let mut asked = server.asked().await;
        let call: Call = asked.call().await;
        assert_eq!(call.list_files.unwrap().path, "/sandbox");
        asked.message(&Response {
            list_files: Some(response::ListFiles {
                file_infos: vec![v1::FileInfo {
                    path: "/sandbox/stdout".to_owned(),
                    ..Default::default()
                }],
            }),
            ..Default::default()
        });
    };
    let (infos, ()) = tokio::join!(files.browse("/sandbox"), answering);
    assert_eq!(infos.unwrap()[0].path, "/sandbox/stdout");
}

#[tokio::test]
async fn a_file_is_downloaded_whole() {
    let mut server = Server::start().await;
    let files = server.agent().files();
    let answering = async {
        let asked = server.asked().await;
        assert_eq!(asked.path, "/files/download?path=%2Fa%20b%2Fstdout");
        asked.answer(200, "hello");
    };
    let (download, ()) = tokio::join!(files.download("/a b/stdout"), answering);
    let download = download.unwrap();
    assert_eq!(download.size(), Some(5));
    let mut copy = Vec::new();
    assert_eq!(download.write_to(&mut copy).await.unwrap(), 5);
    assert_eq!(copy, b"hello");

    let answering = async {
        let asked = server.asked().await;
        asked.answer(400, "Cannot download a directory.");
    };
    let (download, ()) = tokio::join!(files.download("/a"), answering);
    let error = download.unwrap_err().to_string();
    assert!(
        error.ends_with("status 400: Cannot download a directory."),
        "{error}"
    );
}
