//! The scene of URIs: each task is launched again as it was recorded, with a web
//! server and files as they were, and what is told of it, what lies in its
//! sandbox, what it wrote and what the web server was asked are compared.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use mesos_tests::compare;
use mesos_tests::fixture::{Fixture, is_left_out};
use mesos_tests::framework::{Framework, framework_info};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::group::Group;
use crate::launches::{
    check_told, follow, launch_one, records, sandbox_file, states, task_id, tasks,
};

pub(crate) const FETCH: &[&str] = &["fetch-uris"];

/// Tasks of which something else is told, and why.
const TOLD_OTHERWISE: &[(&str, &str)] = &[(
    "output-file-up",
    "Mesos lets the file lie beside the sandbox; here nothing leaves it",
)];

/// Files that the sandbox of a task lacks, and why.
const LACKING: &[(&str, &str, &str)] = &[
    (
        "missing-404",
        "missing",
        "Mesos leaves the page that says that there is no such file in its place",
    ),
    (
        "two-one-missing",
        "missing",
        "Mesos leaves the page that says that there is no such file in its place",
    ),
    (
        "refused",
        "x",
        "Mesos makes the file before it knows whether there is one",
    ),
];

/// Tasks that wrote something else, and why.
const WRITTEN_OTHERWISE: &[(&str, &str)] = &[
    ("unknown-scheme", "there is no Hadoop client to be missed"),
    ("hdfs", "there is no Hadoop client to be missed"),
    ("output-file-up", "it is not started"),
];

/// Where the recorded files were, and the recorded web server.
const SOURCE: &str = "/var/lib/mesos/fetch-source";
const SERVER: &str = "127.0.0.1:5100";

/// What was asked of a web server: method, path and status.
type Asked = Arc<Mutex<Vec<[String; 3]>>>;

#[tokio::test]
async fn what_the_uris_of_a_task_name() {
    if is_left_out("its agent reads the files of the test") {
        return;
    }
    let group = Group::new(FETCH);
    let source = tempfile::tempdir().unwrap();
    let files = fill(source.path());
    let (server, asked) = serve(files).await;
    let text = group.read("fetch-uris").to_string();
    let text = text.replace(SERVER, &server);
    let text = text.replace(SOURCE, source.path().to_str().unwrap());
    let scene: Value = serde_json::from_str(&text).unwrap();
    let fixture = Fixture::start().await;
    let f = Framework::subscribe(&fixture, framework_info("fetching"), None).await;
    let told = records(&scene, "fetching");
    for task in tasks(&scene) {
        let id = task_id(&task);
        launch_one(&f, &task).await;
        if TOLD_OTHERWISE.iter().any(|(known, _)| *known == id) {
            let status = f.update(id, "TASK_FAILED").await;
            f.acknowledge(&status).await;
            let message = status["message"].as_str().unwrap();
            let why = "URI output file must be within the sandbox directory";
            assert!(message.contains(why), "{message}");
        } else {
            follow(&f, id, &states(told, id)).await;
        }
        check_web(&scene, id, &asked);
        check_sandbox(&scene, &fixture, &f, id).await;
        check_outputs(&scene, &fixture, &f, id).await;
    }
    let all = f.stream.records.all();
    check_told("fetch-uris", told, &all, &tasks(&scene), TOLD_OTHERWISE);
    in_a_group(&scene, &f, told).await;
    group.all_used();
}

