//! One leads, the others know which; leadership outlives a short outage and is
//! lost with the session.

use mesos_service::election::{Election, Standing};

use crate::server::{Server, in_time};
use crate::{session, session_of};

const DIRECTORY: &str = "leader-curator";

async fn becomes(election: &Election, wanted: Standing) {
    let mut standing = election.standing();
    let waiting = standing.wait_for(|now| *now == wanted);
    in_time("the standing", waiting).await.unwrap();
}

#[tokio::test]
async fn one_leads_and_the_next_one_follows_it() {
    let Some(server) = Server::start() else {
        return;
    };
    let one = session(&server, "/deep/group").await;
    let two = session(&server, "/deep/group").await;
    let first = Election::stand(&one, DIRECTORY, "one:8080");
    assert!(in_time("a leader", first.elected()).await);
    let second = Election::stand(&two, DIRECTORY, "two:8080");
    becomes(&second, Standing::Follows("one:8080".to_owned())).await;

    // The znodes are those of the originals.
    let client = server.client().await;
    client.auth("digest", b"user:secret").await.unwrap();
    let path = "/deep/group/leader-curator";
    let children = client.list_children(path).await.unwrap();
    assert_eq!(children.len(), 2);
    for child in &children {
        let rest = child.strip_prefix("_c_").unwrap();
        assert_eq!(rest[36..].len(), "-latch-0000000000".len(), "{child}");
        let (_, stat) = client.get_data(&format!("{path}/{child}")).await.unwrap();
        assert_ne!(stat.ephemeral_owner, 0);
    }

    in_time("leaving", first.leave()).await;
    assert!(in_time("the next leader", second.elected()).await);
    // Whoever comes back stands at the end.
    let third = Election::stand(&one, DIRECTORY, "one:8080");
    becomes(&third, Standing::Follows("two:8080".to_owned())).await;
}

#[tokio::test]
async fn a_short_outage_changes_nothing_and_a_long_one_ends_it() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let one = session_of(&server, "/m", 10).await;
    let first = Election::stand(&one, DIRECTORY, "one:8080");
    assert!(in_time("a leader", first.elected()).await);
    let mut standing = first.standing();
    standing.mark_unchanged();
    server.restart();
    // The server is back, and so is the session.
    let two = session_of(&server, "/m", 10).await;
    let second = Election::stand(&two, DIRECTORY, "two:8080");
    let mut seen = second.standing();
    let known = seen.wait_for(|now| *now != Standing::Nobody);
    let known = in_time("a standing", known).await.unwrap().clone();
    if *standing.borrow() == Standing::Leads {
        assert_eq!(known, Standing::Follows("one:8080".to_owned()));
        assert!(!standing.has_changed().unwrap());
    } else {
        // A machine so loaded that the server took longer than the session.
        println!("the server took too long to come back");
    }
    drop(server);
    in_time("the end", first.over()).await;
    in_time("the end", second.over()).await;
    assert!(!first.elected().await);
}

#[tokio::test]
async fn who_loses_its_znode_has_lost() {
    let Some(server) = Server::start() else {
        return;
    };
    let one = session(&server, "/m").await;
    let first = Election::stand(&one, DIRECTORY, "one:8080");
    assert!(in_time("a leader", first.elected()).await);
    let client = server.client().await;
    client.auth("digest", b"user:secret").await.unwrap();
    let path = "/m/leader-curator";
    for child in client.list_children(path).await.unwrap() {
        client
            .delete(&format!("{path}/{child}"), None)
            .await
            .unwrap();
    }
    in_time("the end", first.over()).await;
}
