//! Sessions in containers.

use mesos_sdk::{
    operator::{Error, Output, Session},
    v1::{
        self,
        agent::{
            Call, ProcessIo, Response,
            call::{Type, attach_container_input},
            process_io::{self, control, data},
            response,
        },
    },
};

use crate::server::{Asked, Server, Stream, soon};

fn parent() -> v1::ContainerId {
    v1::ContainerId {
        value: "task".to_owned(),
        parent: None,
    }
}

fn printed(kind: data::Type, text: &'static str) -> ProcessIo {
    ProcessIo {
        r#type: Some(process_io::Type::Data.into()),
        data: Some(process_io::Data {
            r#type: Some(kind.into()),
            data: Some(text.into()),
        }),
        control: None,
    }
}

/// Takes the session and the question how it ends.
async fn started(server: &mut Server) -> (Call, Stream, Asked) {
    let mut asked = server.asked().await;
    assert_eq!(asked.headers["Accept"], "application/recordio");
    assert_eq!(asked.headers["Message-Accept"], "application/x-protobuf");
    let call: Call = asked.call().await;
    let stream = asked.stream();
    let mut waiting = server.asked().await;
    let wait: Call = waiting.call().await;
    assert_eq!(wait.r#type(), Type::WaitContainer);
    (call, stream, waiting)
}

fn exit(asked: Asked, status: i32) {
    asked.message(&Response {
        wait_container: Some(response::WaitContainer {
            exit_status: Some(status),
            ..Default::default()
        }),
        ..Default::default()
    });
}

#[tokio::test]
async fn a_command_is_run_beside_a_task() {
    let mut server = Server::start().await;
    let agent = server.agent();
    let exec = agent
        .exec(&parent(), "echo out; echo err >&2; exit 4")
        .user("nobody")
        .env("A", "b")
        .start();
    let (session, (call, mut stream, waiting)) = tokio::join!(exec, started(&mut server));
    let mut session = session.unwrap();
    assert_eq!(call.r#type(), Type::LaunchNestedContainerSession);
    let launch = call.launch_nested_container_session.unwrap();
    assert_eq!(launch.container_id.parent.as_ref().unwrap().value, "task");
    assert_eq!(&launch.container_id, session.container_id());
    let command = launch.command.unwrap();
    assert_eq!(command.value(), "echo out; echo err >&2; exit 4");
    assert_eq!((command.shell(), command.user()), (true, "nobody"));
    assert_eq!(command.environment.unwrap().variables[0].name, "A");
    assert!(launch.container.is_none());

    stream.send(&printed(data::Type::Stdout, "out\n")).await;
    let heartbeat = ProcessIo {
        r#type: Some(process_io::Type::Control.into()),
        control: Some(process_io::Control {
            r#type: Some(control::Type::Heartbeat.into()),
            ..Default::default()
        }),
        data: None,
    };
    stream.send(&heartbeat).await;
    stream.send(&printed(data::Type::Stderr, "err\n")).await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let output = soon("output", session.output.next()).await;
        seen.push(output.unwrap().unwrap());
    }
    assert_eq!(
        seen,
        [
            Output::Stdout("out\n".into()),
            Output::Stderr("err\n".into())
        ]
    );
    drop(stream);
    exit(waiting, 4 << 8);
    let exit = soon("the exit", session.wait()).await.unwrap();
    assert_eq!(exit.code(), Some(4));
}

#[tokio::test]
async fn a_terminal_has_a_size_and_input_is_written_to_its_end() {
    let mut server = Server::start().await;
    let agent = server.agent();
    let exec = agent.exec(&parent(), "cat").tty(24, 80).start();
    let (session, (call, _stream, waiting)) = tokio::join!(exec, started(&mut server));
    let session = session.unwrap();
    let launch = call.launch_nested_container_session.unwrap();
    let size = launch.container.unwrap().tty_info.unwrap().window_size;
    let size = size.unwrap();
    assert_eq!((size.rows, size.columns), (24, 80));

    let input = session.input().await.unwrap();
    let mut asked = server.asked().await;
    assert_eq!(asked.headers["Content-Type"], "application/recordio");
    assert_eq!(
        asked.headers["Message-Content-Type"],
        "application/x-protobuf"
    );
    assert!(input.write("hello").await);
    assert!(input.resize(50, 132).await);
    let finishing = tokio::spawn(input.finish());

    let first: Call = asked.record().await.unwrap();
    let first = first.attach_container_input.unwrap();
    assert_eq!(first.r#type(), attach_container_input::Type::ContainerId);
    assert_eq!(first.container_id.as_ref(), Some(session.container_id()));
    let (mut written, mut sizes, mut beats) = (Vec::new(), Vec::new(), 0);
    while let Some(call) = asked.record::<Call>().await {
        let io = call.attach_container_input.unwrap().process_io.unwrap();
        if let Some(data) = io.data {
            assert_eq!(data.r#type(), data::Type::Stdin);
            written.push(data.data.unwrap());
        } else if let Some(control) = io.control {
            match control.r#type() {
                control::Type::TtyInfo => {
                    let size = control.tty_info.unwrap().window_size.unwrap();
                    sizes.push((size.rows, size.columns));
                }
                control::Type::Heartbeat => beats += 1,
                control::Type::Unknown => panic!("an unknown control"),
            }
        }
    }
    assert_eq!(written, ["hello", ""]);
    assert_eq!(sizes, [(50, 132)]);
    assert!(beats >= 1, "the agent hears that somebody is there");
    asked.answer(200, "");
    soon("the end of the input", finishing)
        .await
        .unwrap()
        .unwrap();
    exit(waiting, 9);
    drop(_stream);
    let exit = soon("the exit", session.wait()).await.unwrap();
    assert_eq!(exit.code(), None);
    assert_eq!(exit.status.unwrap().to_string(), "signal: 9 (SIGKILL)");
}

#[tokio::test]
async fn what_the_agent_refuses_is_told() {
    let mut server = Server::start().await;
    let agent = server.agent();
    let answering = async {
        let asked = server.asked().await;
        asked.answer(404, "Container task cannot be found");
    };
    let exec = agent.exec(&parent(), "true").start();
    let (session, ()): (Result<Session, Error>, ()) = tokio::join!(exec, answering);
    let error = session.unwrap_err();
    assert!(error.is_not_found(), "{error}");

    let input = agent.attach_input(parent()).await.unwrap();
    let asked = server.asked().await;
    asked.answer(400, "no standard input");
    let error = soon("the answer", input.finish()).await.unwrap_err();
    assert!(
        error.to_string().ends_with("status 400: no standard input"),
        "{error}"
    );
}

#[tokio::test]
async fn a_container_that_runs_is_attached_to_and_killed() {
    let mut server = Server::start().await;
    let agent = server.agent();
    let attach = agent.attach(parent());
    let (session, (call, mut stream, waiting)) = tokio::join!(attach, started(&mut server));
    let mut session = session.unwrap();
    assert_eq!(call.attach_container_output.unwrap().container_id, parent());
    stream
        .send(&printed(data::Type::Stdout, "still here"))
        .await;
    drop(stream);
    let (stdout, stderr) = session.output.collect(5).await.unwrap();
    assert_eq!((&stdout[..], &stderr[..]), (&b"still"[..], &b""[..]));
    let answering = async {
        let mut asked = server.asked().await;
        let call: Call = asked.call().await;
        assert_eq!(call.kill_container.unwrap().signal, Some(15));
        asked.answer(200, "");
    };
    let (killed, ()) = tokio::join!(session.kill(Some(15)), answering);
    killed.unwrap();
    exit(waiting, 15);
    let exit = soon("the exit", session.wait()).await.unwrap();
    assert!(exit.code().is_none());
}