/// The end of the scene: a task of a group lacks its file, and takes the group
/// along.
async fn in_a_group(scene: &Value, f: &Framework<'_>, told: &[Value]) {
    let actions = scene["actions"].as_array().unwrap();
    let launch = actions.iter().find_map(|action| {
        let operation = &action["request"]["accept"]["operations"][0];
        (operation["type"] == "LAUNCH_GROUP").then(|| operation.clone())
    });
    let mut launch = launch.unwrap();
    let offer = f.offer().await;
    let group = &mut launch["launch_group"];
    group["executor"]["framework_id"] = json!({"value": f.id});
    for task in group["task_group"]["tasks"].as_array_mut().unwrap() {
        task["agent_id"] = offer["agent_id"].clone();
    }
    let members = group["task_group"]["tasks"].as_array().unwrap().clone();
    let response = f.accept(&offer["id"], json!([launch])).await;
    assert_eq!(response.status.as_u16(), 202, "{}", response.text());
    follow(f, "pod-missing", &states(told, "pod-missing")).await;
    follow(f, "pod-beside", &states(told, "pod-beside")).await;
    let all = f.stream.records.all();
    check_told("fetch-uris", told, &all, &members, &[]);
    let failure = |record: &Value| {
        let failure = &record["failure"];
        (failure["executor_id"]["value"] == "pod").then(|| failure["status"].clone())
    };
    let status = f.stream.records.wait("FAILURE", failure).await;
    assert_eq!(Some(status), told.iter().find_map(failure));
}

/// What was asked for a task. Mesos asks how large a file will be before it makes
/// room for it in its cache; here the room is made afterwards.
fn check_web(scene: &Value, task: &str, asked: &Asked) {
    let asked = std::mem::take(&mut *asked.lock().unwrap());
    if TOLD_OTHERWISE.iter().any(|(known, _)| *known == task) {
        assert!(asked.is_empty(), "{task}: {asked:?}");
        return;
    }
    let what = format!("{task} ended; requests that the web server saw: see \"web\"");
    let actions = scene["actions"].as_array().unwrap();
    let action = actions.iter().find(|action| action["what"] == what);
    let recorded: Vec<[String; 3]> = action.unwrap()["web"]
        .as_array()
        .unwrap()
        .iter()
        .map(|request| [1, 2, 4].map(|at| request[at].as_str().unwrap().to_owned()))
        .filter(|[method, ..]| method != "HEAD")
        .collect();
    assert_eq!(asked, recorded, "{task}");
}

/// The files in the sandbox of a task and their modes; of files with the same
/// content then and now the sizes too.
async fn check_sandbox(scene: &Value, fixture: &Fixture, f: &Framework<'_>, task: &str) {
    let path = format!(
        "/files/browse?path=/frameworks/{}/executors/{task}/runs/latest",
        f.id
    );
    let response = fixture
        .transport
        .get(&fixture.agent, &path, http::HeaderMap::new())
        .await;
    let got: Value = serde_json::from_slice(&response.unwrap().body).unwrap();
    let actions = scene["actions"].as_array().unwrap();
    let what = format!("sandbox of {task}");
    let recorded = actions.iter().find(|action| action["what"] == what);
    let files = |list: &Value| -> BTreeMap<String, (String, Option<u64>)> {
        let list = list.as_array().unwrap().iter();
        list.map(|file| {
            let path = file["path"].as_str().unwrap();
            let name = path.rsplit_once('/').unwrap().1.to_owned();
            let mode = file["mode"].as_str().unwrap().to_owned();
            let is_same = !mode.starts_with('d') && !is_of_its_time(&name);
            let size = file["size"].as_u64().filter(|_| is_same);
            (name, (mode, size))
        })
        .collect()
    };
    let mut expected = files(&recorded.unwrap()["response"]["body"]);
    for (_, file, _) in LACKING.iter().filter(|(known, ..)| *known == task) {
        assert!(expected.remove(*file).is_some(), "{task}: {file}");
    }
    assert_eq!(files(&got), expected, "{task}");
}

/// Files whose size is another one here.
fn is_of_its_time(name: &str) -> bool {
    let is_output = name == "stdout" || name == "stderr";
    is_output
        || [".tar.gz", ".zip", "data.gz"]
            .iter()
            .any(|end| name.ends_with(end))
}

