//! Telling, to little servers of these tests' own.

use std::sync::Arc;
use std::time::Duration;

use mesos_sdk::credentials::Credentials;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::webhook::{Reader, body};
use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

fn notification() -> Notification {
    Notification {
        kind: "failed",
        owners: vec!["ann@example.org".to_owned(), "bob@example.org".to_owned()],
        subject: "[test] [Chronos] job 'backup' failed!".to_owned(),
        message: "Exit status <1> & more".to_owned(),
        facts: vec![("job", "backup".to_owned()), ("retries", "2".to_owned())],
    }
}

fn quick() -> NotifyConfig {
    NotifyConfig {
        first_delay: Duration::from_millis(1),
        longest_delay: Duration::from_millis(5),
        ..NotifyConfig::default()
    }
}

/// A server that hands each connection to a task of its own, numbered.
async fn server<F, S>(serve: F) -> u16
where
    F: Fn(usize, TcpStream) -> S + Send + 'static,
    S: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        for number in 0.. {
            let (connection, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(number, connection));
        }
    });
    port
}

/// A web server that answers with these statuses, the last of them for ever, and
/// tells what it was sent: the head and the body.
async fn web_server(statuses: &'static [&'static str]) -> (u16, mpsc::UnboundedReceiver<String>) {
    let (tell, told) = mpsc::unbounded_channel();
    let answered = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let port = server(move |_, connection| {
        let (tell, answered) = (tell.clone(), answered.clone());
        async move {
            let mut connection = BufReader::new(connection);
            loop {
                let (mut head, mut length) = (String::new(), 0);
                loop {
                    let mut line = String::new();
                    if connection.read_line(&mut line).await.unwrap_or(0) == 0 {
                        return;
                    }
                    if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    if line == "\r\n" {
                        break;
                    }
                    head += &line;
                }
                let mut body = vec![0; length];
                connection.read_exact(&mut body).await.unwrap();
                tell.send(head + &String::from_utf8(body).unwrap()).unwrap();
                let before = answered.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                let status = statuses[before.min(statuses.len() - 1)];
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                connection.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    (port, told)
}

/// A mail server that puts the first connection off, and tells each message: its
/// envelope, then its text.
async fn mail_server() -> (u16, mpsc::UnboundedReceiver<String>) {
    let (tell, told) = mpsc::unbounded_channel();
    let port = server(move |number, connection| {
        let tell = tell.clone();
        async move {
            let mut connection = BufReader::new(connection);
            let greeting = if number == 0 {
                "421 come back later\r\n"
            } else {
                "220 mail.example.org\r\n"
            };
            connection.write_all(greeting.as_bytes()).await.unwrap();
            let (mut mail, mut is_text) = (String::new(), false);
            loop {
                let mut line = String::new();
                if connection.read_line(&mut line).await.unwrap_or(0) == 0 {
                    return;
                }
                mail += &line;
                if is_text && line != ".\r\n" {
                    continue;
                }
                let answer = match line.get(..4).unwrap_or("end") {
                    "EHLO" => "250-mail.example.org\r\n250-AUTH PLAIN\r\n250 8BITMIME\r\n",
                    "AUTH" => "235 welcome\r\n",
                    "RCPT" if line.contains("nobody@") => "550 no such user\r\n",
                    "DATA" => {
                        is_text = true;
                        "354 go on\r\n"
                    }
                    "QUIT" => "221 bye\r\n",
                    _ if is_text => {
                        is_text = false;
                        tell.send(std::mem::take(&mut mail)).unwrap();
                        "250 taken\r\n"
                    }
                    _ => "250 fine\r\n",
                };
                connection.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    (port, told)
}

async fn next(told: &mut mpsc::UnboundedReceiver<String>) -> String {
    let told = tokio::time::timeout(PATIENCE, told.recv()).await;
    told.expect("nothing came").unwrap()
}

async fn until(notifier: &Notifier, is_reached: impl Fn(Counts) -> bool) -> Counts {
    let waiting = async {
        while !is_reached(notifier.counts()) {
            tokio::task::yield_now().await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waiting).await;
    assert!(waited.is_ok(), "{:?}", notifier.counts());
    notifier.counts()
}

#[test]
fn what_is_posted_suits_its_reader() {
    let posted = |reader| body(reader, &notification()).to_string();
    let subject = "[test] [Chronos] job 'backup' failed!";
    assert_eq!(
        posted(Reader::Slack),
        format!(r#"{{"text":"{subject}: Exit status &lt;1&gt; &amp; more"}}"#)
    );
    assert_eq!(
        posted(Reader::Mattermost),
        format!(r#"{{"text":"{subject}: Exit status <1> & more"}}"#)
    );
    let to_program: serde_json::Value = serde_json::from_str(&posted(Reader::Program)).unwrap();
    assert_eq!(
        to_program,
        serde_json::json!({
            "event": "failed",
            "job": "backup",
            "message": "Exit status <1> & more",
            "retries": "2",
            "subject": subject,
            "to": "ann@example.org,bob@example.org",
        })
    );
}

#[tokio::test]
async fn webhooks_are_tried_until_they_take_it() {
    let (port, mut told) = web_server(&["503 Busy", "429 Slow Down", "200 OK"]).await;
    let url = format!("http://127.0.0.1:{port}/services/T0/secret?a=b");
    let notifier = Notifier::start(&NotifyConfig {
        slack: Some(Endpoint::parse(&url).unwrap()),
        ..quick()
    })
    .unwrap();
    notifier.notify(&notification());
    for _ in 0..3 {
        let request = next(&mut told).await;
        assert!(
            request.starts_with("POST /services/T0/secret?a=b HTTP/1.1\r\n"),
            "{request}"
        );
        assert!(request.ends_with(&body(Reader::Slack, &notification()).to_string()));
    }
    let counts = until(&notifier, |counts| counts.delivered == 1).await;
    assert_eq!((counts.failed, counts.dropped), (0, 0));
}

#[tokio::test]
async fn what_is_refused_for_good_is_not_tried_again() {
    let (port, mut told) = web_server(&["404 Not Found", "200 OK"]).await;
    let url = format!("http://127.0.0.1:{port}");
    let credentials = Credentials::basic("chronos", "hunter2").unwrap();
    let notifier = Notifier::start(&NotifyConfig {
        callback: Some((Endpoint::parse(&url).unwrap(), Some(credentials))),
        ..quick()
    })
    .unwrap();
    notifier.notify(&notification());
    until(&notifier, |counts| counts.failed == 1).await;
    notifier.notify(&notification());
    until(&notifier, |counts| counts.delivered == 1).await;
    for _ in 0..2 {
        let request = next(&mut told).await;
        // chronos:hunter2
        assert!(
            request
                .to_lowercase()
                .contains("authorization: basic y2hyb25vczpodw50zxiy")
        );
    }
    assert!(told.try_recv().is_err());
}

#[tokio::test]
async fn each_owner_gets_a_mail_and_only_those_who_cannot_do_not() {
    let (port, mut told) = mail_server().await;
    let mut mail = MailConfig::at(
        &format!("127.0.0.1:{port}"),
        "Chronos <chronos@example.org>",
        MailTls::IfOffered,
    )
    .unwrap();
    mail.credentials = Some(("chronos".to_owned(), Secret::new("hunter2")));
    let notifier = Notifier::start(&NotifyConfig {
        mail: Some(mail),
        ..quick()
    })
    .unwrap();
    let mut notification = notification();
    notification.subject += "\r\nBcc: eve@example.org";
    notification
        .owners
        .insert(1, "nobody@example.org".to_owned());
    notification.owners.insert(2, "no address".to_owned());
    notifier.notify(&notification);
    for owner in ["ann", "bob"] {
        let mail = next(&mut told).await;
        assert!(
            mail.contains("AUTH PLAIN AGNocm9ub3MAaHVudGVyMg=="),
            "{mail}"
        );
        assert!(mail.contains("MAIL FROM:<chronos@example.org>"), "{mail}");
        assert!(
            mail.contains(&format!("RCPT TO:<{owner}@example.org>")),
            "{mail}"
        );
        assert!(
            mail.contains("\r\nSubject: [test] [Chronos] job 'backup' failed!"),
            "{mail}"
        );
        assert!(!mail.contains("\r\nBcc:"), "{mail}");
        assert!(mail.contains("Exit status <1> & more"), "{mail}");
        assert!(mail.contains("\r\nDate: "), "{mail}");
    }
    let counts = until(&notifier, |counts| {
        counts.delivered == 2 && counts.failed == 2
    })
    .await;
    assert_eq!(counts.dropped, 0);
}

#[tokio::test]
async fn who_does_not_answer_holds_nobody_up() {
    // It takes connections and never says a word.
    let silent = server(|_, connection| async move {
        let _connection = connection;
        std::future::pending::<()>().await;
    })
    .await;
    let (port, mut told) = web_server(&["200 OK"]).await;
    let at = |port| Endpoint::parse(&format!("http://127.0.0.1:{port}/hook")).unwrap();
    let notifier = Notifier::start(&NotifyConfig {
        slack: Some(at(silent)),
        mattermost: Some(at(port)),
        queue_length: 100,
        ..quick()
    })
    .unwrap();
    // One is being delivered or not even taken; a hundred wait; the rest is
    // dropped. None of it waits here.
    for _ in 0..150 {
        notifier.notify(&notification());
        next(&mut told).await;
    }
    let counts = until(&notifier, |counts| counts.delivered == 150).await;
    assert!((49..=50).contains(&counts.dropped), "{counts:?}");
    assert_eq!(counts.failed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_not_there_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let notifier = Notifier::start(&NotifyConfig {
        slack: Some(Endpoint::parse(&format!("http://127.0.0.1:{port}")).unwrap()),
        attempts: 5,
        ..NotifyConfig::default()
    })
    .unwrap();
    let start = tokio::time::Instant::now();
    notifier.notify(&notification());
    notifier.stop(Duration::from_secs(600)).await;
    // Waits of 1, 2, 4 and 8 seconds.
    let waited = start.elapsed();
    assert!(waited >= Duration::from_secs(15), "{waited:?}");
    assert!(waited < Duration::from_secs(170), "{waited:?}");
}

#[test]
fn secrets_are_not_shown() {
    let (callback, slack) = (
        Endpoint::parse("https://example.org:8443/hooks/hunter2").unwrap(),
        Endpoint::parse("https://hooks.slack.com?token=hunter2").unwrap(),
    );
    let mut mail = MailConfig::at("mail", "chronos@example.org", MailTls::Always).unwrap();
    mail.credentials = Some(("chronos".to_owned(), Secret::new("hunter2")));
    let config = NotifyConfig {
        mail: Some(mail),
        slack: Some(slack),
        callback: Some((callback, Some(Credentials::basic("me", "hunter2").unwrap()))),
        ..NotifyConfig::default()
    };
    let shown = format!("{config:?}");
    assert!(shown.contains("https://example.org:8443/***"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn what_cannot_be_used_is_said_without_showing_it() {
    for (url, said) in [
        ("ftp://example.org/hunter2", "begins with neither"),
        ("example.org/hunter2", "begins with neither"),
        ("https://me:hunter2@example.org/", "a flag of their own"),
        ("https:///hunter2", "names no server"),
        ("https://exa mple.org/hunter2", "names no server"),
        ("https://example.org:99999/hunter2", "names no server"),
        ("https://example.org/hunter2 or so", "need an escape"),
    ] {
        let error = Endpoint::parse(url).unwrap_err().to_string();
        assert!(error.contains(said), "{url}: {error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    for (server, from) in [("", "a@b.org"), ("mail:x", "a@b.org"), ("mail", "nobody")] {
        assert!(
            MailConfig::at(server, from, MailTls::Always).is_err(),
            "{server} {from}"
        );
    }
    let mut mail = MailConfig::at("[::1]:2525", "a@b.org", MailTls::Always).unwrap();
    assert_eq!((mail.host.as_str(), mail.port), ("::1", Some(2525)));
    mail.ca_file = Some("/nowhere/ca.pem".into());
    let config = NotifyConfig {
        mail: Some(mail),
        ..NotifyConfig::default()
    };
    let error = Notifier::start(&config).unwrap_err().to_string();
    assert!(error.contains("/nowhere/ca.pem"), "{error}");
}