/// What a task wrote, up to sizes and owners; and what the fetcher complained of.
async fn check_outputs(scene: &Value, fixture: &Fixture, f: &Framework<'_>, task: &str) {
    let recorded = &scene["sandboxes"][task];
    let stderr = recorded["stderr"].as_str().unwrap();
    let complaint = stderr.split_once("EXIT with status 1: ");
    let got = sandbox_file(fixture, f, task, "stderr").await;
    match complaint.and_then(|(_, rest)| rest.split_inclusive("': ").next()) {
        Some(start) => assert!(got.starts_with(start), "{task}: {got}"),
        None => assert!(!got.contains("Failed to fetch"), "{task}: {got}"),
    }
    let stdout = sandbox_file(fixture, f, task, "stdout").await;
    if WRITTEN_OTHERWISE.iter().any(|(known, _)| *known == task) {
        assert_eq!(stdout, "", "{task}");
        return;
    }
    let expected = recorded["stdout"].as_str().unwrap();
    assert_eq!(listing(&stdout), listing(expected), "{task}");
}

/// Lines, of which those that show a file show its mode and name only.
fn listing(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let words: Vec<&str> = line.splitn(6, ' ').collect();
        match words[..] {
            [mode, _, _, _, _, name] if mode.len() == 10 => format!("{mode} {name}"),
            _ => compare::text(line),
        }
    };
    text.lines().map(line).collect()
}

/// Makes the recorded files; those that the web server has too are given back.
fn fill(source: &Path) -> BTreeMap<&'static str, Vec<u8>> {
    let gzip = |bytes: &[u8]| {
        let level = flate2::Compression::fast();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_mode(0o755);
    header.set_size(0);
    tar.append_data(&mut header, "sub", [].as_slice()).unwrap();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(6);
    let inner = b"inner\n".as_slice();
    tar.append_data(&mut header, "sub/inner.txt", inner)
        .unwrap();
    let tar = tar.into_inner().unwrap();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().unix_permissions(0o644);
    zip.start_file("zipped/inner.txt", options).unwrap();
    zip.write_all(inner).unwrap();
    let zip = zip.finish().unwrap().into_inner();
    let files = BTreeMap::from([
        ("data.txt", b"data\n".to_vec()),
        ("prog.sh", b"#!/bin/sh\necho ran \"$0\"\n".to_vec()),
        ("archive.tar.gz", gzip(&tar)),
        ("archive.zip", zip),
        ("data.gz", gzip(b"content\n")),
        ("broken.tar.gz", b"this is no archive".to_vec()),
    ]);
    for (name, bytes) in &files {
        fs::write(source.join(name), bytes).unwrap();
    }
    fs::write(source.join("with space.txt"), "space\n").unwrap();
    fs::create_dir(source.join("sub")).unwrap();
    // Tasks of other users read them too.
    fs::set_permissions(source, fs::Permissions::from_mode(0o755)).unwrap();
    files
}

/// A web server for files, which notes what it is asked.
async fn serve(files: BTreeMap<&'static str, Vec<u8>>) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Asked::default();
    let notes = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            // A client that goes away does so at its own cost.
            let _ = answer(client, &files, &notes).await;
        }
    });
    (address.to_string(), asked)
}

async fn answer(
    client: TcpStream,
    files: &BTreeMap<&'static str, Vec<u8>>,
    asked: &Asked,
) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    let mut request = String::new();
    client.read_line(&mut request).await?;
    let mut line = String::from("-");
    while !line.trim().is_empty() {
        line.clear();
        (&mut client).take(8192).read_line(&mut line).await?;
    }
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or("-"), words.next().unwrap_or("-"));
    let name = path.trim_start_matches('/').split('?').next();
    let (status, body) = match files.get(name.unwrap_or_default()) {
        Some(bytes) => ("200 OK", bytes.as_slice()),
        None => ("404 Not Found", b"there is no such file".as_slice()),
    };
    let note = [method, path, &status[..3]].map(str::to_owned);
    asked.lock().unwrap().push(note);
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes()).await?;
    if method != "HEAD" {
        client.write_all(body).await?;
    }
    client.flush().await
}
